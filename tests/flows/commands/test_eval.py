"""`ratchet eval` on recordings: figures, reuse, protocols, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evals import stage as eval_stage
from flows.config import stored_config
from flows.preflight import problem_sets
from flows.reports.lineage import choose
from ratchet.config import identity_settings
from ratchet.errors import InputError
from ratchet.store.artifacts import Store
from ratchet.verifier.grader import GRADER_VERSION, Grader
from samplers.config import engine_identity
from samplers.serving import client
from tests.helpers.evaluated import (
    answered,
    arithmetic,
    ratchet,
    replayed,
    trained_run,
    write_answers,
    write_problems,
    write_rows,
)
from tests.helpers.openai_server import ModelServer
from tests.helpers.places import SEED_MODEL

COUNT = 12


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve problems; of eight completions of each, every third is right, from its number on."""
    folder = tmp_path_factory.mktemp("eval")
    problems = arithmetic(COUNT)
    write_problems(folder / "mine.jsonl", problems)
    write_answers(folder / "answers.jsonl", problems, lambda at, no: (at + no) % 3 == 0, 8)
    return folder


def words(files: Path, *more: object) -> tuple[object, ...]:
    """An evaluation of the seed model's folder by the recording, in a store of `files`."""
    settings = replayed(files / "answers.jsonl")
    return ("eval", SEED_MODEL, "-b", files / "mine.jsonl", *settings, *more)


def test_the_figures_are_those_of_the_recording(files: Path, tmp_path: Path) -> None:
    (found,) = answered(*words(files, "--store", tmp_path))
    metrics = found["metrics"]
    # Of the first four completions, problem i has those right whose number makes i a third.
    right = [sum((at + no) % 3 == 0 for no in range(4)) for at in range(COUNT)]
    assert metrics["mean"] == pytest.approx(sum(right) / (4 * COUNT))
    assert (metrics["n"], metrics["k"], metrics["completions"]) == (COUNT, 4, 4 * COUNT)
    assert metrics["pass_at_k"]["4"]["mean"] == 1.0
    assert set(metrics["by_level"]) == {"1", "2"}
    assert metrics["length"]["mean"] == 4.5
    assert (found["benchmark"], found["reused"]) == ("mine", False)


def test_a_figure_is_printed_with_how_it_came_about(files: Path, tmp_path: Path) -> None:
    done = ratchet(*words(files, "--store", tmp_path, "--seed", 7))
    assert done.exit_code == 0
    *_, protocol = done.stdout.splitlines()
    for told in ("boxed: prompt ", "temperature 0.6", "K 4", "seed 7", f"grader {GRADER_VERSION}"):
        assert told in protocol
    assert "pass@4       100.0 %" in done.stdout
    assert "  level 2 " in done.stdout


