"""What a model may try instead of an answer: each trick has a reason of its own.

A guard looks at one completion and its grade. It needs the problem's text for `repeats_problem`;
without it that guard is silent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from ratchet.verifier.compare.forms import form_of, node_of, parts_of
from ratchet.verifier.compare.normal import normalise
from ratchet.verifier.compare.numbers import decimal_places
from ratchet.verifier.compare.parts import Node
from ratchet.verifier.compare.tiers import compare_plain
from ratchet.verifier.find.extraction import Extracted, extract_answer
from ratchet.verifier.rules import AnswerRules

GuardReason = Literal[
    "several_answers",
    "alternatives",
    "repeats_problem",
    "empty_reasoning",
    "sentence",
    "run_on",
    "unevaluated",
]

MAX_WORDS = 5
"""Words of prose that an answer may have where its reference has none."""
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_STYLE = re.compile(r"\\(?:text\w*|mbox|mathrm|mathbf|operatorname)(?=\s*\{)|\\[a-zA-Z]+")
_OPERATION = re.compile(r"[-+*/^!=(]|\\(?:frac|sqrt|cdot|times|binom|sum|int)")
_COLLECTIONS = ("list", "set", "tuple")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


def guard_completion(completion: str, found: Extracted, policy: AnswerRules) -> GuardReason | None:
    """Why a completion is turned down whatever it answers; needs no comparison."""
    if policy.min_reasoning_chars and _reasoning(completion, found) < policy.min_reasoning_chars:
        return "empty_reasoning"
    if policy.run_on == "reject" and _answers_again(completion[found.read_until :]):
        return "run_on"
    return None


def guard_wrong(reference: str, answer: str) -> GuardReason | None:
    """What a different answer was, if it was more than just wrong."""
    if len(answer) > 2_000:
        return None
    if _words(answer) > MAX_WORDS >= _words(reference):
        return "sentence"
    parts = list(parts_of(answer))
    if len(parts) > 1 and len(list(parts_of(reference))) == 1 and _among(reference, parts):
        return "alternatives"
    return None


def leaves_unevaluated(reference: str, answer: str, policy: AnswerRules) -> bool:
    """Whether an answer that only evaluation finds equal leaves a plain number to be worked out.

    The reference is a number or holds nothing but numbers. A decimal so long that it may stand
    for a root is none, and an inequality may describe an interval.
    """
    if policy.unevaluated == "accept":
        return False
    one, other = node_of(form_of(reference)), node_of(form_of(answer))
    alike = one.kind == "leaf" or other.kind in _COLLECTIONS
    return alike and _is_numeric(one, policy)


def _is_numeric(node: Node, policy: AnswerRules) -> bool:
    if node.kind in _COLLECTIONS:
        return all(_is_numeric(part, policy) for part in node.parts)
    places = decimal_places(node.text)
    may_be_rounded = bool(policy.decimal_places) and (places or 0) >= policy.decimal_places
    return form_of(node.text).number is not None and not may_be_rounded


def repeats_problem(problem: str, reference: str, answer: str) -> bool:
    """Whether an accepted answer is just a piece of the problem: `(x+1)^2`, told to expand it."""
    form = form_of(answer)
    if form.number is not None or not _OPERATION.search(form.text) or len(form.text) < 4:
        return False
    if form.text.replace(" ", "") == form_of(reference).text.replace(" ", ""):
        return False
    return form.text.replace(" ", "") in _squeezed(problem)


@lru_cache(maxsize=2_000)
def _squeezed(problem: str) -> str:
    return normalise(problem.replace("$", " ")).replace(" ", "")


def _reasoning(completion: str, found: Extracted) -> int:
    return len("".join(completion[: found.start].split()))


def _answers_again(rest: str) -> bool:
    return bool(rest.strip()) and (
        _BOX.search(rest) is not None or extract_answer(rest) is not None
    )


def _words(answer: str) -> int:
    return len(_PROSE.findall(_STYLE.sub(" ", answer)))


def _among(reference: str, parts: list[str]) -> bool:
    def equal(part: str) -> bool:
        verdict = compare_plain(reference, part)
        return verdict is not None and verdict.reason != "different"

    return any(equal(part) for part in parts)
