"""Answers stated in prose: "The answer is ...", `A: n`, a bold or mathematical last line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

_PHRASE = re.compile(
    r"(?:\b(?:the|my|our)\s+(?:final\s+|correct\s+)?answer\s+(?:is|would be|should be|=)"
    r"|\bfinal answer\b(?:\s+is)?\**\s*[:=])(?:\s*\*\*)?[:\s]*(?:\*\*)?",
    re.IGNORECASE,
)
_FINAL_PHRASE = re.compile(r"\bfinal answer\b", re.IGNORECASE)
_DISPLAY = re.compile(r"\\\[(?:(?!\\\]).){0,500}\\\]|\$\$[^$]{1,500}\$\$", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<!\\)[.!?;](?=[\s\"”]|$)|\*\*(?=[\s.]|$)")
_AFTERTHOUGHT = re.compile(r"[,\s]\s*(?:because|since|which|so that|given that|as we)\b")
_MARKS = (
    r"[ \t]{0,8}(?:[#>]{1,6}[ \t]{0,8})?(?:[-+•*][ \t]{1,8})?(?:\*{1,3}|_{1,3})?"
    r"(?:(?:(?:Step|Part)[ \t])?\(?(?:\d{1,2}|[A-Z]|[IVX]{2,4})[.):]{1,2}[ \t]{0,8})?(?:\*{1,3})?"
)
_CLOSED = r"(?:\*{1,3}|_{1,3})?+"
_WORD = r"(?:(?:Final|FINAL|final) )?(?:Answer|ANSWER|answer)"
_LINE = re.compile(
    rf"^(?:{_MARKS}{_WORD}|[ \t]{{0,8}}(?:[#>]{{1,6}}[ \t]{{0,8}})?(?:\*\*)?A)"
    rf"(?:{_CLOSED}[ \t]{{0,8}}:{_CLOSED}"
    r"|\*{2,3}[ \t]{1,8}(?:[-–—=][ \t])?(?=[ \t]{0,8}[-\d$\\]))"
    r"[ \t]*(?=[^\n]*\w)([^\n]+)",
    re.MULTILINE,
)
_HEADING = re.compile(
    rf"^(?=[^\n]*[^\w\s]){_MARKS}{_WORD}:?{_CLOSED}:?[ \t]*\n\s*([^\n]+)",
    re.MULTILINE,
)
_HASH = re.compile(r"####[ \t]*([^\n]+)")
_NUMBER = re.compile(
    r"(?:(?<![\w)}\]])[-+])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+)?|\.\d+)"
)
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*[ \t.]*$")
_MATH = re.compile(
    r"\$\$(.{1,1000}?)\$\$|\\\[(.{1,1000}?)\\\]|\\\((?!\s*\n)([^\n]{1,500}?)\\\)"
    r"|(?<![\\$])\$(?!\s*\n)((?:\\.|[^$\n\\]){1,500})(?<!\\)\$",
    re.DOTALL,
)
_AFTER_MATH = re.compile(
    r"[\s.,;*]*(?:(?:is|are) (?:the|our|my) (?:final )?(?:answer|solution)s?|I hope it is correct|"
    r"(?:more |different )?(?P<unit>pct|percent(?:age)?|%|[A-Za-z]{1,3}/[A-Za-z]{1,3}|"
    r"(?:(?:square|cubic) )?[A-Za-z]{2,12}(?: (?:per|an?) [A-Za-z]{2,12}| squared| cubed)?))?"
    r"[\s.!$*]*$"
)
_BEFORE_MATH = re.compile(
    r"(?:^|\b(?:is|are|be|get|have|that|find|gives|obtain|equals|answer|therefore|thus|hence|so|"
    r"multiplying by identity|and)\b|[:=,])[\s:,$]*$",
    re.IGNORECASE,
)
_HOPE = re.compile(r"\s*I hope (?:it|this) (?:is correct|helps)[.!]*\s*$")
_CONCLUDING = re.compile(
    r".*(?:^|\s)((?:Therefore|Thus|Hence|So|In conclusion|Finally|In total|Altogether)\b.*)"
)
_SAID = re.compile(
    r".*(?:\b(?:is|are|be(?=\s+[*\\$\d])|equals|was|it's)|=)\s+(?:approximately |about )?"
    r"([^\s].{0,80})$"
)
_VALUE = re.compile(
    r"[-+]?(?:\\?[$€£])?\s?\d[\d,. ]*(?:/\d+)?\s?(?:\\?[%€£$]|[a-zA-Z°²³][a-zA-Z²³/ .]{0,25})?"
    r"|[-+]?\.\d+"
)
_VALUES = re.compile(rf"{_MATH.pattern}|{_NUMBER.pattern}", re.DOTALL)
_COMMAND = re.compile(r"\\(?![$%])")
_DENIED = re.compile(r"(?:\b(?:not|never|cannot|neither)|n't)\b[A-Za-z\s]{0,25}$", re.IGNORECASE)
_SENTENCE_BREAK = re.compile(r"(?<=[.!?])\s+(?=[A-Z\\$])|\n+")
_WHOLE_WORDS = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}")
_CLOSERS = "*.!,; \t\r"


@dataclass(frozen=True, slots=True)
class Statement:
    """A stated answer, and where its text begins and ends."""

    answer: str
    start: int
    end: int
    rivals: tuple[str, ...] = ()


def phrase(text: str, start: int = 0) -> Statement | None:
    """What the last "the answer is" at or behind `start` names."""
    opening = _last(_PHRASE, text, start) if "nswer" in text or "NSWER" in text else None
    if opening is None:
        return None
    begin = opening.end()
    if display := _DISPLAY.match(text, begin):
        return Statement(display.group(), opening.start(), display.end())
    line_end = text.find("\n", begin)
    end = len(text) if line_end < 0 else line_end
    stop = _SENTENCE_END.search(text, begin + 1, end)
    end = stop.start() if stop else end
    return _named(text, begin, end)


def final_phrase(text: str, start: int) -> Statement | None:
    """A "Final Answer: ..." at or behind `start`, with something in it."""
    if "inal " not in text[start:] and "INAL " not in text[start:]:
        return None
    return phrase(text, start) if _FINAL_PHRASE.search(text, start) else None


def _named(text: str, start: int, end: int) -> Statement | None:
    """The answer in a statement, without its subject and its reasons."""
    if cut := _AFTERTHOUGHT.search(text, start + 1, end):
        end = cut.start()
    subject = max(text.rfind(f" {verb} ", start, end) for verb in ("is", "are"))
    begin = start if subject < 0 else text.index(" ", subject + 1) + 1
    found = _trimmed(text, begin, end)
    if found and len(_WHOLE_WORDS.findall(found.answer)) > 4:
        numbers = list(_NUMBER.finditer(found.answer))
        if len(numbers) == 1 and "$" not in found.answer and "\\" not in found.answer:
            return Statement(numbers[0].group(), begin, found.end)
    return found


def hash_line(text: str) -> Statement | None:
    """`#### 18`. The first counts where the text goes on from it; neighbours that differ clash."""
    if "####" not in text:
        return None
    lines = [s for m in _HASH.finditer(text) if (s := _trimmed(text, *m.span(1)))]
    if not lines:
        return None
    first = lines[0]
    rivals = {
        other.answer
        for other in lines[1:]
        if other.answer != first.answer and not text[first.end : other.start].strip("# \n\t.")
    }
    return Statement(first.answer, first.start, first.end, tuple(sorted(rivals)))


def answer_line(text: str) -> Statement | None:
    """The last line `A: 18` or `3. Answer: 18`, or what stands below a heading "Answer".

    Rivals are other such lines right above it: a list of guesses, one of which may be right.
    """
    if not ("A:" in text or "nswer" in text or "NSWER" in text):
        return None
    lines = sorted((*_LINE.finditer(text), *_HEADING.finditer(text)), key=lambda m: m.start(1))
    found = _on_line(text, lines[-1]) if lines else None
    if found is None or len(lines) < 2:
        return found
    above = _right_above(text, lines)
    return replace(found, rivals=tuple(answer for answer in above if answer != found.answer))


def _on_line(text: str, line: re.Match[str]) -> Statement | None:
    """What a line answers: a display that begins there, or the one value of a sentence."""
    if display := _DISPLAY.match(text, line.start(1)):
        return Statement(display.group(), display.start(), display.end())
    stated = _trimmed(text, *line.span(1))
    if stated is None or len(_WHOLE_WORDS.findall(stated.answer)) <= 4:
        return stated
    value = _only_value(stated.answer)
    return replace(stated, answer=value.group()) if value else stated


def _right_above(text: str, lines: Sequence[re.Match[str]]) -> Iterator[str]:
    """What lines say that nothing but white space parts from the last one."""
    for line, following in zip(reversed(lines[:-1]), reversed(lines), strict=False):
        if text[line.end() : following.start()].strip():
            return
        if line.start(1) < following.start() and (stated := _on_line(text, line)):
            yield stated.answer


def last_number(text: str) -> Statement | None:
    """The last number of a text."""
    match = _last(_NUMBER, text)
    return Statement(match.group(), match.start(), match.end()) if match else None


def bold_line(text: str) -> Statement | None:
    """The bold end of the last line, `... **18**.`"""
    if "**" not in text:
        return None
    body = text.rstrip()
    start = body.rfind("\n") + 1
    match = _BOLD.search(body, start)
    if match is None or match[1].rstrip().endswith(":") or match[1].lower().startswith("step"):
        return None
    inside = phrase(match[1] + "\n") or answer_line(match[1])
    answer = inside.answer if inside else match[1].rpartition(": ")[2].strip(_CLOSERS)
    return Statement(answer, match.start(1), match.end()) if answer else None


def last_math(text: str) -> Statement | None:
    """The formula that ends the text's last sentence, `... we find $x < 3$.`"""
    if "$" not in text and "\\" not in text:
        return None
    body = _HOPE.sub("", text.rstrip())
    start = max(body.rfind("\n\n"), len(body) - 1500, 0)
    spans = list(_MATH.finditer(body, start))
    if not spans:
        return None
    last = spans[-1]
    behind = body[last.end() :]
    before = body[: last.start()].rpartition("\n\n")[2]
    after = _AFTER_MATH.fullmatch(behind)
    if not after or not (_BEFORE_MATH.search(before) or _is_opening(before)):
        return None
    content = next(part for part in last.groups() if part is not None).strip()
    if unit := after["unit"]:
        content += (
            rf"\text{{ {unit}}}" if content.endswith("}") and "text" not in content else f" {unit}"
        )
    return Statement(content, last.start(), last.end()) if content else None


