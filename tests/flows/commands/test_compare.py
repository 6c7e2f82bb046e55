"""`ratchet compare` on recordings: the sentence, the problems behind it, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.store.ledger import Run
from samplers.serving import client
from tests.helpers.evaluated import answered, ratchet, trained_run
from tests.helpers.places import SEED_MODEL
from tests.helpers.world import SIZES

THIRD = SIZES["dev"] // 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of 60 dev problems its base model solves every third, its iteration 0 two of three."""
    return trained_run(tmp_path_factory.mktemp("compare"))


def test_the_better_of_a_run_is_found_with_its_numbers(run: Run) -> None:
    (found,) = answered("compare", "run@base", "run@0", "-b", "dev", "--store", run.store.root)
    comparison = found["comparison"]
    assert (comparison["gained"], comparison["lost"]) == (THIRD, 0)
    assert comparison["p"] == pytest.approx(0.5**THIRD)
    assert comparison["test"] == "McNemar"
    assert comparison["difference"] == pytest.approx(1 / 3)
    assert comparison["verdict"] == "better"
    assert (comparison["regressions"], len(comparison["discordant"])) == ([], THIRD)
    assert found["a"]["metrics"]["mean"] == pytest.approx(1 / 3)


def test_it_is_printed_sentence_first_and_then_why(run: Run) -> None:
    done = ratchet("compare", "run@0", "run@base", "-b", "dev", "--store", run.store.root)
    assert done.exit_code == 0, done.exception
    first, *rest = done.stdout.splitlines()
    assert first.startswith("on dev: run@base is worse than run@0 by 33.3 points [")
    assert "  60 problems, one completion of each; 0 gained, 20 lost; McNemar, two-sided" in rest
    regressions = next(line for line in rest if "regressions" in line)
    assert regressions.startswith(f"  {THIRD} regressions: ")
    assert sum("100 % and 0 %" in line for line in rest) == THIRD
    assert rest[-1].startswith("  protocol of the config: prompt ")


def test_what_was_evaluated_before_starts_no_engine(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for side in ("run@base", "run@0"):
        answered("eval", side, "-b", "test", "--store", run.store.root)
    monkeypatch.setattr(client, "EngineProcess", None)
    (found,) = answered("compare", "run@base", "run@0", "-b", "test", "--store", run.store.root)
    assert (found["a"]["reused"], found["b"]["reused"]) == (True, True)


def test_several_benchmarks_are_compared_each_by_itself(run: Run) -> None:
    sets = ("-b", "dev", "-b", "test")
    found = answered("compare", "run@base", "run@0", *sets, "--store", run.store.root)
    assert [each["benchmark"] for each in found] == ["dev", "test"]


def test_a_checkpoint_is_not_compared_with_itself(run: Run) -> None:
    done = ratchet("compare", "run", "run@0", "-b", "dev", "--store", run.store.root)
    assert isinstance(done.exception, InputError)
    assert "run and run@0 are the same checkpoint" in str(done.exception)
    assert "--aa" in str(done.exception)


def test_a_side_that_could_not_be_graded_is_told_and_fails(run: Run) -> None:
    """The recording has no completions of train's third to sixth attempts, and none but dev's."""
    source = '{kind="arithmetic", split="seed", size=9}'
    config = run.path.parent.parent.parent / "world.toml"
    text = config.read_text() + f'[[guards]]\nname = "other"\nproblems = {source}\n'
    other = config.with_name("guarded.toml")
    other.write_text(text)
    done = ratchet(
        *("compare", "run@0", SEED_MODEL, "-b", "other", "--config", other),
        *("--set", "eval.temperature=0", "--store", run.store.root),
    )
    assert done.exit_code == 1, done.exception
    assert done.stdout.startswith("on other: no comparison can be made\n  run@0: grader broken")
    assert f"{SEED_MODEL}: grader broken" in done.stdout


def test_two_runs_that_evaluate_in_other_ways_need_a_config(run: Run, tmp_path: Path) -> None:
    tables = {**run.config, "seed": 5}
    Run.create(run.store, "other", tables)
    done = ratchet("compare", "run@base", "other@base", "-b", "dev", "--store", run.store.root)
    assert isinstance(done.exception, InputError)
    assert "they differ in seed; say with --config CONFIG" in str(done.exception)
