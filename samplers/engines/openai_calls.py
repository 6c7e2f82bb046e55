"""Calls of an OpenAI-compatible server: one completion each, tried until it is there.

The `openai` package's own retries are off for completions (checked against 3.52): they know nothing
of an answer that can't be used, can't be ended while they wait, and give up where `Retry-After` is
above two minutes. Its connections, its headers and its errors are used.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any

from openai import APIConnectionError, APIStatusError, OpenAI, OpenAIError, Timeout

from ratchet.errors import InputError
from ratchet.generation.engine import PROMPT_TOO_LONG
from samplers.config import OpenAIEngineConfig
from samplers.engines.openai_wire import (
    BAD_ANSWER,
    REQUEST_REFUSED,
    SERVER_ERROR,
    Asked,
    BadAnswer,
    ServerAnswer,
    WireForm,
    is_too_long,
    no_answer,
    read_answer,
    room_of,
)

FIRST_WAIT = 0.5
"""Seconds before the second try; each further wait is twice as long, up to `LONGEST_WAIT`."""
LONGEST_WAIT = 30.0
LONGEST_RETRY_AFTER = 600.0
"""Seconds that a server may have us wait by `Retry-After`."""

_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 30.0
_FOR_NOW = {408, 409, 425, 429}
_FILTERED = {"content_filter", "content_policy_violation"}
_MOST_SHOWN = 500
_MOST_MODELS = 20


class _TryAgain(Exception):
    """This try failed, the next may not. `after`: seconds that the server asks us to wait."""

    def __init__(self, answer: ServerAnswer, after: float | None = None) -> None:
        super().__init__(answer.why)
        self.answer = answer
        self.after = after


def pause(tries: int, after: float | None) -> float:
    """Seconds before the next try, after `tries` that failed before this one.

    A little by chance, so that requests that failed together don't come back together.
    """
    if after is not None:
        return min(after, LONGEST_RETRY_AFTER) * random.uniform(1.0, 1.1)
    return float(min(FIRST_WAIT * 2.0 ** min(tries, 30), LONGEST_WAIT)) * random.uniform(0.75, 1.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` says (RFC 9110, 10.2.3), as a number or a date; None for none."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return seconds if seconds > 0 else None


def _key_of(config: OpenAIEngineConfig) -> str:
    """The key; empty where there is none.

    Raises:
        InputError: if it can't be sent in a header. The text that HTTP libraries have for that
            holds the key.
    """
    key = os.environ.get(config.api_key_env, "").strip() if config.api_key_env else ""
    if not key.isascii() or not key.isprintable():
        raise InputError(
            f"the environment variable {config.api_key_env} holds characters that no key has (not "
            "shown); set it anew"
        )
    return key


class ServerCalls:
    """One server and the model that answers there. `draw` may be called by many threads."""

    def __init__(self, config: OpenAIEngineConfig) -> None:
        self._config = config
        self._key = _key_of(config)
        self._client = OpenAI(
            base_url=config.url,
            api_key=self._key or "none",  # the package wants one; a server without keys reads none
            max_retries=0,
            timeout=Timeout(config.timeout, connect=min(_CONNECT_SECONDS, config.timeout)),
        )
        self._form = WireForm()
        self._served: list[str] = []
        self.model = config.model

    def connect(self) -> None:
        """Find the server, and the model's name where the settings have none.

        Raises:
            InputError: if it can't be reached, refuses the key, or leaves open which model it is.
        """
        url = self._config.url
        try:
            self._served = self._list_models(_LOOK_SECONDS)
        except APIConnectionError as error:
            raise InputError(
                f"the server at {url} can't be reached ({self._reason(error)}); start it, or "
                "correct engine.url"
            ) from None
        except APIStatusError as error:
            if error.status_code == 401 or not self.model:
                raise self._advice(error) from None
        if not self.model:
            self.model = self._only_model()

    def _list_models(self, seconds: float) -> list[str]:
        """Empty where the answer is not understood; asked for again by the package."""
        client = self._client.with_options(max_retries=2, timeout=seconds)
        try:
            listed = json.loads(client.models.with_raw_response.list().text)["data"]
            return sorted(str(item["id"]) for item in listed)
        except (ValueError, TypeError, KeyError):
            return []

    def _only_model(self) -> str:
        if len(self._served) == 1:
            return self._served[0]
        raise InputError(
            f"the server at {self._config.url} has {self._shown_models()}, so it is open which is "
            "meant; set engine.model to the name of one"
        )

    def _shown_models(self) -> str:
        names = self._served
        if not names:
            return "named no models"
        more = f" and {len(names) - _MOST_MODELS} more" if len(names) > _MOST_MODELS else ""
        return f"{len(names)} models: {', '.join(names[:_MOST_MODELS])}{more}"

    def is_there(self) -> bool:
        """Whether the server answers anything at all."""
        try:
            self._list_models(_CONNECT_SECONDS)
        except APIConnectionError:
            return False
        except APIStatusError:
            return True
        return True

    def draw(self, asked: Asked, ended: Event) -> ServerAnswer:
        """One completion, or why there is none after all tries.

        Once `ended` is set it asks no more, and what it returns means nothing.

        Raises:
            InputError: if the server refuses the key, or has no such model.
        """
        failed = no_answer(SERVER_ERROR, "it was not asked")
        for tries in range(self._config.max_retries + 1):
            if ended.is_set():
                break
            try:
                return self._ask(asked)
            except _TryAgain as error:
                failed, after = error.answer, error.after
            if tries < self._config.max_retries:
                ended.wait(pause(tries, after))
        return failed

    def _ask(self, asked: Asked) -> ServerAnswer:
        try:
            return read_answer(self._exchange(asked), self._config.api, self.model)
        except BadAnswer as error:
            raise _TryAgain(no_answer(BAD_ANSWER, self._hidden(str(error)))) from None
        except APIStatusError as error:
            return self._refused(error)
        except OpenAIError as error:
            answer = no_answer(SERVER_ERROR, self._reason(error), unreachable=True)
            raise _TryAgain(answer) from None

    def _exchange(self, asked: Asked) -> str:
        """The body of an answer. What a server refuses in a request's wording is left out, and for
        the requests that follow as well, once it has helped."""
        form = self._form
        while True:
            try:
                body = self._send(asked, form)
            except APIStatusError as error:
                refused = error.status_code in {400, 422}
                other = form.reworded(self._words(error)) if refused else None
                if other is None:
                    raise
                form = other
            else:
                if form.has_limit:
                    self._form = form
                return body

    def _send(self, asked: Asked, form: WireForm) -> str:
        fields = form.fields(self._config.api, asked)
        if isinstance(asked.prompt, str):
            text = self._client.completions.with_raw_response
            return str(text.create(model=self.model, prompt=asked.prompt, extra_body=fields).text)
        chat = self._client.chat.completions.with_raw_response
        messages: Any = asked.prompt
        return str(chat.create(model=self.model, messages=messages, extra_body=fields).text)

    def _refused(self, error: APIStatusError) -> ServerAnswer:
        """What an error's status means for one completion.

        Raises:
            InputError: if it is the same for all, until the user does something.
            _TryAgain: if it may pass.
        """
        status, words = error.status_code, self._words(error)
        why = f"status {status}: {words}"
        if status in {401, 402, 403, 404, 405} or error.code == "insufficient_quota":
            raise self._advice(error) from None
        if status in _FOR_NOW or status >= 500:
            after = retry_after(error.response.headers)
            raise _TryAgain(no_answer(SERVER_ERROR, why), after) from None
        if is_too_long(words):
            return no_answer(PROMPT_TOO_LONG, why, limit=room_of(words))
        return no_answer(REQUEST_REFUSED, why, by_settings=error.code not in _FILTERED)

    def _advice(self, error: APIStatusError) -> InputError:
        """What to do. Nothing is quoted where the key is wrong, as some quote a part of it."""
        url, name, status = self._config.url, self._config.api_key_env, error.status_code
        said = f"the server at {url} said (status {status}): {self._words(error)}"
        if status == 401:
            given = f"that {name} holds" if self._key else "it was given, which is none"
            to_do = f"set the environment variable {name or 'that engine.api_key_env names'}"
            return InputError(
                f"the server at {url} does not take the key {given} (status 401); {to_do} to a key "
                "of that server"
            )
        if status == 403:
            return InputError(
                f"{said}\nthe key may not use model {self.model!r}; have it allowed, or set "
                "engine.model to another"
            )
        if status in {404, 405}:
            return InputError(
                f"{said}\nit has no model {self.model!r}, or its API is elsewhere; it "
                f"{'has ' if self._served else ''}{self._shown_models()}; correct engine.model, or "
                "engine.url, which usually ends in /v1"
            )
        return InputError(f"{said}\nsee to that, then go on with the run")

    def _words(self, error: APIStatusError) -> str:
        """What the server says, short, on one line, and without the key."""
        body: Any = error.body
        told = body.get("message") or body if isinstance(body, Mapping) else error.response.text
        code = f" ({error.code})" if error.code and not isinstance(error.code, int) else ""
        return self._hidden(" ".join(str(told).split())[:_MOST_SHOWN] + code)

    def _reason(self, error: BaseException) -> str:
        """Why nothing came back: the first cause says it best."""
        while error.__cause__ is not None:
            error = error.__cause__
        text = " ".join(str(error).split()) or type(error).__name__
        return self._hidden(text[:_MOST_SHOWN])

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "(key not shown)") if self._key else text