def _is_opening(before: str) -> bool:
    return len(before) < 40 and before.rstrip().endswith((":", "matrix", "Answer"))


def conclusion(text: str) -> Statement | None:
    """The one value that the last sentence, or a text of one short line, comes to."""
    body = _HOPE.sub("", text.rstrip())
    ended = body.endswith((".", "!", "**"))
    sentence = _SENTENCE_BREAK.split(body[-600:])[-1].strip(_CLOSERS)
    is_alone = len(sentence) >= len(body) - 3 and len(body) <= 80
    concluding = _CONCLUDING.fullmatch(sentence)
    if not is_alone and not (ended and concluding):
        return None
    sentence = concluding[1] if concluding else sentence
    start = len(body) - len(body[-600:]) + body[-600:].rfind(sentence)
    if (said := _SAID.search(sentence)) and _VALUE.fullmatch(said[1].strip(_CLOSERS)):
        if _DENIED.search(sentence[: said.start(1)]):
            return None
        return Statement(said[1].strip(_CLOSERS), start + said.start(1), len(body))
    value = _only_value(sentence) if concluding else None
    return Statement(value.group(), start + value.start(), len(body)) if value else None


def _only_value(sentence: str) -> re.Match[str] | None:
    """The one number or formula of a sentence that does not deny it."""
    values = list(_VALUES.finditer(sentence))
    if len(values) != 1:
        return None
    (value,) = values
    before, behind = sentence[: value.start()], sentence[value.end() :]
    is_prose = len(_WHOLE_WORDS.findall(value.group())) > 1
    has_digit = any(symbol.isdigit() for symbol in value.group())
    if not has_digit or is_prose or _COMMAND.search(before + behind):
        return None
    return None if _DENIED.search(before.rstrip("$*\\ ")) else value


def whole(text: str) -> Statement | None:
    """A text that is nothing but an answer: one short line without a sentence in it."""
    body = text.strip()
    if not body or len(body) > 200 or "boxed" in body or "\n" in body.strip("$\\[]() \n"):
        return None
    words = _WHOLE_WORDS.findall(body)
    has_math = any(symbol in body for symbol in "\\=^_$") or body[0] in "([{-"
    limit = 4 if has_math else 3
    if len(words) > limit or body.endswith((":", "?")) or not re.search(r"\w", body):
        return None
    if words and not has_math and not (body[0].isdigit() or len(words) == 1):
        return None
    return _trimmed(text, 0, len(text))


def _last(pattern: re.Pattern[str], text: str, start: int = 0) -> re.Match[str] | None:
    last = None
    for last in pattern.finditer(text, start):  # noqa: B007
        pass
    return last


def _trimmed(text: str, start: int, end: int) -> Statement | None:
    piece = text[start:end]
    answer = piece.rstrip(_CLOSERS + "\n").lstrip("* \t\n")
    return Statement(answer, start, start + len(piece.rstrip(_CLOSERS))) if answer else None
