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


def owners(of: type, member: str) -> list[type]:
    """Their classes above one of ours that have a member, nearest first."""
    return [base for base in bases(of) if member in attributes(base)]


def replaced() -> Iterator[tuple[Any, str, list[type]]]:
    """Each method of ours in place of theirs, its name, and their classes that have it.

    What all our trainers share comes before TRL's own as well, so it is looked for above each kind.
    """
    for each in ours():
        for mine in (base for base in each.__mro__ if base.__module__.startswith("trainers.")):
            for member, method in vars(mine).items():
                theirs = owners(each, member)
                if theirs and inspect.isfunction(method) and not member.startswith("__"):
                    yield method, member, theirs


def parameters(of: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(of).parameters.values())[1:]


@pytest.mark.parametrize("entry", OVERRIDES, ids=lambda e: f"{e.of}.{e.member}")
def test_what_we_replace_is_there_and_takes_what_ours_names(entry: Override) -> None:
    theirs = parameters(vars(THEIRS[entry.of])[entry.member])
    assert tuple(each.name for each in theirs)[: len(entry.takes)] == entry.takes


def test_ours_take_everything_that_theirs_take() -> None:
    for method, member, theirs in replaced():
        names = parameters(vars(theirs[0])[member])
        given = [each for each in names if each.kind is each.POSITIONAL_OR_KEYWORD]
        inspect.signature(method).bind("self", *given)


def test_every_method_that_we_replace_is_listed() -> None:
    listed = {(entry.of, entry.member) for entry in OVERRIDES}
    found = [{(of.__name__, member) for of in theirs} for _, member, theirs in replaced()]
    assert [names for names in found if not names & listed] == []
    assert listed <= set().union(*found)
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
            yield from ((theirs.__name__, name) for theirs in owners(each, name)[-1:])


def test_every_private_or_added_member_that_we_use_is_listed() -> None:
    found = {(of, name) for of, name in used() if of != "Trainer" or name.startswith("_")}
    replaced_too = {(entry.of, entry.member) for entry in OVERRIDES}
    assert found - replaced_too == {(entry.of, entry.member) for entry in RELIANCES}
