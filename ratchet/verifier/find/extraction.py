"""Where a completion states its final answer.

Under `answer_format="auto"` these rules are tried, the surest first:

- `json`: the field `"answer"` of an object; `answer_tag`: `<answer>18</answer>`; `boxed`: the last
  balanced `\\boxed{...}` or `\\fbox{...}` (several that belong together are joined). Of these the
  one that stands last counts, unless a "Final Answer: ..." follows it;
- `hash`: `#### 18`; `the_answer_is`: "The answer is 18."; `answer_line`: a line `A: 18`;
- `bold`: a last line that ends `**18**`; `latex`: a formula that ends the last sentence;
  `conclusion`: "Therefore she has 18 left."; `whole`: a text that is nothing but an answer.

`last_number`, the last number of the text, is never read under `auto`: where nobody stated an
answer there is none. What follows the heading of a second problem ("Question: ...") or a chat
model's marks is not read, so long as a final answer stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from ratchet.verifier.find import statements
from ratchet.verifier.find.boxes import boxed_answer
from ratchet.verifier.find.json import json_answer

Rule = Literal[
    "json",
    "answer_tag",
    "boxed",
    "hash",
    "the_answer_is",
    "answer_line",
    "bold",
    "latex",
    "conclusion",
    "whole",
    "last_number",
]
AnswerFormat = Literal[
    "auto",
    "boxed",
    "hash",
    "the_answer_is",
    "answer_line",
    "last_number",
    "answer_tag",
    "json",
    "bold",
    "latex",
]

SURE_RULES: tuple[Rule, ...] = ("json", "answer_tag", "boxed")
PROSE_RULES: tuple[Rule, ...] = (
    "hash",
    "the_answer_is",
    "answer_line",
    "bold",
    "latex",
    "conclusion",
    "whole",
)
_OPEN_ENDED: frozenset[Rule] = frozenset(
    {"hash", "the_answer_is", "answer_line", "latex", "conclusion", "whole", "last_number"}
)
_FORMATS = frozenset(get_args(AnswerFormat))


@dataclass(frozen=True, slots=True)
class Extracted:
    """A final answer, the rule that found it, where its statement begins, and the offset behind.

    `rivals` are other final answers of the same text that were not taken back; `is_whole` is
    False where the text ended before the answer did; `read_until` is where a second problem
    begins, or the text's end.
    """

    answer: str
    rule: Rule
    end: int
    start: int = 0
    rivals: tuple[str, ...] = ()
    is_whole: bool = True
    read_until: int = 0


_RUN_ON = re.compile(
    r"^[ \t]{0,8}(?:[#*>\-]{1,6}[ \t]{0,8})?(?:"
    r"(?:(?:Next |New |Another |Second |Follow-up )?(?:Question|Problem|Exercise|Example)"
    r"(?:[ \t]+\#?\d+)?|Q\d*|Human|User|Instruction|Input|Student)\**[ \t]*:"
    r"|(?:Next |New |Another |Second )(?:question|problem)\b"
    r"|(?:Question|Problem|Exercise)[ \t]+\d+\b"
    r"|\#+[ \t]*(?:Question|Problem|Instruction|Exercise)\b"
    r"|(?:\#+[ \t]*)?(?:Now,? )?(?:[Pp]lease (?:answer|solve)|[Ss]olve) (?:this|the following)\b"
    r")"
    r"|<\|(?:im_start|im_end|eot_id|eom_id|endoftext|end_of_text|start_header_id|end|user)\|>|</s>",
    re.MULTILINE,
)
_REQUEST = re.compile(
    r"^[^\n]{0,80}?\b(?:solve|answer) the following (?:problem|question)\b", re.MULTILINE
)
_TAG = re.compile(r"<answer>(.*?)(</answer>|\Z)", re.DOTALL | re.IGNORECASE)


def extract_answer(completion: str, answer_format: AnswerFormat = "auto") -> Extracted | None:
    """The final answer that `completion` states, or None where it states none.

    Takes time linear in the text, whatever the text is.

    Raises:
        ValueError: if `answer_format` is unknown.
    """
    if answer_format not in _FORMATS:
        known = ", ".join(get_args(AnswerFormat))
        raise ValueError(f"answer_format={answer_format!r} is unknown; it is one of {known}")
    for start, end in _readings(completion):
        text = completion[start:end] if start or end < len(completion) else completion
        found = _auto(text) if answer_format == "auto" else _FINDERS[answer_format](text)
        if found is not None:
            return _placed(found, start, end)
    return None


def _placed(found: Extracted, start: int, end: int) -> Extracted:
    """`found` in the text from `start` to `end`, with offsets in the whole."""
    return Extracted(
        found.answer,
        found.rule,
        found.end + start,
        found.start + start,
        found.rivals,
        found.is_whole,
        end,
    )


def last_boxed(text: str) -> str | None:
    """The content of the last balanced `\\boxed{...}`, or None."""
    found = boxed_answer(text)
    return found.answer if found else None


def may_be_cut(found: Extracted | None, completion: str) -> bool:
    """Whether a length limit at the completion's end came before its answer, or within it."""
    if found is None or found.rule == "last_number" or not found.is_whole:
        return True
    return found.rule in _OPEN_ENDED and found.end >= len(completion.rstrip(" \t.!*"))


