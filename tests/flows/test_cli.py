"""The command line's errors, plans and exit codes; nothing is sampled here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ratchet.store.artifacts import Store
from ratchet.store.ledger import Run
from tests.helpers.places import ROOT

RECIPES = sorted(ROOT.glob("configs/*.toml"))


def ratchet(*arguments: str, store: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", *arguments, "--store", str(store)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def test_help_answers_in_under_a_second() -> None:
    command = [sys.executable, "-m", "flows", "--help"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize(
    "module",
    [
        "commands.config",
        "commands.export",
        "commands.init",
        "commands.plan",
        "commands.rescore",
        "commands.why",
        "preflight",
        "reference.pages",
        "reports.run_report",
        "standalone.against_itself",
        "standalone.pairing",
        "standalone.prepare",
        "starters.data",
        "starters.write",
    ],
)
def test_what_starts_no_flow_does_not_pay_for_prefect(module: str) -> None:
    code = f"import sys, flows.{module}; sys.exit('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=120)
    assert done.returncode == 0


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 6


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_parses_and_plans_without_network(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()  # the sets are checked once for both
    planned = ratchet("plan", str(recipe), "--json", store=tmp_path / "store")
    assert planned.returncode == 0, planned.stderr
    answer = json.loads(planned.stdout)
    assert answer["iterations"] >= 1
    assert answer["finished_steps"] == []
    evaluated = answer["per_iteration"]["eval_completions_at_most"]
    assert answer["power"]["gate"]["looks"] == [2, 4, 8]
    assert list(answer["problems"]) == ["train", "dev", "test", *list(evaluated)[1:]]
    words = ratchet("plan", str(recipe), store=tmp_path / "store")
    assert "each iteration" in words.stdout
    assert "gate      paired, 2, 4, 8 completions of each dev problem" in words.stdout


def test_all_config_errors_come_at_once_with_exit_code_2(tmp_path: Path) -> None:
    done = ratchet(
        "run",
        str(ROOT / "configs" / "demo.toml"),
        "--set",
        "sampler.temperature=0",
        "--set",
        "gate.alhpa=0.1",
        "--set",
        'iterations="three"',
        store=tmp_path,
    )
    assert done.returncode == 2
    assert "temperature=0 makes all" in done.stderr
    assert "did you mean 'alpha'?" in done.stderr
    assert "iterations" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nope.toml"), "no config file"),
        (("run", "configs/demo.toml", "--set", "model.path=./nope"), "does not exist"),
        (("run", "configs/demo.toml", "--name", ""), "run name '' can't name a folder"),
        (("plan", "configs/demo.toml", "--name", "a/b"), "run name 'a/b' can't name a folder"),
        (("resume", "nope"), "no run 'nope'"),
        (("show", "nope"), "no run 'nope'"),
    ],
)
def test_bad_input_is_told_with_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = ratchet(*arguments, store=tmp_path / "store")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stage_to_resume_from_needs_its_iteration(tmp_path: Path) -> None:
    Run.create(Store(tmp_path / "store"), "known", {})
    done = ratchet("resume", "known", "--from-stage", "train", store=tmp_path / "store")
    assert done.returncode == 2
    assert "--from-stage train does not say of which iteration" in done.stderr


def test_advice_on_an_option_is_about_that_option(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"completion": "1", "reference_answer": "1"}\n')
    for policy, told in [
        ("percent", "--policy 'percent' has no key=value; write --policy percent=fraction"),
        ("percent=half", 'percent: must be one of "unit", "fraction", not "half"'),
    ]:
        command = [sys.executable, "-m", "flows", "verify", str(source), "--policy", policy]
        command += ["--completion", "completion", "--reference", "reference_answer"]
        command += ["-o", str(tmp_path / "out.parquet")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert told in done.stderr
        assert "--set" not in done.stderr


def write_problems(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f'{{kind="file", path="{path}", columns={{problem_id="problem_id"}}}}'


def make_rows(first: int, count: int = 8) -> list[dict[str, str]]:
    return [
        {
            "problem_id": f"q{i}",
            "problem": f"Tom has {i} red apples and buys {i + 3} more. How many has he now?",
            "reference_answer": str(2 * i + 3),
        }
        for i in range(first, first + count)
    ]


def run_on(tmp_path: Path, train: list[dict[str, str]], dev: list[dict[str, str]]) -> str:
    """What `ratchet run` says of these sets before anything is started."""
    done = ratchet(
        "run",
        "configs/demo.toml",
        "--set",
        "problems.train=" + write_problems(tmp_path / "train.jsonl", train),
        "--set",
        "problems.dev=" + write_problems(tmp_path / "dev.jsonl", dev),
        store=tmp_path / "store",
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_train_overlapping_dev_stops_before_a_token_is_spent(tmp_path: Path) -> None:
    message = run_on(tmp_path, make_rows(0), make_rows(6))
    assert "train shares 2 of its 8 problems (25.0%) with dev" in message
    assert "q6 ~ dev q6 (text, 1.00)" in message
    assert "problems.max_dropped=0.05" in message


def test_a_set_with_no_problem_is_refused(tmp_path: Path) -> None:
    assert "dev.jsonl" in run_on(tmp_path, make_rows(0), [])


def test_problems_without_answers_alone_are_refused(tmp_path: Path) -> None:
    unanswered = [{**row, "reference_answer": ""} for row in make_rows(20)]
    assert "answer" in run_on(tmp_path, make_rows(0), unanswered)


def test_duplicate_problem_ids_are_listed(tmp_path: Path) -> None:
    assert "q3" in run_on(tmp_path, [*make_rows(0), make_rows(3)[0]], make_rows(20))


def test_an_empty_store_lists_no_runs(tmp_path: Path) -> None:
    done = ratchet("runs", "--json", store=tmp_path)
    assert json.loads(done.stdout) == []


def test_doctor_names_what_is_here(tmp_path: Path) -> None:
    findings = json.loads(ratchet("doctor", "--json", store=tmp_path).stdout)
    seen = {finding["what"]: finding["seen"] for finding in findings}
    assert seen["torch"].startswith("2.")
    assert "vllm" in seen
    assert not [what for what in seen if what.startswith("package ")]
