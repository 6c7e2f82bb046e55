"""A local server that speaks OpenAI's API, and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Schedule = Callable[[Mapping[str, Any], int], str]
"""From a request's body, and how often it came before, to what is done: a key of `_FAULTS`,
"hang", "cut", "reset", or a status and the words after it: "400 no such field"."""

_FAULTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "ok": lambda body: _json(body),
    "no json": lambda body: _json(body)[:-9],
    "a list": lambda body: _json([body]),
    "no choices": lambda body: _json({**body, "choices": []}),
    "error as 200": lambda body: _json({"error": {"message": "overloaded"}}),
    "other model": lambda body: _json({**body, "model": "other"}),
    "dated model": lambda body: _json({**body, "model": body["model"] + "-2024-08-06"}),
    "null content": lambda body: _json(_with_choice(body, message={"content": None})),
    "no end": lambda body: _json(_with_choice(body, finish_reason=None)),
    "filtered": lambda body: _json(_with_choice(body, finish_reason="content_filter")),
    "cut by length": lambda body: _json(_with_choice(body, finish_reason="length")),
    "no usage": lambda body: _json({k: v for k, v in body.items() if k != "usage"}),
    "half a pair": lambda body: _json(_with_choice(body, message={"content": "a\ud800b"})),
}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _with_choice(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**body, "choices": [{**body["choices"][0], **more}]}


def answered(problem: str, seed: int) -> str:
    """What the server says: of each request something else."""
    return f"{problem} by {seed}"


@dataclass
class ModelServer:
    """`asked` holds the bodies of all requests for completions, in the order they came in."""

    schedule: Schedule = lambda body, before: "ok"
    models: tuple[str, ...] = ("seed",)
    keys: tuple[str, ...] = ()
    """The keys that it takes; none: whatever comes."""
    retry_after: str = "0.2"
    asked: list[dict[str, Any]] = field(default_factory=list)
    lists: int = 0
    most_at_once: int = 0

    def __enter__(self) -> ModelServer:
        self._lock = threading.Lock()
        self._before: Counter[str] = Counter()
        self._at_once = 0
        self._closing = threading.Event()
        owner = self

        class Handler(_Handler):
            server_of = owner

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def begin(self, body: dict[str, Any]) -> str:
        """Note a request; what is to be done with it."""
        with self._lock:
            self.asked.append(body)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            key = json.dumps([body.get("messages"), body.get("prompt"), body.get("seed")])
            before = self._before[key]
            self._before[key] += 1
        return self.schedule(body, before)

    def end(self) -> None:
        with self._lock:
            self._at_once -= 1

    def hang(self) -> None:
        self._closing.wait(20)

    @property
    def is_stopped(self) -> bool:
        return self._closing.is_set()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        """A client that hangs up is no news here."""


class _Handler(BaseHTTPRequestHandler):
    server_of: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Nothing goes to the test's output."""

    def do_GET(self) -> None:
        self.server_of.lists += 1
        if self.server_of.is_stopped:
            self.close_connection = True
        elif self._is_let_in():
            self._send(200, _json({"data": [{"id": name} for name in self.server_of.models]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        what = self.server_of.begin(body)
        try:
            if self._is_let_in():
                self._do("reset" if self.server_of.is_stopped else what, body)
        finally:
            self.server_of.end()

    def _is_let_in(self) -> bool:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.server_of.keys and key not in self.server_of.keys:
            self._refuse(401, f"Incorrect API key provided: {key}")
            return False
        return True

    def _do(self, what: str, body: dict[str, Any]) -> None:
        if what in _FAULTS:
            self._send(200, _FAULTS[what](_completion(body)))
        elif what == "hang":
            self.server_of.hang()
            self.close_connection = True
        elif what == "cut":
            self._send(200, _json(_completion(body))[:40], length=4000)
            self.close_connection = True
        elif what == "reset":
            self.close_connection = True
        else:
            status, _, words = what.partition(" ")
            self._refuse(int(status), words)

    def _refuse(self, status: int, words: str) -> None:
        """As a server would that says all it knows: the key as well."""
        said = {"message": f"{words} [{self.headers.get('Authorization')}]", "code": None}
        self._send(status, _json({"error": said}))

    def _send(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(body)))
        if status == 429:
            self.send_header("Retry-After", self.server_of.retry_after)
        self.end_headers()
        self.wfile.write(body)


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    """An answer as the API reference has it; each token's log-probability is -0.5."""
    chat = "messages" in body
    problem = body["messages"][-1]["content"] if chat else body["prompt"]
    text = answered(problem, body.get("seed", 0))
    tokens = text.split()
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    if chat:
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = text
    if body.get("logprobs"):
        each = [{"token": token, "logprob": -0.5} for token in tokens]
        choice["logprobs"] = {"content": each} if chat else {"token_logprobs": [-0.5] * len(tokens)}
    return {
        "id": "1",
        "object": "chat.completion" if chat else "text_completion",
        "model": body["model"],
        "choices": [choice],
        "usage": {"prompt_tokens": len(problem.split()), "completion_tokens": len(tokens)},
    }
