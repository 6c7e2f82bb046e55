"""The content-addressed store: one folder per artifact, a manifest written last.

A manifest present means done; absent means never happened. Every file of an artifact is listed in
its manifest with a checksum. A part that is finished before its artifact is has its checksum in a
sidecar, which is written before the part is renamed into place: a part without a sidecar can't
exist, and a torn or altered one is found by its checksum and made again.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.records import RowT, from_table, to_table
from ratchet.store.crash_points import crash_point
from ratchet.store.files import (
    read_json,
    replace_with,
    sha256_file,
    sync_file,
    sync_folder,
    write_json,
)
from ratchet.store.identity import ArtifactSpec, digest
from ratchet.store.provenance import provenance

MANIFEST = "manifest.json"
PROVENANCE = "provenance.json"
"""What made an artifact: never part of its identity or its fingerprint."""
_PART = "part-"
_NOTES = "notes/"
_SIDECAR = ".sha256.json"
_TRIES = 5
_BETWEEN_TRIES = 0.05
"""Seconds."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an artifact; `rows` is None for a file that is no Parquet part."""

    file: str
    sha256: str
    size: int
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The record beside an artifact's files."""

    identity: str
    stage: str
    version: int
    settings: dict[str, Any]
    inputs: dict[str, str]
    parts: tuple[Part, ...]
    metrics: dict[str, Any]
    fingerprint: str
    seconds: float

    @property
    def rows(self) -> int:
        """Number of rows in all Parquet parts."""
        return sum(part.rows or 0 for part in self.parts if part.file.startswith(_PART))


def load_manifest(path: Path) -> Manifest:
    """The manifest in a file."""
    raw = read_json(path)
    raw["parts"] = tuple(Part(**part) for part in raw["parts"])
    return Manifest(**raw)


@dataclass(frozen=True)
class Artifact:
    """A finished stage output that was found whole."""

    path: Path
    manifest: Manifest

    @property
    def identity(self) -> str:
        return self.manifest.identity

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @property
    def metrics(self) -> dict[str, Any]:
        return self.manifest.metrics

    def part_files(self) -> list[Path]:
        """The Parquet parts, in order; other files of the artifact are none."""
        parts = (part for part in self.manifest.parts if part.file.startswith(_PART))
        return [self.path / part.file for part in parts]

    def note_of(self, part: Path) -> Path:
        """Where the note on a part would be."""
        return self.path / _NOTES / part.name

    def sha256_of(self, part: Path) -> str:
        """The checksum of one of `part_files`."""
        return next(p.sha256 for p in self.manifest.parts if p.file == part.name)

    def iter_parts(self, row_type: type[RowT]) -> Iterator[list[RowT]]:
        """Rows part by part, so that memory holds one part at a time."""
        for file in self.part_files():
            yield from_table(pq.read_table(file), row_type)

    def rows(self, row_type: type[RowT]) -> Iterator[RowT]:
        """All rows, one at a time."""
        for part in self.iter_parts(row_type):
            yield from part


