"""Files that are either whole or absent: written beside, synced, renamed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ratchet.store.crash_points import crash_point

_CHUNK = 1 << 20


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_with(path: Path, write: Callable[[Path], None], *, private: bool = False) -> None:
    """Have `write` fill a temporary file, sync it, and rename it to `path`.

    A `private` file can be read by its owner alone, from its first byte on.

    The temporary file is removed when `write` fails, so that a full disk is not kept full by us.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if private:
            temporary.touch(mode=0o600)
        write(temporary)
        sync_file(temporary)
        crash_point("before_rename")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    crash_point("after_rename")


def write_json(path: Path, value: Any, *, private: bool = False) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    replace_with(path, write, private=private)


def read_json(path: Path) -> Any:
    """Parsed content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
