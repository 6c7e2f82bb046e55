import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from ratchet.records import SftRow
from ratchet.store import files
from ratchet.store.artifacts import MANIFEST, PROVENANCE, Holder, Store, Workspace
from ratchet.store.identity import ArtifactSpec, derive_seed


def make_row(index: int) -> SftRow:
    return SftRow(problem_id=f"p{index}", attempt=0, prompt="2+2=", completion=str(index))


def make_spec(**settings: object) -> ArtifactSpec:
    return ArtifactSpec(stage="demo", version=1, settings=settings, inputs={"a": "x"})


class Maker:
    """Writes `num_parts` parts, skipping finished ones, and counts what it wrote."""

    def __init__(self, num_parts: int = 3) -> None:
        self.num_parts = num_parts
        self.written: list[int] = []

    def __call__(self, out: Workspace) -> dict[str, int]:
        for index in range(self.num_parts):
            if out.finished_part(index) is None:
                out.write_part(index, [make_row(index)], SftRow)
                self.written.append(index)
        return {"parts": self.num_parts}


def test_a_finished_artifact_is_reused(tmp_path: Path) -> None:
    maker = Maker()
    first, reused_first = Store(tmp_path).build(make_spec(), maker)
    second, reused_second = Store(tmp_path).build(make_spec(), maker)
    assert (reused_first, reused_second) == (False, True)
    assert maker.written == [0, 1, 2]
    assert first.fingerprint == second.fingerprint
    assert [row.completion for row in second.rows(SftRow)] == ["0", "1", "2"]


def test_identity_ignores_key_order_and_sees_every_setting() -> None:
    assert make_spec(a=1, b=2).identity == make_spec(b=2, a=1).identity
    assert make_spec(a=1).identity != make_spec(a=2).identity
    other = ArtifactSpec(stage="demo", version=1, settings={"a": 1}, inputs={"a": "y"})
    assert other.identity != make_spec(a=1).identity


def test_a_part_that_another_process_made_again_meanwhile_is_not_deleted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artifact, _ = store.build(make_spec(), Maker())
    part = artifact.part_files()[1]
    content = part.read_bytes()
    part.write_bytes(b"damaged")
    found: list[object] = []
    looking = threading.Thread(target=lambda: found.append(Store(tmp_path).find(artifact.identity)))
    with store.lock(artifact.identity):  # the other process: it mends the part under the lock
        looking.start()
        looking.join(0.5)
        part.write_bytes(content)
    looking.join()
    assert found == [artifact]
    assert part.read_bytes() == content
    assert (artifact.path / MANIFEST).exists()


MENDING = """
import sys
from pathlib import Path
from ratchet.store.identity import ArtifactSpec
from ratchet.store.artifacts import Store

def make(out):
    for index in range(3):
        if out.finished_part(index) is None:
            print("mending", index, flush=True)
            sys.stdin.readline()
            row = SftRow(problem_id=f"p{index}", attempt=0, prompt="2+2=", completion=str(index))
            out.write_part(index, [row], SftRow)
    return {"parts": 3}

from ratchet.records import SftRow
spec = ArtifactSpec(stage="demo", version=1, settings={}, inputs={"a": "x"})
artifact, reused = Store(Path(sys.argv[1])).build(spec, make)
print("reused" if reused else "made", artifact.fingerprint, flush=True)
"""


def test_two_processes_that_find_the_same_damage_mend_it_once_and_both_have_it(
    tmp_path: Path,
) -> None:
    artifact, _ = Store(tmp_path).build(make_spec(), Maker())
    artifact.part_files()[1].write_bytes(b"damaged")

    def start() -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-c", MENDING, str(tmp_path)]
        return subprocess.Popen(command, text=True, **pipes)

    first = start()
    assert first.stdout is not None
    assert first.stdout.readline() == "mending 1\n"
    second = start()
    assert second.stderr is not None
    waits = f"waiting for pid {first.pid} on {socket.gethostname()}, which works on "
    assert second.stderr.readline() == f"{waits}{artifact.identity}\n"
    said = [process.communicate("\n")[0] for process in (first, second)]
    assert said == [f"made {artifact.fingerprint}\n", f"reused {artifact.fingerprint}\n"]
    found = Store(tmp_path).find(artifact.identity)
    assert found is not None
    assert found.fingerprint == artifact.fingerprint