def _readings(completion: str) -> Iterator[tuple[int, int]]:
    """What to read, in turn: behind the thoughts up to a second problem, then past it, then all."""
    start = completion.rfind("</think>") + len("</think>") if "</think>" in completion else 0
    if start and not completion[start:].strip():
        start = 0
    heading = _heading(_RUN_ON, completion, start, len(completion))
    if "the following" in completion:
        heading = _heading(_REQUEST, completion, start, heading)
    if heading < len(completion):
        yield start, heading
    yield start, len(completion)
    if start:
        yield 0, len(completion)


def _heading(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    """Where the first match with some text before it begins; `end` where there is none."""
    for match in pattern.finditer(text, start, end):
        if text[start : match.start()].strip():
            return match.start()
    return end


def _auto(text: str) -> Extracted | None:
    sure = [found for rule in SURE_RULES if (found := _FINDERS[rule](text))]
    if sure:
        last = max(sure, key=lambda found: found.end)
        final = statements.final_phrase(text, last.end)
        return _of(final, "the_answer_is") if final else last
    for rule in PROSE_RULES:
        if (found := _FINDERS[rule](text)) is not None:
            return found
    return None


def _of(found: statements.Statement | None, rule: Rule) -> Extracted | None:
    if found is None:
        return None
    return Extracted(found.answer, rule, found.end, found.start, found.rivals)


def _boxed(text: str) -> Extracted | None:
    found = boxed_answer(text)
    return Extracted(found.answer, "boxed", found.end, found.start, found.rivals) if found else None


def _json(text: str) -> Extracted | None:
    found = json_answer(text)
    if found is None:
        return None
    answer = last_boxed(found.value) or _stated_in(found.value)
    return Extracted(answer, "json", found.end, found.start, is_whole=found.is_whole)


def _tag(text: str) -> Extracted | None:
    if "<answer>" not in text.lower():
        return None
    tags = [match for match in _TAG.finditer(text) if match[1].strip()]
    if not tags:
        return None
    last = tags[-1]
    inside = last_boxed(last[1]) or _stated_in(last[1].strip())
    said = dict.fromkeys(match[1].strip() for match in tags)
    rivals = tuple(said)[:-1] if len(said) > 1 else ()
    return Extracted(inside, "answer_tag", last.end(), last.start(), rivals, bool(last[2]))


def _stated_in(content: str) -> str:
    stated = statements.phrase(content) or statements.answer_line(content)
    return stated.answer if stated else content


def _prose(rule: Rule, find: Callable[[str], statements.Statement | None]) -> Finder:
    return lambda text: _of(find(text), rule)


Finder = Callable[[str], Extracted | None]
_FINDERS: dict[str, Finder] = {
    "json": _json,
    "answer_tag": _tag,
    "boxed": _boxed,
    "hash": _prose("hash", statements.hash_line),
    "the_answer_is": _prose("the_answer_is", statements.phrase),
    "answer_line": _prose("answer_line", statements.answer_line),
    "bold": _prose("bold", statements.bold_line),
    "latex": _prose("latex", statements.last_math),
    "conclusion": _prose("conclusion", statements.conclusion),
    "whole": _prose("whole", statements.whole),
    "last_number": _prose("last_number", statements.last_number),
}
