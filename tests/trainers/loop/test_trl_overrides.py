"""The list of what we replace inside TRL: true of what is installed, and complete."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import trl
from transformers import Trainer, TrainerCallback

from trainers.config import AnyTrainer
from trainers.loop.trl_overrides import OVERRIDES, RELIANCES, Override, Reliance

KINDS = [config.model_fields["kind"].default for config in get_args(AnyTrainer)]
THEIRS = {
    "Trainer": Trainer,
    "TrainerCallback": TrainerCallback,
    **{f"{kind.upper()}Trainer": getattr(trl, f"{kind.upper()}Trainer") for kind in KINDS},
}


def ours() -> list[type]:
    """Our subclasses of their trainers and callbacks."""
    for kind in KINDS:
        importlib.import_module(f"trainers.{kind}.training")
    found, left = [], [Trainer, TrainerCallback]
    while left:
        left += (below := left.pop().__subclasses__())
        found += [each for each in below if each.__module__.startswith("trainers.")]
    return list(dict.fromkeys(found))


def bases(of: type) -> list[type]:
    """Their classes above one of ours, nearest first."""
    return [base for base in of.__mro__ if base.__module__.split(".")[0] in ("trl", "transformers")]


@cache
def attributes(of: type) -> frozenset[str]:
    """What a class's own code puts on itself and its instances."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    return frozenset(vars(of)) | frozenset(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node)
    )


def is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "trainer")


def owner(of: type, member: str) -> str | None:
    """Their nearest class above one of ours that has a member."""
    return next((base.__name__ for base in bases(of) if member in attributes(base)), None)


def replaced() -> Iterator[tuple[type, str, str]]:
    """(our class, their class, method) of each method of ours in place of theirs."""
    for each in ours():
        for member, value in vars(each).items():
            theirs = owner(each, member)
            if theirs and inspect.isfunction(value) and not member.startswith("__"):
                yield each, theirs, member


def parameters(of: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(of).parameters.values())[1:]


@pytest.mark.parametrize("entry", OVERRIDES, ids=lambda e: f"{e.of}.{e.member}")
def test_what_we_replace_is_there_and_takes_what_ours_names(entry: Override) -> None:
    theirs = parameters(vars(THEIRS[entry.of])[entry.member])
    assert tuple(each.name for each in theirs)[: len(entry.takes)] == entry.takes


def test_ours_take_everything_that_theirs_take() -> None:
    for each, theirs, member in replaced():
        names = parameters(vars(THEIRS[theirs])[member])
        given = [each for each in names if each.kind is each.POSITIONAL_OR_KEYWORD]
        inspect.signature(vars(each)[member]).bind("self", *given)


def test_every_method_that_we_replace_is_listed() -> None:
    listed = {(entry.of, entry.member) for entry in OVERRIDES}
    assert {(theirs, member) for _, theirs, member in replaced()} == listed
    assert len(OVERRIDES) == len(listed)


@pytest.mark.parametrize("entry", RELIANCES, ids=lambda e: f"{e.of}.{e.member}")
def test_what_we_rely_on_is_there(entry: Reliance) -> None:
    assert entry.member in attributes(THEIRS[entry.of])


def rooms(of: type) -> set[Path]:
    mine = [each for each in of.__mro__ if each.__module__.startswith("trainers.")]
    return {Path(inspect.getfile(each)).parent for each in mine}


def used() -> Iterator[tuple[str, str]]:
    """(their farthest class, member) of what a trainer of ours, and what is beside it, uses."""
    for each in ours():
        if not issubclass(each, Trainer):
            continue
        files = [file for room in rooms(each) for file in room.glob("*.py")]
        nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
        names = {node.attr for node in nodes if isinstance(node, ast.Attribute) and is_self(node)}
        for name in names:
            owners = [base.__name__ for base in bases(each) if name in attributes(base)]
            yield from ((theirs, name) for theirs in owners[-1:])


def test_every_private_or_added_member_that_we_use_is_listed() -> None:
    found = {(of, name) for of, name in used() if of != "Trainer" or name.startswith("_")}
    replaced_too = {(entry.of, entry.member) for entry in OVERRIDES}
    assert found - replaced_too == {(entry.of, entry.member) for entry in RELIANCES}