def test_a_second_call_answers_without_an_engine(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = answered(*words(files, "--store", tmp_path))
    monkeypatch.setattr(client, "EngineProcess", _none_may_start)
    (again,) = answered(*words(files, "--store", tmp_path))
    assert again == {**first, "reused": True}
    with pytest.raises(AssertionError, match="started"):
        _raise(ratchet(*words(files, "--store", tmp_path, "--seed", 1)).exception)


def _none_may_start(*_: Any, **__: Any) -> None:
    raise AssertionError("an engine was started")


def _raise(error: BaseException | None) -> None:
    assert error is not None
    raise error


def test_what_a_run_evaluated_is_found_under_its_own_settings(tmp_path: Path) -> None:
    """Greedy: the artifact's identity is that of the run's own stage on its own dev set."""
    run = trained_run(tmp_path)
    config = stored_config(run.config, run.name)
    policy = choose(run, config, 0)
    dev = problem_sets(config, run.store)["dev"]
    with Grader() as grader:
        inputs = eval_stage.EvalInputs(
            benchmark="dev",
            problems=dev.problems,
            problems_fingerprint=dev.fingerprint,
            rules=dev.rules,
            policy=policy,
            completer=None,  # type: ignore[arg-type]
            grader=grader,
            decoding={
                "engine": engine_identity(config.engine),
                "prompt": identity_settings(config.prompt),
            },
            seed=config.seed,
        )
        expected = eval_stage.spec(config.eval, inputs).identity
    by_run = answered("eval", "run@0", "-b", "dev", "--store", run.store.root)
    assert by_run[0]["artifact"] == expected
    assert by_run[0]["protocol"]["name"] == ""
    # The incumbent is iteration 0's, and the config may come from its file.
    settings = ("--config", tmp_path / "world.toml", "--set", "eval.temperature=0")
    by_file = answered("eval", "run", "-b", "dev", *settings, "--store", run.store.root)
    assert by_file[0]["artifact"] == expected
    assert by_file[0]["reused"]


def test_a_run_s_iterations_are_told_apart(tmp_path: Path) -> None:
    """In the world's recording the base model solves a third of dev, iteration 0 two thirds."""
    run = trained_run(tmp_path)
    means = {
        name: answered("eval", name, "-b", "dev", "--store", run.store.root)[0]["metrics"]["mean"]
        for name in ("run@base", "run@0", "run")
    }
    assert means == pytest.approx({"run@base": 1 / 3, "run@0": 2 / 3, "run": 2 / 3})


def test_a_reading_of_a_runs_test_set_is_counted_and_told(tmp_path: Path) -> None:
    """Only where figures are made that nobody has seen; dev may be looked at."""
    run = trained_run(tmp_path)
    on_test = ("eval", "run@0", "-b", "test", "--store", run.store.root)
    assert "reading 1 of the run's test set" in ratchet(*on_test).stdout
    assert answered(*on_test)[0]["test_reading"] is None
    assert answered(*on_test, "--limit", 9)[0]["test_reading"] == 2
    assert answered("eval", "run@0", "-b", "dev", "--store", run.store.root)[0]["reused"] is False
    assert [reading.number for reading in run.spent.readings()] == [1, 2]
    sampled = ("--set", "eval.temperature=1", "--aa")
    with pytest.raises(InputError, match="--aa is about the gate, which decides on dev"):
        _raise(ratchet(*on_test, *sampled).exception)


def test_an_evaluation_in_which_nothing_could_be_graded_is_told_and_fails(
    files: Path, tmp_path: Path
) -> None:
    other = write_answers(tmp_path / "other.jsonl", arithmetic(2, "test"), lambda *_: True, 4)
    words_ = ("eval", SEED_MODEL, "-b", files / "mine.jsonl", *replayed(other), "--store", tmp_path)
    done = ratchet(*words_)
    assert done.exit_code == 1
    assert "grader broken: not one of 48 completions could be graded (48 not_recorded)" in (
        done.stdout
    )
    assert "accuracy     –" in done.stdout
    assert ratchet(*words_).exit_code == 1


@pytest.mark.parametrize(
    ("more", "reused"),
    [
        (("--seed", "0"), True),
        (("--seed", "1"), False),
        (("--limit", "5"), False),
        (("--limit", "99"), True),
        (("--set", "eval.max_tokens=99"), False),
        (("--answer-format", "last_number"), False),
        (("--set", "prompt.system=Be brief."), False),
    ],
)
def test_only_what_can_change_a_figure_makes_another_evaluation(
    files: Path, tmp_path: Path, more: tuple[str, ...], reused: bool
) -> None:
    answered(*words(files, "--store", tmp_path))
    (again,) = answered(*words(files, "--store", tmp_path, *more))
    assert again["reused"] is reused
    if "5" in more:
        assert again["metrics"]["n"] == 5


def test_a_few_shot_protocol_on_real_gsm8k(shared_data: Path, tmp_path: Path) -> None:
    """Half the recorded answers end in `#### n`; the boxed half this protocol doesn't read."""
    rows = pq.read_table(shared_data / "gsm8k_test.parquet").slice(0, 20).to_pylist()
    problems = pq_problems(rows)
    texts = [row["answer"] if at % 2 else r"It is \boxed{1}." for at, row in enumerate(rows)]
    recording = write_rows(
        tmp_path / "recorded.jsonl",
        [
            {"problem_id": problem, "attempt": 0, "completion": text}
            for problem, text in zip(problems, texts, strict=True)
        ],
    )
    (found,) = answered(
        *("eval", SEED_MODEL, "-b", f"gsm8k={shared_data / 'gsm8k_test.parquet'}", "--limit", 20),
        *("--protocol", "gsm8k-8-shot", "--shots", shared_data / "gsm8k_train.parquet"),
        *(*replayed(recording), "--store", tmp_path / "store"),
    )
    protocol, metrics = found["protocol"], found["metrics"]
    assert (metrics["mean"], metrics["no_answer"]["mean"]) == (0.5, 0.5)
    assert (protocol["name"], protocol["k"], protocol["seed"]) == ("gsm8k-8-shot", 1, None)
    assert len(protocol["shots"]) == 8
    settings = Store(tmp_path / "store").find(found["artifact"])
    assert settings is not None
    eval_settings = settings.manifest.settings
    assert eval_settings["rules"]["grader"] == GRADER_VERSION
    assert eval_settings["rules"]["answer_format"] == "hash"
    assert eval_settings["eval"]["stop"] == ["\nQuestion:"]
    assert eval_settings["decoding"]["prompt"]["template"].count("#### ") == 8


def pq_problems(rows: list[dict[str, Any]]) -> list[str]:
    """The ids that GSM8K's rows have."""
    return [f"gsm8k-test-{at}" for at in range(len(rows))]


def test_a_server_is_asked_by_its_url(tmp_path: Path) -> None:
    """It says what it was asked, so that a problem which states its answer is solved."""
    rows = [
        {"problem": rf"Is it \boxed{{{at}}}?", "answer": str(at % 2), "problem_id": str(at)}
        for at in range(4)
    ]
    file = write_rows(tmp_path / "stated.jsonl", rows)
    settings = ("--set", "prompt.template={problem}", "--set", "eval.group_size=2")
    with ModelServer() as server:
        words_ = ("eval", server.url, "-b", file, *settings, "--store", tmp_path / "store")
        (found,) = answered(*words_)
        plain = ("--set", "prompt.style=plain", "--set", "engine.model=seed")
        (other,) = answered(*words_, *plain)
        (again,) = answered(*words_)  # asks which model it is, and for nothing else
    assert found["metrics"]["mean"] == other["metrics"]["mean"] == 0.5
    assert [body.get("model") for body in server.asked] == ["seed"] * 16
    assert sum("messages" in body for body in server.asked) == 8
    assert again["reused"]


def test_a_folder_is_not_asked_of_a_server(files: Path, tmp_path: Path) -> None:
    done = ratchet(
        *("eval", SEED_MODEL, "-b", files / "mine.jsonl", "--store", tmp_path),
        *("--set", "engine.kind=openai", "--set", "engine.url=http://localhost:1/v1"),
    )
    with pytest.raises(InputError, match="evaluate http://localhost:1/v1 instead"):
        _raise(done.exception)
    by_url = ratchet(
        *("eval", "http://localhost:1/v1", "-b", files / "mine.jsonl", "--store", tmp_path),
        *("--set", 'engine={kind="vllm"}'),
    )
    with pytest.raises(InputError, match=r"leave engine\.kind out"):
        _raise(by_url.exception)


def test_recorded_completions_are_scored_by_group(shared_data: Path) -> None:
    source = shared_data / "example_model_solutions.parquet"
    done = ratchet(
        *("eval", "--completions", source, "--completion", "solution", "--reference", "gold"),
        *("--by", "model", "--problem-id", "question_id"),
    )
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    labels: dict[str, list[bool]] = {}
    for row in pq.read_table(source, columns=["model", "is_correct"]).to_pylist():
        labels.setdefault(row["model"], []).append(row["is_correct"])
    assert len(lines) == len(labels) == 4
    for model, right in labels.items():
        assert f"accuracy {100 * sum(right) / len(right):.1f} % [" in lines[model]
        assert "n=1,319, K=1" in lines[model]


def test_recorded_completions_that_cannot_be_graded_fail(tmp_path: Path) -> None:
    rows = [{"completion": "", "reference_answer": "1", "end": "error"}] * 3
    file = write_rows(tmp_path / "failed.jsonl", rows)
    done = ratchet("eval", "--completions", file, "--finish-reason", "end")
    assert done.exit_code == 1
    assert "all  grader broken: not one of 3 completions" in done.stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--protocol", "boxd"), r"no protocol is called 'boxd'; did you mean boxed\?"),
        (("-b", "gsm9k"), r"--benchmark 'gsm9k' is no file, and names no set: there are gsm8k"),
        (("--set", "eval.temperature=0", "--set", "eval.group_size=4"), "all 4 completions"),
        (("--set", "eval.tokens=4"), r"the evaluation's settings has 1 error:\n  eval.tokens"),
        (("--set", "problems.size=4"), "problems"),
        (("--data", "nowhere.jsonl"), "--data: there is nothing at nowhere.jsonl"),
        (("--answer-format", "bxed"), "--answer-format: "),
        (("--answer-column", "gold"), r"columns .*; which holds the reference answer .* add --ans"),
        (("--config", "nowhere.toml"), "no config file nowhere.toml"),
        (("--completions", "x.jsonl"), "leave out CHECKPOINT, --benchmark, --set"),
        (("--aa", "--set", "eval.temperature=0"), "--aa with temperature 0 would draw the same"),
    ],
)
def test_what_cannot_work_is_told(
    files: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    done = ratchet(*words(files, "--store", tmp_path, *more))
    with pytest.raises(InputError, match=said):
        _raise(done.exception)


def test_data_goes_with_one_well_known_benchmark(files: Path, tmp_path: Path) -> None:
    done = ratchet(*words(files, "--data", files / "mine.jsonl", "--store", tmp_path))
    with pytest.raises(InputError, match=r"copy of one well-known set.* write --benchmark gsm8k="):
        _raise(done.exception)


@pytest.mark.parametrize(
    ("words_", "said"),
    [
        (("eval",), "nothing to evaluate is named"),
        (("eval", SEED_MODEL), "no benchmark is named; add --benchmark"),
        (("eval", "--aa", "--completions", "x"), "so that nothing is drawn: leave out --aa"),
    ],
)
def test_what_is_missing_is_told(words_: tuple[object, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        _raise(ratchet(*words_, "--store", tmp_path).exception)


def test_aa_puts_a_checkpoint_to_the_gate_look_by_look(tmp_path: Path) -> None:
    """A recording has the same for both draws, so that nothing is seen."""
    problems = arithmetic(60)
    answers = write_answers(tmp_path / "a.jsonl", problems, lambda at, no: (at + no) % 3 == 0, 8)
    asked = ("eval", SEED_MODEL, "--aa", "-b", write_problems(tmp_path / "p.jsonl", problems))
    settings = (*replayed(answers), "--store", tmp_path / "store")
    done = ratchet(*asked, *settings)
    assert done.exit_code == 0, done.exception
    assert "against itself on p" in done.stdout
    assert "at 8 completions of 60 problems" in done.stdout
    assert "nothing was seen where there is nothing" in done.stdout
    (found,) = answered(*asked, *settings)
    assert found["reused"]
    assert found["metrics"]["difference"] == 0
    assert [look["completions"] for look in found["metrics"]["looks"]] == [2, 4, 8]
    fewer = answered(*asked, *settings, "--set", "gate.looks=[1, 2]")
    assert [look["completions"] for look in fewer[0]["metrics"]["looks"]] == [1, 2]