def test_who_only_asks_for_a_locks_holder_makes_nobody_refuse(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock("run-demo"):
        pass
    asking = (tmp_path / "locks" / "run-demo.lock").open()
    fcntl.flock(asking, fcntl.LOCK_SH)  # as `Store.holder` does, for an instant
    threading.Timer(0.1, asking.close).start()
    with store.lock_now("run-demo"):
        assert store.holder("run-demo") == Holder(os.getpid(), socket.gethostname())


def test_parts_that_an_earlier_attempt_left_over_are_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def stop_halfway(out: Workspace) -> dict[str, int]:
        Maker(4)(out)
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        store.build(make_spec(), stop_halfway)
    artifact, _ = store.build(make_spec(), Maker(2))
    assert [file.name for file in sorted(artifact.path.glob("part-*"))] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert artifact.manifest.rows == 2


def test_a_store_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert store.find("demo-x") is None
    assert store.holder("demo-x") is None
    assert not (tmp_path / "none").exists()


def test_what_made_an_artifact_stands_beside_it_and_is_no_part_of_it(tmp_path: Path) -> None:
    artifact, _ = Store(tmp_path).build(make_spec(), Maker(1))
    told = json.loads((artifact.path / PROVENANCE).read_text())
    assert set(told) == {"made_at", "commit", "packages", "python", "device", "host"}
    assert {"ratchet", "torch", "trl", "transformers", "math-verify"} <= set(told["packages"])
    assert {"lingua-language-detector"} <= set(told["packages"])
    assert PROVENANCE not in [part.file for part in artifact.manifest.parts]


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_a_damaged_part_is_found_and_only_it_is_made_again(tmp_path: Path, damage: str) -> None:
    artifact, _ = Store(tmp_path).build(make_spec(), Maker())
    part = artifact.part_files()[1]
    content = bytearray(part.read_bytes())
    if damage == "truncate":
        part.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        part.write_bytes(content)
    else:
        part.unlink()
    again = Maker()
    mended, reused = Store(tmp_path).build(make_spec(), again)
    assert not reused
    assert again.written == [1]
    assert mended.fingerprint == artifact.fingerprint


def test_a_part_torn_before_the_manifest_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def stop_halfway(out: Workspace) -> dict[str, int]:
        Maker(2)(out)
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        store.build(make_spec(), stop_halfway)
    out = Workspace(store.path_of(make_spec().identity), make_spec())
    out.part_path(0).write_bytes(b"PAR1 torn")
    again = Maker(3)
    store.build(make_spec(), again)
    assert again.written == [0, 2]


CRASH = """
import json, os, sys
from pathlib import Path
import pyarrow.fs, pyarrow.parquet
from ratchet.store import crash_points
from ratchet.store.identity import ArtifactSpec
from ratchet.records import SftRow
from ratchet.store.artifacts import Store

def build(root):
    made = []
    def make(out):
        for index in range(3):
            if out.finished_part(index) is None:
                made.append(index)
                row = SftRow(problem_id=f"p{index}", attempt=0, prompt="", completion=str(index))
                out.write_part(index, [row], SftRow)
        return {}
    spec = ArtifactSpec(stage="demo", version=1, settings={}, inputs={})
    artifact, _ = Store(root).build(spec, make)
    return [artifact.fingerprint, made]

def fork(root, crash_at):
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        crash_points._TARGET, _, crash_points._COUNT = crash_at.partition(":")
        os.write(writer, json.dumps(build(root)).encode())
        os._exit(0)
    os.close(writer)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(reader) as told:
        return code, json.loads(told.read() or "null")

pyarrow.Table.from_pylist([{"a": 1}])
for name, point in json.loads(sys.argv[2]):
    root = Path(sys.argv[1], name)
    code, _ = fork(root, point)
    finished = len(list(root.glob("artifacts/*/part-*.parquet")))
    print(json.dumps([point, code, finished, *fork(root, "")[1]]), flush=True)
"""
"""Each build is a process of its own, forked from one that has its imports done; pyarrow imports
pandas at its first table."""


def test_sigkill_at_every_write_loses_and_doubles_nothing(tmp_path: Path) -> None:
    points = [f"{name}:{n}" for name in ("before_rename", "after_rename") for n in range(1, 8)]
    wanted = ["", *points, "before_manifest:1"]
    named = json.dumps([(str(number), point) for number, point in enumerate(wanted)])
    command = [sys.executable, "-c", CRASH, str(tmp_path), named]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    whole, *cuts = [json.loads(line) for line in done.stdout.splitlines()]
    assert whole[1] == 0
    assert [cut[0] for cut in cuts] == wanted[1:]
    for point, code, finished, fingerprint, made in cuts:
        assert code == -9, point
        assert fingerprint == whole[3], point
        assert len(made) in (3 - finished, 0), point
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_second_process_waits_and_uses_what_the_first_made(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from ratchet.store.identity import ArtifactSpec
        from ratchet.store.artifacts import Store

        def make(out):
            print("making", flush=True)
            time.sleep(1.5)
            return {}

        spec = ArtifactSpec(stage="demo", version=1, settings={}, inputs={})
        _, reused = Store(Path(sys.argv[1])).build(spec, make, lambda: print("waiting", flush=True))
        print("reused" if reused else "made")
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[0].split() for process in running)
    assert said == [["making", "made"], ["waiting", "reused"]]


def test_a_full_disk_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "sync_file", full)
    with pytest.raises(OSError, match="No space left"):
        Store(tmp_path).build(make_spec(), Maker())
    monkeypatch.undo()
    assert not list(tmp_path.rglob("*.tmp"))
    maker = Maker()
    Store(tmp_path).build(make_spec(), maker)
    assert maker.written == [0, 1, 2]


def test_files_that_are_no_parts_are_checked_too(tmp_path: Path) -> None:
    def make(out: Workspace) -> dict[str, int]:
        (out.path / "checkpoint").mkdir(exist_ok=True)
        (out.path / "checkpoint" / "model.bin").write_bytes(b"weights")
        return {}

    artifact, _ = Store(tmp_path).build(make_spec(), make)
    (artifact.path / "checkpoint" / "model.bin").write_bytes(b"wEights")
    assert Store(tmp_path).find(artifact.identity) is None
    assert not (artifact.path / MANIFEST).exists()


def test_the_manifest_lists_every_file_with_its_checksum(tmp_path: Path) -> None:
    artifact, _ = Store(tmp_path).build(make_spec(), Maker(2))
    manifest = json.loads((artifact.path / MANIFEST).read_text())
    assert [part["file"] for part in manifest["parts"]] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert all(len(part["sha256"]) == 64 and part["rows"] == 1 for part in manifest["parts"])


def test_derived_seeds_differ_and_repeat() -> None:
    seeds = {derive_seed("run", iteration, 7) for iteration in range(100)}
    assert len(seeds) == 100
    assert derive_seed("run", 3, 7) == derive_seed("run", 3, 7)
