"""What is sent to an OpenAI-compatible server for one completion, and what its answer says.

Plain JSON in and out, without a network. The fields are those of OpenAI's API reference
(https://platform.openai.com/docs/api-reference) and of `vllm serve`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from ratchet.generation.engine import Output, Sampling
from ratchet.records import FinishReason

Api: TypeAlias = Literal["chat", "completions"]

SERVER_ERROR = "server_error"
"""The server gave no answer, or an error of its own, each time."""
BAD_ANSWER = "bad_answer"
"""It answered, each time with something that can't be used."""
REQUEST_REFUSED = "request_refused"
"""It won't answer this request, however often it is asked."""

_FINISH_REASONS: dict[Any, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "repetition": "length",
}
_OPTIONAL = ("logprobs", "seed", "top_p")
_TOO_LONG = re.compile(
    r"context_length_exceeded|context (length|window)|(prompt|input) is too long", re.IGNORECASE
)
_LIMIT = re.compile(r"context length (?:is|of|\() ?(\d+)", re.IGNORECASE)
_MOST_SHOWN = 300


class BadAnswer(ValueError):
    """An answer that can't be used; the next one may be."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One completion: its prompt as messages (chat) or as a text (completions), and its seed."""

    prompt: list[dict[str, str]] | str
    sampling: Sampling
    seed: int
    template_args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """One completion, or why there is none.

    `error` is a stable code, `why` its story. `by_settings`: it may be the settings that the server
    refuses, and so every request. `unreachable`: nothing came back at all. `limit`: the tokens that
    it has room for, where the prompt is too long.
    """

    output: Output
    num_prompt_tokens: int = 0
    error: str | None = None
    why: str = ""
    by_settings: bool = False
    unreachable: bool = False
    limit: int | None = None


def no_answer(
    error: str,
    why: str,
    *,
    by_settings: bool = False,
    unreachable: bool = False,
    limit: int | None = None,
) -> ServerAnswer:
    """In place of a completion that there won't be."""
    return ServerAnswer(Output("", "error", 0), 0, error, why, by_settings, unreachable, limit)


@dataclass(frozen=True, slots=True)
class WireForm:
    """How a request is worded: servers differ in the fields that they take."""

    left_out: frozenset[str] = frozenset()
    limit_field: str = "max_tokens"
    has_limit: bool = True
    """Else a completion may go on to the context's end."""

    def fields(self, api: Api, asked: Asked) -> dict[str, Any]:
        """All fields of a request but the model and the prompt."""
        sampling = asked.sampling
        fields: dict[str, Any] = {
            "temperature": sampling.temperature,
            self.limit_field: sampling.max_tokens if self.has_limit else None,
            **self._optional(api, asked),
            **dict(sampling.extra),
        }
        if sampling.stop:
            fields["stop"] = list(sampling.stop)
        if api == "chat" and asked.template_args:
            fields["chat_template_kwargs"] = asked.template_args
        return fields

    def _optional(self, api: Api, asked: Asked) -> dict[str, Any]:
        """Those that a server may refuse. `top_p` is sent even where it is 1, lest the server takes
        what the checkpoint's own settings say."""
        # In "completions", 1 is the smallest number that gives the chosen token's everywhere.
        optional = {"logprobs": True if api == "chat" else 1, "seed": asked.seed}
        kept: dict[str, Any] = {
            name: value for name, value in optional.items() if name not in self.left_out
        }
        if asked.sampling.top_p < 1 or "top_p" not in self.left_out:
            kept["top_p"] = asked.sampling.top_p
        return kept

    def reworded(self, words: str) -> WireForm | None:
        """What to try after a refusal in these words; None where it is final.

        A prompt that fits only with a shorter completion than `max_tokens` is sent without that
        limit, as our other engines draw what there is room for.
        """
        if is_too_long(words):
            return replace(self, has_limit=False) if self.has_limit else None
        if "max_completion_tokens" in words and self.limit_field == "max_tokens":
            return replace(self, limit_field="max_completion_tokens")
        left = [name for name in _OPTIONAL if name not in self.left_out]
        refused = [name for name in left if name in words] or left[: left[:1] == ["logprobs"]]
        return replace(self, left_out=self.left_out | {refused[0]}) if refused else None


def is_too_long(words: str) -> bool:
    """Whether a refusal says that prompt and completion have no room."""
    return bool(_TOO_LONG.search(words))


def room_of(words: str) -> int | None:
    """The tokens that there is room for, where a refusal says so."""
    found = _LIMIT.search(words)
    return int(found[1]) if found else None


def read_answer(text: str, api: Api, model: str) -> ServerAnswer:
    """The completion in an answer's body.

    Raises:
        BadAnswer: if it holds none: no JSON, no choice, no text, another model's name, an end that
            is none.
    """
    body = _json_object(text)
    if not is_named(body.get("model"), model):
        raise BadAnswer(f"{str(body['model'])[:_MOST_SHOWN]!r} answered, not {model!r}")
    choice = _only_choice(body)
    usage = body.get("usage") or {}
    prompt_tokens = _count(usage, "prompt_tokens")
    reason = choice.get("finish_reason")
    if reason == "content_filter":
        return no_answer(REQUEST_REFUSED, "the server's content filter ended it")
    if reason not in _FINISH_REASONS:
        raise BadAnswer(f"its finish_reason is {reason!r}")
    content = _content(choice, api, cut=_FINISH_REASONS[reason] == "length")
    tokens = _count(usage, "completion_tokens")
    output = Output(content, _FINISH_REASONS[reason], tokens, _logprob(choice, api))
    return ServerAnswer(output, prompt_tokens)


def _json_object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        raise BadAnswer(f"it is no JSON: {text[:_MOST_SHOWN]!r}") from None
    if not isinstance(body, dict):
        raise BadAnswer(f"it is no JSON object: {text[:_MOST_SHOWN]!r}")
    return body


def is_named(answered: Any, asked: str) -> bool:
    """Whether an answer's model is the one asked for: no name, the same, or with a date behind it.

    Vendors answer as `name-2024-08-06` where `name` was asked for.
    """
    return answered is None or bool(re.fullmatch(re.escape(asked) + r"(-\d[\d-]*)?", str(answered)))


def _only_choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        # Some report their errors with status 200.
        said = body.get("error") or body
        raise BadAnswer(f"it has no choice: {str(said)[:_MOST_SHOWN]}")
    first: dict[str, Any] = choices[0]
    return first


def _content(choice: dict[str, Any], api: Api, *, cut: bool) -> str:
    """The text. There may be none where it was cut while the model thought, apart from the text."""
    message = choice.get("message")
    text = choice.get("text") if api == "completions" else None
    if api == "chat" and isinstance(message, dict):
        text = message.get("content")
    if text is None and cut:
        return ""
    if not isinstance(text, str):
        raise BadAnswer(f"its choice has no text: {str(choice)[:_MOST_SHOWN]}")
    return text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair can't be stored


def _count(usage: Any, name: str) -> int:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and count >= 0 else 0


def _logprob(choice: dict[str, Any], api: Api) -> float | None:
    """The sum over the tokens; None where the server gives none, or not all."""
    given = choice.get("logprobs")
    each: Any = None
    if isinstance(given, dict) and api == "chat":
        each = [
            isinstance(item, dict) and item.get("logprob") for item in given.get("content") or []
        ]
    elif isinstance(given, dict):
        each = given.get("token_logprobs")
    if not isinstance(each, list) or not each:
        return None
    if not all(isinstance(one, float | int) and not isinstance(one, bool) for one in each):
        return None
    total = math.fsum(each)
    return total if math.isfinite(total) else None
