"""`ratchet init`: what it writes is accepted as it stands, and runs."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.config import RunConfig, dump_config, load_config
from flows.preflight import preflight
from flows.starters.data import LEAST_PROBLEMS, cut, find_columns, look_at
from flows.starters.model import DEFAULT_MODEL, ModelFacts, look_at_model
from flows.starters.write import (
    PLACEHOLDER,
    Situation,
    config_text,
    new_config,
    run_name,
    write_config,
)
from ratchet.errors import InputError
from ratchet.problems.arithmetic import generate
from ratchet.problems.load import load_problems
from ratchet.records import Problem
from ratchet.store.artifacts import Store
from tests.helpers.places import ROOT, SEED_MODEL
from tests.helpers.world import World, wrong

ON_ANY_MACHINE = ("engine.kind=transformers", "engine.dtype=float32")
SETS = {
    Situation.GSM8K: ("gsm8k_train", "gsm8k_train", "gsm8k_test"),
    Situation.MATH: ("math_train", "math_train", "math500"),
}


def ratchet(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def write_own_file(path: Path, count: int = LEAST_PROBLEMS) -> Path:
    rows = [
        {"question": problem.problem, "answer": problem.reference_answer}
        for problem in generate("train", count, (1, 2), 0)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def accepted(file: Path, store: Path, *settings: str) -> dict[str, int]:
    """The sizes of the sets of a config that preflight accepts."""
    config = load_config(file, [*ON_ANY_MACHINE, *settings])
    sets = preflight(dump_config(config), config.name, Store(store))
    return {name: len(each.problems) for name, each in sets.items()}


@pytest.mark.parametrize("situation", list(Situation))
@pytest.mark.parametrize("model", [ModelFacts(DEFAULT_MODEL), look_at_model(str(SEED_MODEL))])
def test_every_key_is_one_and_what_is_left_out_is_commented(
    situation: Situation, model: ModelFacts
) -> None:
    text = config_text("mine", situation, model)
    config = RunConfig.model_validate(tomllib.loads(text))
    assert config.engine.kind == "vllm"
    assert (config.sampler.group_size, config.sampler.temperature) == (8, 1.0)
    assert (config.trainer[0].lora is None) == model.is_small
    assert "CHANGE FIRST" in text or situation is not Situation.JSONL
    assert "$" not in text
    assert all(len(line) <= 100 or "path = " in line for line in text.splitlines())


@pytest.mark.parametrize("situation", [Situation.GSM8K, Situation.MATH])
def test_the_config_for_a_known_set_is_accepted_on_its_real_data(
    situation: Situation, shared_data: Path, tmp_path: Path
) -> None:
    text = config_text("mine", situation, look_at_model(str(SEED_MODEL)))
    file = new_config(tmp_path / "new")
    write_config(file, text)
    paths = [
        f'problems.{name}.path="{shared_data / found}.parquet"'
        for name, found in zip(("train", "dev", "test"), SETS[situation], strict=True)
    ]
    sizes = accepted(file, tmp_path / "store", *paths)
    assert sizes["train"] > 6000
    assert sizes["dev"] > 990
    assert sizes["test"] in (500, 1319)


@pytest.mark.parametrize("name", ["gsm8k_train", "math_train", "math500"])
def test_the_config_for_a_real_file_of_ones_own_is_accepted(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    data = look_at(shared_data / f"{name}.parquet")
    model = look_at_model(str(SEED_MODEL))
    file = new_config(tmp_path / "new")
    write_config(file, config_text("mine", Situation.JSONL, model, data))
    sizes = accepted(file, tmp_path / "store")
    assert sum(sizes.values()) > 0.98 * (data.cuts.train + data.cuts.dev + data.cuts.test)


def test_a_file_of_ones_own_is_planned_and_run(tmp_path: Path, prefect_url: str) -> None:
    world = World(tmp_path, prefect_url)
    data, folder = write_own_file(tmp_path / "own.jsonl"), tmp_path / "new project"
    made = world.ratchet("init", str(folder), "--data", str(data), "--model", str(SEED_MODEL))
    assert made.returncode == 0, made.stderr
    file = folder / "ratchet.toml"
    assert f"ratchet run '{file}'" in made.stdout
    recording = write_answers(tmp_path / "answers.jsonl", all_problems(file))
    settings = ["--set", f'engine={{kind="replay", path="{recording}"}}', "--set", "iterations=1"]
    planned = world.ratchet("plan", str(file), *settings, "--json")
    assert planned.returncode == 0, planned.stderr
    sets = json.loads(planned.stdout)["problems"]
    assert {name: each["count"] for name, each in sets.items()} == {
        "train": 60,
        "dev": 20,
        "test": 20,
    }
    done = world.ratchet("run", str(file), *settings, "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["run"] == "new-project"
    assert shown["iterations"][0]["sampled"] == 60 * 8
    assert shown["iterations"][0]["train_rows"] == 60, "what is said twice is trained on once"
    assert shown["iterations"][0]["promoted"] is True


def all_problems(file: Path) -> list[Problem]:
    sources = load_config(file).sources().values()
    return [problem for source in sources for problem in load_problems(source).problems]


def write_answers(path: Path, problems: list[Problem]) -> Path:
    """Half of what the base model says is right, but nothing first; all of its successor's is."""
    rows: list[dict[str, Any]] = []
    for problem in problems:
        right = f"It is \\boxed{{{problem.reference_answer}}}"
        texts = [wrong(problem), *[right, right, wrong(problem)] * 2, right]
        said = [(-1, at, text) for at, text in enumerate(texts)]
        said += [(0, at, right) for at in range(len(texts))]
        rows += [
            {
                "problem_id": problem.problem_id,
                "policy_iteration": iteration,
                "attempt": attempt,
                "completion": text,
                "num_tokens": len(text.split()),
            }
            for iteration, attempt, text in said
        ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def columns_of(row: dict[str, Any], **named: str | None) -> tuple[str, str | None, str | None]:
    given = {"problem": None, "answer": None, **named}
    found = find_columns([row], "own.jsonl", given["problem"], given["answer"])
    return found.problem, found.reference_answer, found.solution


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"id": "1", "question": "1+1?", "answer": "2"}, ("question", "answer", None)),
        ({"Problem": "1+1?", "Final_Answer": 2}, ("Problem", "Final_Answer", None)),
        ({"prompt": "1+1?", "answer": "1+1=2\n#### 2"}, ("prompt", None, "answer")),
        ({"problem": "?", "solution": "so \\boxed{2} " * 20}, ("problem", None, "solution")),
        ({"question": "?", "answer": "x #### 2", "gold": "2"}, ("question", None, "answer")),
    ],
)
def test_likely_columns_are_found(row: dict[str, Any], found: tuple[str, str, str]) -> None:
    assert columns_of(row) == found


