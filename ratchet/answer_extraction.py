"""Where a completion states its final answer.

Rules, tried in this order under `answer_format="auto"`; within a rule the last match counts:

- `boxed`: the last balanced `\\boxed{...}` or `\\fbox{...}` that is not empty;
- `hash`: `#### 18`, GSM8K's own way;
- `the_answer_is`: "The answer is 18.", up to the end of the sentence;
- `answer_line`: a line `A: 18` or `Answer: 18`;
- `last_number`: the last number of the text. Never under `auto`: where nobody stated an answer
  there is none.

A base model often goes on with a second problem after its answer ("Question: ..."). What follows
such a heading is not read, so long as a final answer stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

AnswerFormat = Literal["auto", "boxed", "hash", "the_answer_is", "answer_line", "last_number"]
Rule = Literal["boxed", "hash", "the_answer_is", "answer_line", "last_number"]

AUTO_RULES: tuple[Rule, ...] = ("boxed", "hash", "the_answer_is", "answer_line")


@dataclass(frozen=True, slots=True)
class Extracted:
    """A final answer, the rule that found it, and the offset just behind its text."""

    answer: str
    rule: Rule
    end: int


_BRACE_TOKEN = re.compile(r"\\{1,2}(?:boxed|fbox)\s*\{|\\[\\{}]|[{}]")
_BARE_BOXED = re.compile(r"\\boxed ([^\s{}$]+)")
_HASH = re.compile(r"####[ \t]*([^\n]+)")
_THE_ANSWER_IS = re.compile(
    r"(?:\bthe\s+(?:final\s+|correct\s+)?answer\s+is|\bfinal answer\**:)[:*\s]*", re.IGNORECASE
)
_STATED = re.compile(r"\\\[(?:(?!\\\]).){0,500}\\\]|[^\n]+", re.DOTALL)
_ANSWER_LINE = re.compile(r"^[ \t]*\**(?:A|Answer|ANSWER)\**:\**[ \t]*([^\n]+)", re.MULTILINE)
_NUMBER = re.compile(
    r"(?:(?<![\w)}\]])[-+])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+)?|\.\d+)"
)
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\*\*(?=[\s.]|$)")
_RUN_ON = re.compile(
    r"^[ \t#*]*(?:Question|Problem|Q|Human|User|Instruction)(?:[ \t]+\d+)?\**[ \t]*:", re.MULTILINE
)
_CLOSERS = "*.!,; \t\r"


def extract_answer(completion: str, answer_format: AnswerFormat = "auto") -> Extracted | None:
    """The final answer that `completion` states, or None where it states none.

    Takes time linear in the text, whatever the text is.

    Raises:
        ValueError: if `answer_format` is unknown.
    """
    if answer_format not in get_args(AnswerFormat):
        known = ", ".join(get_args(AnswerFormat))
        raise ValueError(f"answer_format={answer_format!r} is unknown; it is one of {known}")
    rules = AUTO_RULES if answer_format == "auto" else (answer_format,)
    for text in _readings(completion):
        for rule in rules:
            if (found := _FINDERS[rule](text)) is not None:
                return found
    return None


def last_boxed(text: str) -> str | None:
    """The content of the last balanced `\\boxed{...}`, or None."""
    found = _last_boxed(text)
    return found.answer if found else None


def _readings(completion: str) -> Iterator[str]:
    """The text before a run-on second problem, then the text with it."""
    heading = next(
        (m for m in _RUN_ON.finditer(completion) if completion[: m.start()].strip()), None
    )
    if heading:
        yield completion[: heading.start()]
    yield completion


def _last_boxed(text: str) -> Extracted | None:
    best: tuple[int, int] | None = None
    opened: list[int | None] = []
    for token in _BRACE_TOKEN.finditer(text):
        symbol = token.group()
        if symbol == "{":
            opened.append(None)
        elif symbol.endswith("{") and len(symbol) > 2:
            opened.append(token.end())
        elif symbol == "}" and opened:
            start = opened.pop()
            if start is not None and (best is None or start > best[0]):
                best = (start, token.start()) if text[start : token.start()].strip() else best
    if best is not None:
        return Extracted(text[best[0] : best[1]].strip(), "boxed", best[1] + 1)
    return _last_match(_BARE_BOXED, "boxed", text)


def _last_hash(text: str) -> Extracted | None:
    return _last_match(_HASH, "hash", text)


def _last_answer_line(text: str) -> Extracted | None:
    return _last_match(_ANSWER_LINE, "answer_line", text)


def _last_number(text: str) -> Extracted | None:
    return _last_match(_NUMBER, "last_number", text)


def _last_sentence(text: str) -> Extracted | None:
    opening = _last(_THE_ANSWER_IS, text)
    stated = _STATED.match(text, opening.end()) if opening else None
    if stated is None:
        return None
    start, end = stated.span()
    stop = _SENTENCE_END.search(text, start + 1, end)
    end = stop.start() if stop else end
    subject = text.rfind(" is ", start, end)
    return _trimmed(text, start if subject < 0 else subject + 4, end, "the_answer_is")


def _last_match(pattern: re.Pattern[str], rule: Rule, text: str) -> Extracted | None:
    match = _last(pattern, text)
    return _trimmed(text, *match.span(match.lastindex or 0), rule) if match else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for last in pattern.finditer(text):  # noqa: B007
        pass
    return last


def _trimmed(text: str, start: int, end: int, rule: Rule) -> Extracted | None:
    answer = text[start:end].rstrip(_CLOSERS).lstrip("* \t")
    return (
        Extracted(answer, rule, start + len(text[start:end].rstrip(_CLOSERS))) if answer else None
    )


_FINDERS: dict[Rule, Callable[[str], Extracted | None]] = {
    "boxed": _last_boxed,
    "hash": _last_hash,
    "the_answer_is": _last_sentence,
    "answer_line": _last_answer_line,
    "last_number": _last_number,
}
