"""Whole runs on real parts but for the engine, which replays: Prefect, TRL, Parquet, the grader."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from flows.commands import rescore, why
from ratchet.errors import InputError
from ratchet.store.artifacts import Store
from ratchet.store.ledger import Run
from tests.helpers.world import GROUP_SIZE, ROOT, SECRET, SIZES, World, problems


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, prefect_url: str) -> World:
    """A world whose run `world` in the store `whole` was never cut."""
    made = World(tmp_path_factory.mktemp("world"), prefect_url)
    done = made.ratchet("run", str(made.config), "--json", store="whole")
    assert done.returncode == 0, done.stderr
    (made.folder / "whole.json").write_text(done.stdout)
    return made


def whole(world: World) -> dict:
    return json.loads((world.folder / "whole.json").read_text())


def test_a_run_reports_what_it_did_in_the_promised_shape(world: World) -> None:
    shown = whole(world)
    first, second = shown["iterations"]
    assert shown["state"] == "done"
    assert shown["engine_starts"] == 1
    assert first["sampled"] == SIZES["train"] * GROUP_SIZE
    assert first["accepted"] == first["train_rows"] == SIZES["train"] * 2
    assert first["promoted"] is True
    assert "McNemar, 20 gained, 0 lost" in first["reason"]
    assert second["promoted"] is False
    assert set(first["artifacts"]) == {
        *("sample", "filter", "explore", "select", "train", "eval", "gate"),
    }
    assert shown["outcome"]["best_iteration"] == 0
    assert "on test +33.3 points" in shown["outcome"]["sentence"]
    assert shown["base"]["dev"]["mean"] == pytest.approx(1 / 3)
    assert first["dev"]["mean"] == pytest.approx(2 / 3)
    assert shown["test"]["base"]["mean"] == pytest.approx(1 / 3)
    assert shown["test"]["final"]["mean"] == pytest.approx(2 / 3)
    assert shown["test"]["final"]["n"] == SIZES["test"]


def test_the_funnel_names_every_completion(world: World) -> None:
    for iteration in whole(world)["iterations"]:
        for reasons in iteration["funnel"].values():
            assert sum(reasons.values()) == iteration["sampled"]


def ask_prefect(world: World, what: str) -> list[dict]:
    answer = httpx.post(f"{world.prefect_url}/{what}/filter", json={"limit": 200}, timeout=60)
    answer.raise_for_status()
    return answer.json()


def test_prefect_knows_each_stage_by_name_and_each_iteration_by_a_table(world: World) -> None:
    names = {run["name"] for run in ask_prefect(world, "task_runs")}
    assert {"world base/eval", "world 0/sample", "world 1/gate", "world test/final"} <= names
    keys = {artifact["key"] for artifact in ask_prefect(world, "artifacts")}
    assert {"world-iteration-0", "world-iteration-1", "world-outcome"} <= keys


def test_prefect_is_told_neither_the_config_nor_an_absolute_path(world: World) -> None:
    flow_runs = [run for run in ask_prefect(world, "flow_runs") if run["name"] == "world"]
    assert flow_runs
    for run in flow_runs:
        assert set(run["parameters"]) == {"name", "store", "redo"}
        assert not Path(run["parameters"]["store"]).is_absolute()
    told = [ask_prefect(world, what) for what in ("flow_runs", "task_runs", "artifacts", "logs")]
    assert SECRET not in json.dumps(told)


def test_a_secret_of_the_config_is_in_its_record_alone_which_its_owner_alone_reads(
    world: World,
) -> None:
    files = [path for path in (world.folder / "whole").rglob("*") if path.is_file()]
    holders = [path for path in files if SECRET.encode() in path.read_bytes()]
    assert holders == [world.folder / "whole" / "runs" / "world" / "run.json"]
    assert holders[0].stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_into_the_home_folder(world: World) -> None:
    assert whole(world)["state"] == "done"
    assert not any(world.home.iterdir())


def test_rejected_completions_stay(world: World) -> None:
    path = world.folder / "whole" / "artifacts"
    identity = whole(world)["iterations"][0]["artifacts"]["filter"]
    parts = sorted((path / identity).glob("part-*.parquet"))
    verdicts = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert len(verdicts) == SIZES["train"] * GROUP_SIZE
    assert {v["reason"] for v in verdicts if not v["accepted"]} == {"different", "no_answer"}


def test_running_again_makes_nothing_and_starts_no_engine(world: World) -> None:
    before, shown = world.ledger("whole"), whole(world)
    again = world.ratchet("run", str(world.config), "--json", store="whole")
    assert again.returncode == 0, again.stderr
    assert world.ledger("whole") == before
    answer = json.loads(again.stdout)
    assert answer["engine_starts"] == 1
    assert answer["alpha"] == shown["alpha"]
    assert (shown["test"]["readings"], answer["test"]["readings"]) == (1, 2)
    assert "reading 2 of the test set" in again.stderr


def test_another_name_shares_every_artifact(world: World) -> None:
    twin = world.ratchet("run", str(world.config), "--name", "twin", "--json", store="whole")
    assert twin.returncode == 0, twin.stderr
    assert world.ledger("whole", "twin") == world.ledger("whole")
    assert json.loads(twin.stdout)["engine_starts"] == 0


def test_a_manual_gate_suspends_the_run_until_a_person_has_said_yes(world: World) -> None:
    manual = ("--set", 'gate={kind="manual"}', "--set", "iterations=1")
    asked = world.ratchet("run", str(world.config), "--name", "asked", *manual, store="whole")
    assert asked.returncode == 4, asked.stderr
    assert "suspended" in asked.stdout
    assert "ratchet decide asked yes" in asked.stdout
    early = world.ratchet("resume", "asked", "--json", store="whole")
    assert (early.returncode, json.loads(early.stdout)["state"]) == (4, "suspended")
    said = world.ratchet("decide", "asked", "yes", "--note", "seen", store="whole")
    assert said.returncode == 0, said.stderr
    done = world.ratchet("resume", "asked", "--json", store="whole")
    assert done.returncode == 0, done.stderr
    (iteration,) = json.loads(done.stdout)["iterations"]
    assert iteration["verdict"] == "promoted"
    assert "a person said yes" in iteration["reason"]
    twice = world.ratchet("decide", "asked", "no", store="whole")
    assert (twice.returncode, "waits for no decision" in twice.stderr) == (2, True)


CUTS = [
    "sample/before_rename:2",
    "engine_step:2",
    "train_step:4",  # in iteration 1: the worker that takes its place passes the point once only
    pytest.param("filter/before_rename:1", marks=pytest.mark.slow),
    pytest.param("sample/after_rename:4", marks=pytest.mark.slow),
    pytest.param("sample/before_manifest:1", marks=pytest.mark.slow),
    pytest.param("select/before_manifest:1", marks=pytest.mark.slow),
    pytest.param("train/before_manifest:1", marks=pytest.mark.slow),
    pytest.param("eval/before_rename:3", marks=pytest.mark.slow),
    pytest.param("eval/before_manifest:3", marks=pytest.mark.slow),
    pytest.param("gate/after_rename:2", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("cut", CUTS)
def test_sigkill_anywhere_then_resume_ends_as_if_never_cut(world: World, cut: str) -> None:
    store = "cut-" + cut.replace("/", "-").replace(":", "-")
    if not cut.startswith("train"):
        # Training is the slow part; where it isn't what is cut, its artifacts are lent.
        for trained in (world.folder / "whole" / "artifacts").glob("train-*"):
            shutil.copytree(trained, world.folder / store / "artifacts" / trained.name)
    killed = world.ratchet("run", str(world.config), store=store, crash_at=cut)
    # A dead engine or trainer is started again by the flow itself.
    survived = cut.startswith(("engine", "train_"))
    assert killed.returncode == (0 if survived else -9), killed.stderr
    assert not survived or "SIGKILL" in killed.stderr
    resumed = world.ratchet("resume", "world", "--json", store=store)
    assert resumed.returncode == 0, resumed.stderr
    assert world.ledger(store) == world.ledger("whole")
    shown, never_cut = json.loads(resumed.stdout), whole(world)
    readings = 2 if survived else 1  # one that had ended and is resumed reads test again
    assert shown["test"] == {**never_cut["test"], "readings": readings}
    assert shown["alpha"] == never_cut["alpha"]
    assert shown["iterations"] == never_cut["iterations"]
    assert not list((world.folder / store).rglob("*.tmp"))


def test_an_altered_part_is_made_again_and_nothing_else(world: World) -> None:
    shutil.copytree(world.folder / "whole", world.folder / "altered")
    identity = whole(world)["iterations"][0]["artifacts"]["sample"]
    folder = world.folder / "altered" / "artifacts" / identity
    part = sorted(folder.glob("part-*.parquet"))[0]
    others = {p: p.stat().st_mtime_ns for p in folder.glob("part-*.parquet") if p != part}
    part.write_bytes(part.read_bytes()[:-7])
    done = world.ratchet("resume", "world", "--json", store="altered")
    assert done.returncode == 0, done.stderr
    assert world.ledger("altered") == world.ledger("whole")
    assert {p: p.stat().st_mtime_ns for p in others} == others


def test_redo_from_a_stage_does_that_and_what_follows_again(world: World) -> None:
    shutil.copytree(world.folder / "whole", world.folder / "redone")
    done = world.ratchet(
        "resume", "world", "--from-iteration", "0", "--from-stage", "train", store="redone"
    )
    assert done.returncode == 0, done.stderr
    before, after = world.ledger("whole"), world.ledger("redone")
    assert after.keys() == before.keys()
    same = {step for step in before if before[step][0] == after[step][0]}
    assert {"base/eval", "0/sample", "0/filter", "0/select", "test/base"} <= same
    assert not {"0/train", "0/eval", "0/gate", "1/sample"} & same


def test_nothing_accepted_is_an_outcome_with_exit_code_3(world: World) -> None:
    folder = world.folder / "hopeless"
    folder.mkdir()
    hopeless = World(folder, world.prefect_url)
    recording = folder / "recording.jsonl"
    rows = [json.loads(line) for line in recording.read_text().splitlines()]
    recording.write_text("".join(json.dumps({**r, "completion": "?"}) + "\n" for r in rows))
    done = hopeless.ratchet("run", str(hopeless.config), "--json")
    assert done.returncode == 3, done.stderr
    shown = json.loads(done.stdout)
    assert shown["state"] == "done"
    assert shown["iterations"][0]["reason"] == (
        "nothing trained: 0 accepted, 0 sft rows, min_rows=1"
    )
    assert len(shown["iterations"]) == 1
    assert shown["test"]["final"]["mean"] == 0.0


def test_two_runs_at_once_do_the_work_once_and_one_run_is_worked_on_by_one_process(
    world: World,
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        command = ("run", str(world.config), "--name")
        names = ("world", "world", "twin")
        running = [pool.submit(world.ratchet, *command, name, store="both") for name in names]
        done = [future.result() for future in running]
    assert sorted(d.returncode for d in done[:2]) == [0, 2], done[0].stderr + done[1].stderr
    assert done[2].returncode == 0, done[2].stderr
    (refused,) = (d for d in done if d.returncode == 2)
    assert "run 'world' is being worked on by pid" in refused.stderr
    assert "Traceback" not in refused.stderr
    for name in ("world", "twin"):
        assert world.ledger("both", name) == world.ledger("whole")
    made = [e for name in ("world", "twin") for e in entries(world, "both", name)]
    identities = {entry["identity"] for entry in made}
    assert {
        each: sum(not e["reused"] for e in made if e["identity"] == each) for each in identities
    } == dict.fromkeys(identities, 1)


def entries(world: World, store: str, run: str) -> list[dict[str, Any]]:
    text = (world.folder / store / "runs" / run / "ledger.json").read_text()
    return list(json.loads(text).values())


def test_each_completion_has_one_fate(world: World) -> None:
    for iteration in whole(world)["iterations"]:
        lost = sum(
            sum(step["lost"].values())
            for step in iteration["funnel_steps"]
            if step["mode"] == "require"
        )
        (training,) = iteration["trainings"]
        assert lost + iteration["accepted"] == iteration["sampled"]
        assert sum(training["fates"].values()) == iteration["sampled"]


def test_why_tells_one_problems_story(world: World) -> None:
    run = Run.open(Store(world.folder / "whole"), "world")
    problem = problems("train")[0]
    story = why.why(run, problem.problem_id)
    group = story["iterations"][0]["group"]
    assert len(group) == GROUP_SIZE
    assert [c["verdicts"][0]["accepted"] for c in group] == [True, False, True, False]
    assert group[0]["used"] == ["trained on as an sft row"]
    assert group[1]["used"] == []
    dev = why.why(run, problems("dev")[0].problem_id)
    assert [row["step"] for row in dev["evaluations"]][:2] == ["base/eval", "0/eval"]
    told = world.ratchet("why", "world", problem.problem_id, store="whole").stdout
    assert "orm: rejected, it states no final answer" in told
    assert "attempt 0" in told
    with pytest.raises(InputError, match=problem.problem_id):
        why.why(run, problem.problem_id + "x")


def test_rescoring_judges_the_same_completions_by_other_filters(world: World) -> None:
    before = world.ledger("whole")
    filters = 'filters=[{kind="orm"}, {kind="length", unit="chars", max=1}]'
    answer = world.ratchet("rescore", "world", "--set", filters, "--json", store="whole")
    assert answer.returncode == 0, answer.stderr
    first = json.loads(answer.stdout)[0]
    assert first["before"]["accepted"] == SIZES["train"] * 2
    assert first["after"]["accepted"] == 0
    assert first["rows"]["sft"] == {
        "before": SIZES["train"] * 2,
        "after": 0,
        "kept": 0,
        "dropped": SIZES["train"] * 2,
        "new": 0,
    }
    run = Run.open(Store(world.folder / "whole"), "world")
    made = set(run.store.root.glob("artifacts/*"))
    same = rescore.rescore(run, rescore.changed_config(run, [], None))[0]
    assert set(run.store.root.glob("artifacts/*")) == made
    assert same["rows"]["sft"]["kept"] == same["rows"]["sft"]["after"] == SIZES["train"] * 2
    assert world.ledger("whole") == before
    with pytest.raises(InputError, match="draws no new completions"):
        rescore.changed_config(run, ["sampler.group_size=8"], None)


def test_each_gate_keeps_the_answers_of_base_incumbent_and_candidate(world: World) -> None:
    first, second = whole(world)["iterations"]
    for iteration, incumbent_solves in (
        (first, SIZES["dev"] // 3),
        (second, 2 * SIZES["dev"] // 3),
    ):
        folder = world.folder / "whole" / "artifacts" / iteration["artifacts"]["gate"]
        rows = pq.read_table(folder / "side_by_side.parquet").to_pylist()
        assert len(rows) == SIZES["dev"]
        assert sum(row["base_correct"] for row in rows) == SIZES["dev"] // 3
        assert sum(row["incumbent_correct"] for row in rows) == incumbent_solves
        assert sum(row["candidate_correct"] for row in rows) == 2 * SIZES["dev"] // 3


def test_the_incumbent_is_exported_with_its_card(world: World) -> None:
    out = world.folder / "exported"
    umask = os.umask(0o022)
    answer = world.ratchet("export", "world", "-o", str(out), "--dtype", "float32", store="whole")
    os.umask(umask)
    assert answer.returncode == 0, answer.stderr
    card = (out / "README.md").read_text()
    assert "| 0 | 96 | 48 | 48 |" in card
    assert "This checkpoint was not measured" not in card
    assert 'base_model: "models/arithmetic-seed"' in card
    assert '"path": "recording.jsonl"' in card
    assert '"hub_token": "(not shown)"' in card
    for path in out.iterdir():
        assert path.stat().st_mode & 0o777 == 0o644
        for told in (SECRET, str(world.folder), str(ROOT)):
            assert told.encode() not in path.read_bytes()
    identity = whole(world)["iterations"][0]["artifacts"]["train"]
    trained = world.folder / "whole" / "artifacts" / identity / "checkpoint"
    weights = [load_file(folder / "model.safetensors") for folder in (trained, out)]
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert (out / "tokenizer.json").read_bytes() == (trained / "tokenizer.json").read_bytes()
    again = world.ratchet("export", "world", "-o", str(out), store="whole")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    none = world.ratchet("export", "world", "--iteration", "7", "-o", str(out) + "7", store="whole")
    assert none.returncode == 2
    assert "candidates: 0, 1" in none.stderr
