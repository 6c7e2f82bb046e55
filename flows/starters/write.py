"""The config's text for a situation, from `texts/`, and the file."""

from __future__ import annotations

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from string import Template

from flows.config import RunConfig
from flows.reference.type_words import toml_value
from flows.starters.data import OwnData
from flows.starters.model import DEFAULT_MODEL, ModelFacts
from ratchet.config import parse_config
from ratchet.errors import InputError

CONFIG_NAME = "ratchet.toml"
PLACEHOLDER = "path/to/problems.jsonl"

_FIRST = "CHANGE FIRST: "
_TEXTS = Path(__file__).parent / "texts"
_PROMPT_TOKENS = 1024
"""Room for a prompt beside a completion."""
_MODEL_TOKENS = 4096


class Situation(StrEnum):
    """What a user starts from."""

    JSONL = "jsonl"
    GSM8K = "gsm8k"
    MATH = "math"


_TITLES = {
    Situation.JSONL: "A model made better on problems of your own.",
    Situation.GSM8K: "A model made better on GSM8K, grade-school word problems.",
    Situation.MATH: "A model made better on MATH, competition problems.",
}
_COMPLETION_TOKENS = {Situation.JSONL: 1024, Situation.GSM8K: 1024, Situation.MATH: 2048}


def config_text(
    name: str, situation: Situation, model: ModelFacts, data: OwnData | None = None
) -> str:
    """The TOML; it is parsed before it is given, so every key in it is one.

    Raises:
        InputError: if the name can't be a run's.
    """
    longest = model.context or _MODEL_TOKENS
    completion = min(_COMPLETION_TOKENS[situation], longest // 2)
    text = _filled(
        "config",
        title=_TITLES[situation],
        name=toml_value(name),
        model=toml_value(model.path),
        change=_FIRST if model.path == DEFAULT_MODEL else "",
        style=_style(model),
        problems=_own_problems(data) if situation is Situation.JSONL else _filled(situation),
        model_len=str(min(_MODEL_TOKENS, longest)),
        completion=str(completion),
        row=str(min(completion + _PROMPT_TOKENS, longest)),
        weights=_filled("all_weights" if model.is_small else "adapters").rstrip(),
    )
    parse_config(RunConfig, tomllib.loads(text), "the config")
    return text


def new_config(folder: Path) -> Path:
    """The file that a config can be written to, in a folder that may not be there yet.

    Raises:
        InputError: if there is one already, or the folder is none.
    """
    file = folder / CONFIG_NAME
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder that is there, or a new one")
    if file.exists():
        raise InputError(f"{file} is there already and is not overwritten; give another folder")
    return file


def write_config(file: Path, text: str) -> None:
    """Write the config; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def run_name(folder: Path) -> str:
    """The folder's name, as far as it can name a run."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:100] or "run"


def _style(model: ModelFacts) -> str:
    if model.has_chat_template:
        return 'style = "chat"  # the model\'s own chat template; "plain" for a model without one'
    return 'style = "plain"  # the text as it is: the model has no chat template'


def _own_problems(data: OwnData | None) -> str:
    if data is None:
        return _filled(
            "jsonl",
            **_cuts(200, 200),
            path=toml_value(PLACEHOLDER),
            columns=toml_value({"problem": "problem", "reference_answer": "reference_answer"}),
            train="the rest",
            change=f"\n# {_FIRST}path and columns, three times; and how much dev and test take.",
        )
    # TOML has no word for None: the name is written empty.
    no_answer = {} if data.columns.reference_answer else {"reference_answer": ""}
    return _filled(
        "jsonl",
        **_cuts(data.cuts.dev, data.cuts.test),
        path=toml_value(str(data.path.resolve())),
        columns=toml_value(data.columns.model_dump(exclude_none=True) | no_answer),
        train=f"the rest, {data.cuts.train:,} problems",
        change="",
    )


def _cuts(dev: int, test: int) -> dict[str, str]:
    return {"dev": str(dev), "test": str(test), "held_out": str(dev + test)}


def _filled(file: str, /, **values: str) -> str:
    text = (_TEXTS / f"{file}.toml").read_text(encoding="utf-8")
    return Template(text).substitute(values)
