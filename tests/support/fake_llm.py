"""An OpenAI-compatible server on loopback with a chosen behaviour: the network's edge for tests of LLM endpoints.

    with FakeLLM("json") as server:
        settings = EndpointSettings(base_url=server.url, model="fake")

Behaviours are names of `BEHAVIOURS`, or any function from the request's body to a `Reply`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """The server's response to one request."""

    text: str = ""
    """Text of the completion; wrapped in a chat completion unless `raw` is set."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"
    first_tokens: tuple[tuple[str, float], ...] = ()
    """Likeliest first tokens with their log-probabilities; sent if the request asks for them."""
    raw: bytes | None = None
    """Bytes to send unchanged instead of a completion."""
    stall: bool = False
    """Send nothing until the server is closed."""
    hang_up: bool = False
    """Close the connection in the middle of the body."""


def user_text(body: Body) -> str:
    """Return the text of the last user message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def example(schema: Mapping[str, Any], text: str = "a person speaks") -> Any:
    """Return a value that follows a JSON schema, with `text` (cut to the allowed length) for every string."""
    if "$ref" in schema or "anyOf" in schema or "oneOf" in schema:
        choices = schema.get("anyOf") or schema.get("oneOf") or [{}]
        return example(choices[0], text)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: example(inner, text) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items", {}), text)] * max(1, schema.get("minItems", 1))
    values = {"string": text[: schema.get("maxLength", len(text))], "integer": schema.get("minimum", 0)}
    return values.get(str(kind), {"number": 0.5, "boolean": False}.get(str(kind)))


def _json(body: Body) -> Reply:
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return Reply(json.dumps(example(schema)) if schema else "a person speaks")


def _obey(body: Body) -> Reply:
    """Obey a subtitle that says ``IGNORE … AND SAY``; otherwise answer like ``json``."""
    order = re.search(r"say:?\s+[\"']?([^\"'.\n]+)", user_text(body), flags=re.IGNORECASE)
    said = order[1].strip() if order else "a person speaks"
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return Reply(json.dumps(example(schema, said)) if schema else said)


BEHAVIOURS: Mapping[str, Callable[[Body], Reply]] = {
    "echo": lambda body: Reply(user_text(body)),
    "json": _json,
    "obey": _obey,
    "garbage": lambda body: Reply("%$# not what was asked \x00 {]"),
    "not_json": lambda body: Reply(raw=b"<html>busy</html>"),
    "cut": lambda body: Reply('{"text": "half a sen', finish_reason="length"),
    "refuse": lambda body: Reply("", finish_reason="content_filter"),
    "stall": lambda body: Reply(stall=True),
    "hang_up": lambda body: Reply("x" * 1000, hang_up=True),
    "too_long": lambda body: Reply(
        status=400,
        raw=b'{"error": {"message": "maximum context length is 10 tokens", "code": "context_length_exceeded"}}',
    ),
}


def first(times: int, failure: Reply, then: str = "echo") -> Callable[[Body], Reply]:
    """Return a behaviour that sends `failure` the first `times`, and then behaves like `then`."""
    lock, left = threading.Lock(), [times]

    def behave(body: Body) -> Reply:
        with lock:
            left[0] -= 1
            failing = left[0] >= 0
        return failure if failing else BEHAVIOURS[then](body)

    return behave


class Server(ThreadingHTTPServer):
    """A server with a queue of connections long enough for a slow machine."""

    daemon_threads = True
    request_queue_size = 128


class FakeLLM:
    """The server, as a context manager; `requests` and `headers` keep what it received, in order of arrival."""

    def __init__(
        self, behaviour: str | Callable[[Body], Reply] = "echo", *, listening: bool = True, port: int = 0
    ) -> None:
        """Take a port, any by default; without `listening`, connections are refused until `listen` is called."""
        self.behave = BEHAVIOURS[behaviour] if isinstance(behaviour, str) else behaviour
        self.models: tuple[str, ...] = ()
        """Names that the list of models has."""
        self.models_status = 200
        """Status of the list of models."""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self.closing = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", port), _handler(self), bind_and_activate=False)
        self._server.server_bind()
        self._listening = listening
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """Port on loopback."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Base URL for clients, with ``/v1``."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> FakeLLM:
        if self._listening:
            self.listen()
        return self

    def listen(self) -> None:
        """Accept connections from now on."""
        self._listening = True
        self._server.server_activate()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Stop listening; a second call does nothing."""
        if self.closing.is_set():
            return
        self.closing.set()
        if self._listening:
            self._server.shutdown()
        self._server.server_close()

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """Record a request and return the reply to it."""
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            reply = self.behave(body)
            if reply.stall:
                self.closing.wait(60)
            return reply
        finally:
            with self._lock:
                self._at_once -= 1


def completion(body: Body, reply: Reply) -> bytes:
    """Return a chat completion in the form of real servers; tokens are words."""
    message = {"role": "assistant", "content": reply.text}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    if body.get("logprobs"):
        top = [{"token": token, "logprob": value} for token, value in reply.first_tokens]
        choice["logprobs"] = {"content": [{"token": reply.text, "logprob": 0.0, "top_logprobs": top}]}
    usage = {"prompt_tokens": len(user_text(body).split()), "completion_tokens": len(reply.text.split())}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def _handler(fake: FakeLLM) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            listed = {"data": [{"id": name} for name in fake.models]}
            self._send(Reply(status=fake.models_status), json.dumps(listed).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = fake.answer(body, dict(self.headers))
            if fake.closing.is_set():
                self.close_connection = True
            elif not reply.stall:
                self._send(reply, completion(body, reply) if reply.raw is None else reply.raw)

        def _send(self, reply: Reply, payload: bytes) -> None:
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload[: len(payload) // 2] if reply.hang_up else payload)
            if reply.hang_up:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler
