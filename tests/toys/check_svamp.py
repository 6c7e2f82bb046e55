import json
from pathlib import Path

from flows.config import load_config
from ratchet.problems.load import source_fingerprint
from ratchet.problems.sets import load_set
from ratchet.store.artifacts import Store
from tests.helpers.places import CONFIGS

ROWS = [
    {"ID": "a-1", "Body": "Ann has 3 pens", "Question": "How many pens has she?", "Answer": 3.0},
    {"ID": "a-2", "Body": "Bob had 9 pens.", "Question": "How many are left?", "Answer": None},
]


def test_a_config_that_names_it_has_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "svamp.json"
    path.write_text(json.dumps(ROWS))
    given = f'problems.train={{kind="svamp", path="{path}"}}'
    source = load_config(CONFIGS / "demo.toml", [given]).problems.train
    loaded = load_set(Store(tmp_path / "store"), "train", source)
    assert [p.problem for p in loaded.problems] == ["Ann has 3 pens. How many pens has she?"]
    assert loaded.problems[0].reference_answer == "3"
    assert loaded.problems[0].problem_id == "a-1"
    assert loaded.skipped == {"no_answer": 1}


def test_its_file_counts_by_content(tmp_path: Path) -> None:
    path = tmp_path / "svamp.json"
    given = f'problems.train={{kind="svamp", path="{path}"}}'
    source = load_config(CONFIGS / "demo.toml", [given]).problems.train
    fingerprints = set()
    for rows in (ROWS, ROWS[:1]):
        path.write_text(json.dumps(rows))
        fingerprints.add(source_fingerprint(source))
    assert len(fingerprints) == 2
