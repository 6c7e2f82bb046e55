"""`ratchet rescore` on completions made by hand, without a flow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flows.config import dump_config, load_config
from flows.rescore import changed_config, rescore
from ratchet.identity import ArtifactSpec
from ratchet.ledger import Entry, Place, Run
from ratchet.records import Completion
from ratchet.store import Store, Workspace
from tests.filters.builders import make_completion

sys.path.insert(0, str(Path(__file__).parent))
from world import SIZES, problems, write_config, write_recording


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that has sampled one right completion of each problem."""
    config = write_config(tmp_path / "world.toml", write_recording(tmp_path / "recording.jsonl"))
    run = Run.create(Store(tmp_path / "store"), "run", dump_config(load_config(config)))
    spec = ArtifactSpec(stage="sample", version=1, settings={})

    def make(out: Workspace) -> dict[str, int]:
        rows = [
            make_completion(problem.solution or "", problem_id=problem.problem_id)
            for problem in problems("train")
        ]
        out.write_part(0, rows, Completion)
        return {"completions": len(rows), "tokens": 1}

    artifact, reused = run.store.build(spec, make)
    run.record(Entry.of(Place(0, "sample"), artifact, reused, seconds=0.1))
    return run


def test_benchmarks_that_a_new_decontamination_filter_names_are_loaded(run: Run) -> None:
    own = f'{{kind="arithmetic", split="train", size={SIZES["train"]}, levels=[1, 2]}}'
    filters = f'filters=[{{kind="orm"}}, {{kind="decontamination", benchmarks=[{own}]}}]'
    (rescored,) = rescore(run, changed_config(run, [filters], None))
    assert rescored["before"]["accepted"] == SIZES["train"]
    assert rescored["after"]["accepted"] == 0
    assert rescored["after"]["reasons"]["decontamination"] == {
        "contaminated_problem": SIZES["train"]
    }
    assert rescored["rows"]["sft"]["after"] == 0


def test_a_side_is_compared_with_its_own_benchmarks_only(run: Run) -> None:
    plain = 'filters=[{kind="orm"}, {kind="decontamination"}]'
    (rescored,) = rescore(run, changed_config(run, [plain], None))
    assert rescored["after"]["reasons"]["decontamination"] == {"clean": SIZES["train"]}
