"""`ratchet rescore` on completions made by hand, without a flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.commands.rescore import changed_config, rescore
from flows.config import dump_config, load_config, stored_config
from flows.preflight import problem_sets
from ratchet.records import Completion
from ratchet.store.artifacts import Store, Workspace
from ratchet.store.identity import ArtifactSpec
from ratchet.store.ledger import LedgerEntry, Run, StepKey
from tests.helpers.judged import make_completion
from tests.helpers.world import SIZES, problems, write_config, write_recording

MANY = "problems.max_dropped=0.5"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return sampled(tmp_path)


def sampled(folder: Path, *settings: str) -> Run:
    """A run that has sampled one right completion of each train problem."""
    config = write_config(folder / "world.toml", write_recording(folder / "recording.jsonl"))
    run = Run.create(Store(folder / "store"), "run", dump_config(load_config(config, settings)))
    spec = ArtifactSpec(stage="sample", version=1, settings={})

    def make(out: Workspace) -> dict[str, int]:
        rows = [
            make_completion(problem.solution or "", problem_id=problem.problem_id)
            for problem in problems("train")
        ]
        out.write_part(0, rows, Completion)
        return {"completions": len(rows), "tokens": 1}

    artifact, reused = run.store.build(spec, make)
    run.record(LedgerEntry.of(StepKey(0, "sample"), artifact, reused, seconds=0.1))
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


def test_a_run_from_before_overlap_was_dropped_is_judged_on_all_that_it_sampled(
    tmp_path: Path,
) -> None:
    run = sampled(tmp_path, 'problems.dev.split="train"', "problems.dev.size=2", MANY)
    kept = problem_sets(stored_config(run.config, "run"), run.store)["train"]
    assert len(kept.problems) < SIZES["train"]
    (rescored,) = rescore(run, changed_config(run, [], None))
    assert rescored["after"]["accepted"] == SIZES["train"]