class Workspace:
    """The folder of an artifact that is being made."""

    def __init__(self, path: Path, spec: ArtifactSpec) -> None:
        self.path = path
        self.spec = spec
        self._own: set[str] = set()
        """The parts that this attempt wrote, or found whole and goes on with."""

    def part_path(self, index: int) -> Path:
        return self.path / f"{_PART}{index:05d}.parquet"

    def finished_part(self, index: int) -> Part | None:
        """The part if it is there and whole; what is torn or altered is removed."""
        path = self.part_path(index)
        sidecar = _sidecar(path)
        if not path.exists() or not sidecar.exists():
            return None
        part = Part(**read_json(sidecar))
        if _is_whole(self.path, part):
            self._own.add(path.name)
            return part
        path.unlink()
        return None

    def write_part(self, index: int, rows: Iterable[RowT], row_type: type[RowT]) -> Part:
        """Write one Parquet part: whole with its checksum, or not at all."""
        return self.write_table(index, to_table(rows, row_type))

    def write_table(self, index: int, table: pa.Table) -> Part:
        """As `write_part`, of a table that has its row type's schema."""
        path = self.part_path(index)

        def write(temporary: Path) -> None:
            pq.write_table(table, temporary, compression="zstd")
            part = Part(path.name, sha256_file(temporary), temporary.stat().st_size, len(table))
            write_json(_sidecar(path), asdict(part))

        replace_with(path, write)
        self._own.add(path.name)
        return Part(**read_json(_sidecar(path)))

    def write_note(self, part: Part, table: pa.Table) -> None:
        """Write what was found out about a part that is written, to spare who reads it the work.

        Checked and kept as every file, but no part of the artifact's fingerprint: it may be
        missing, or another's, and nothing that is built on the artifact may hang on it.
        """
        path = self.path / _NOTES / part.file
        path.parent.mkdir(exist_ok=True)
        replace_with(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))

    def read_part(self, index: int, row_type: type[RowT]) -> list[RowT]:
        """Rows of a part that is finished."""
        return from_table(pq.read_table(self.part_path(index)), row_type)

    def finish(self, metrics: dict[str, Any], seconds: float) -> Manifest:
        """List every file with its checksum, and write the manifest: the artifact is done.

        Parts of an earlier attempt that this one did not ask for are no part of it: they go.
        """
        for leftover in [*self.path.rglob(".*.tmp"), *self._stale_parts()]:
            leftover.unlink()
        parts = tuple(self._describe(path) for path in self._files())
        content = {p.file: p.sha256 for p in parts if not p.file.startswith(_NOTES)}
        manifest = Manifest(
            identity=self.spec.identity,
            stage=self.spec.stage,
            version=self.spec.version,
            settings=dict(self.spec.settings),
            inputs=dict(self.spec.inputs),
            parts=parts,
            metrics=metrics,
            fingerprint=digest(content) if content else digest(metrics),
            seconds=round(seconds, 3),
        )
        sync_folder(self.path)
        write_json(self.path / PROVENANCE, provenance())
        crash_point("before_manifest")
        write_json(self.path / MANIFEST, asdict(manifest))
        for sidecar in self.path.glob(f"*{_SIDECAR}"):
            sidecar.unlink()
        return manifest

    def _stale_parts(self) -> list[Path]:
        notes = self.path.glob(f"{_NOTES}{_PART}*.parquet")
        parts = [*self.path.glob(f"{_PART}*.parquet"), *notes]
        stale = [path for path in parts if path.name not in self._own]
        return [file for path in stale for file in (path, _sidecar(path)) if file.exists()]

    def _files(self) -> list[Path]:
        beside = (MANIFEST, PROVENANCE)
        found = (path for path in self.path.rglob("*") if path.is_file())
        return sorted(p for p in found if p.name not in beside and not p.name.endswith(_SIDECAR))

    def _describe(self, path: Path) -> Part:
        if _sidecar(path).exists():
            return Part(**read_json(_sidecar(path)))
        sync_file(path)
        name = path.relative_to(self.path).as_posix()
        rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
        return Part(name, sha256_file(path), path.stat().st_size, rows)


def _sidecar(part: Path) -> Path:
    return part.with_name(part.name + _SIDECAR)


def _is_whole(folder: Path, part: Part) -> bool:
    path = folder / part.file
    return path.is_file() and path.stat().st_size == part.size and sha256_file(path) == part.sha256


Make = Callable[[Workspace], dict[str, Any]]
"""Fills a workspace and returns the metrics for its manifest."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock."""

    pid: int
    host: str

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