def test_named_columns_are_taken() -> None:
    row = {"frage": "1+1?", "antwort": "2", "answer": "no"}
    assert columns_of(row, problem="frage", answer="antwort") == ("frage", "antwort", None)


def test_unclear_columns_are_told_with_what_to_add() -> None:
    with pytest.raises(InputError, match="--problem COLUMN --answer COLUMN") as caught:
        columns_of({"frage": "1+1?", "antwort": "2"})
    assert 'has the columns "frage", "antwort"' in str(caught.value)
    with pytest.raises(InputError, match="which holds the reference answer is not clear"):
        columns_of({"question": "1+1?", "antwort": "2"}, answer="antwrot")


def test_cuts_fit_the_file_and_too_few_rows_are_refused() -> None:
    assert (cut(100, "f").train, cut(100, "f").dev, cut(100, "f").test) == (60, 20, 20)
    assert (cut(50_000, "f").train, cut(50_000, "f").dev) == (48_000, 1000)
    with pytest.raises(InputError, match="f holds 99 problems, too few to cut in three"):
        cut(99, "f")


def test_a_parquet_file_with_prose_for_answers_is_refused(tmp_path: Path) -> None:
    rows = [
        {"question": f"Why {n}?", "answer": " ".join(["because"] * 12 + ["so"])} for n in range(100)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "prose.parquet")
    with pytest.raises(InputError, match="--answer"):
        look_at(tmp_path / "prose.parquet")


def test_answers_of_several_words_are_told_where_they_cannot_be_graded(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": "nan" if n % 2 else str(n)} for n in range(200)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "half.parquet")
    notes = look_at(tmp_path / "half.parquet").notes
    assert "of the first 200 problems 100 can't be graded: {'reference_is_null': 100}" in notes


def test_a_model_is_looked_at_where_it_is_a_folder(tmp_path: Path) -> None:
    facts = look_at_model(str(SEED_MODEL))
    assert facts == ModelFacts(str(SEED_MODEL), 1024, is_small=True, has_chat_template=True)
    assert "max_model_len = 1024" in config_text("mine", Situation.MATH, facts)
    (tmp_path / "config.json").write_text('{"text_config": {"max_position_embeddings": 512}}')
    plain = look_at_model(str(tmp_path))
    assert (plain.context, plain.has_chat_template) == (512, False)
    assert 'style = "plain"' in config_text("mine", Situation.GSM8K, plain)
    assert look_at_model("owner/name") == ModelFacts("owner/name")
    with pytest.raises(InputError, match="is no checkpoint"):
        look_at_model(str(ROOT))
    with pytest.raises(InputError, match="does not exist"):
        look_at_model("./nope")


@pytest.mark.parametrize(
    ("folder", "name"), [("my run", "my-run"), ("a.b_c", "a.b_c"), ("---", "run"), ("é", "run")]
)
def test_the_folder_names_the_run(folder: str, name: str, tmp_path: Path) -> None:
    assert run_name(tmp_path / folder) == name


def test_without_a_file_the_config_says_what_to_change(tmp_path: Path) -> None:
    made = ratchet("init", str(tmp_path / "new"))
    assert made.returncode == 0, made.stderr
    assert "it names no file of yours yet" in made.stdout
    assert PLACEHOLDER in (tmp_path / "new" / "ratchet.toml").read_text()
    planned = ratchet("plan", str(tmp_path / "new" / "ratchet.toml"), "--store", str(tmp_path))
    assert planned.returncode == 2
    assert PLACEHOLDER in planned.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert ratchet("init", str(tmp_path / "new"), "--for", "gsm8k").returncode == 0
    again = ratchet("init", str(tmp_path / "new"), "--data", "nope.jsonl")
    assert again.returncode == 2, "told before a file of data is read"
    assert "is there already and is not overwritten" in again.stderr
    assert "gsm8k" in (tmp_path / "new" / "ratchet.toml").read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        new_config(tmp_path / "file")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--for", "aime"), "choose from jsonl, gsm8k, math"),
        (("--for", "math", "--data", "x.jsonl"), "--data goes with --for jsonl"),
        (("--answer", "gold"), "add --data FILE"),
        (("--data", "nope.jsonl"), "no file or folder"),
        (("--model", "./nope"), "does not exist"),
    ],
)
def test_what_cannot_be_written_is_told_and_nothing_is(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    done = ratchet("init", str(tmp_path / "new"), *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "new").exists()