class Locked(Exception):
    """The lock is held, and the caller does not want to wait."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"held by {holder}")
        self.holder = holder


class Store:
    """All artifacts and runs below one folder, which is made with the first thing written into it.

    Safe for several processes: an artifact is made under a lock that dies with its holder; the
    others wait for it and use what was made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: set[str] = set()

    def path_of(self, identity: str) -> Path:
        return self.root / "artifacts" / identity

    def find(self, identity: str) -> Artifact | None:
        """The finished artifact, every file checked against its checksum once per process.

        An artifact with a missing or altered file loses its manifest (it never happened); its
        whole parts stay, so that only what is damaged is made again. That is done under the
        artifact's lock: another process may be making it anew at this moment.
        """
        artifact, damaged = self._look(identity)
        if not damaged:
            return artifact
        with self.lock(identity):
            return self._mended(identity)

    def _look(self, identity: str) -> tuple[Artifact | None, list[Part]]:
        """The artifact if it is there, and what of it is damaged."""
        path = self.path_of(identity)
        try:
            artifact = Artifact(path, load_manifest(path / MANIFEST))
        except FileNotFoundError:
            return None, []
        if identity in self._verified:
            return artifact, []
        damaged = [part for part in artifact.manifest.parts if not _is_whole(path, part)]
        if not damaged:
            self._verified.add(identity)
        return artifact, damaged

    def _mended(self, identity: str) -> Artifact | None:
        """Under the artifact's lock: looked at again, and reopened only if it is still damaged."""
        artifact, damaged = self._look(identity)
        if artifact is None or not damaged:
            return artifact
        for part in damaged:
            (artifact.path / part.file).unlink(missing_ok=True)
        for part in artifact.manifest.parts:
            if part.file.startswith(_PART) and part not in damaged:
                write_json(_sidecar(artifact.path / part.file), asdict(part))
        (artifact.path / MANIFEST).unlink()
        return None

    def build(
        self, spec: ArtifactSpec, make: Make, on_wait: Callable[[], None] | None = None
    ) -> tuple[Artifact, bool]:
        """The artifact of `spec`, made by `make` if it is not there. (artifact, was it reused).

        Where another process makes it, that is told by `on_wait`, or else logged, and waited for.
        """
        found, damaged = self._look(spec.identity)
        if found and not damaged:
            return found, True
        with self.lock(spec.identity, on_wait):
            if found := self._mended(spec.identity):
                return found, True
            path = self.path_of(spec.identity)
            path.mkdir(parents=True, exist_ok=True)
            workspace = Workspace(path, spec)
            started = time.monotonic()
            metrics = make(workspace)
            manifest = workspace.finish(metrics, time.monotonic() - started)
            self._verified.add(spec.identity)
            return Artifact(path, manifest), False

    @contextmanager
    def lock(self, name: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Exclusive lock between processes; freed by the kernel when its holder dies."""
        with self._lock_file(name) as handle:
            if not _taken_soon(handle):
                if on_wait:
                    on_wait()
                else:
                    _LOG.warning("waiting for %s, which works on %s", _signed(handle), name)
                fcntl.flock(handle, fcntl.LOCK_EX)
            _sign(handle)
            yield

    @contextmanager
    def lock_now(self, name: str) -> Iterator[None]:
        """As `lock`, without waiting.

        Raises:
            Locked: if another process holds it.
        """
        with self._lock_file(name) as handle:
            if not _taken_soon(handle):
                raise Locked(_signed(handle))
            _sign(handle)
            yield

    @contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        path = self._lock_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            yield handle
        finally:
            os.close(handle)

    def _lock_path(self, name: str) -> Path:
        return self.root / "locks" / f"{name}.lock"

    def holder(self, name: str) -> Holder | None:
        """Who holds the lock now; None where nobody does. Nothing is written."""
        try:
            handle = os.open(self._lock_path(name), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _signed(handle)
        finally:
            os.close(handle)
        return None


def _taken_soon(handle: int) -> bool:
    """As `_taken`, tried for a moment: who asks for a lock's holder has the lock for an instant."""
    for _ in range(_TRIES):
        if _taken(handle):
            return True
        time.sleep(_BETWEEN_TRIES)
    return False


def _taken(handle: int) -> bool:
    """Whether the lock was free, and is ours now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(handle: int) -> None:
    """Say in the lock's file who holds it."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)


def _signed(handle: int) -> Holder:
    """Who holds the lock; pid 0 in the moment between taking it and saying so."""
    try:
        return Holder(**json.loads(os.pread(handle, 4096, 0)))
    except ValueError:
        return Holder(0, "this or another host")
