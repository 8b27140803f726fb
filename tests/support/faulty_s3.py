"""A proxy on loopback in front of an S3 server that counts requests and lets a share of them fail.

It runs in a thread of the test's process; clients anywhere reach it at `FaultyS3.server`. Which request fails is drawn
from a seeded generator in the order in which requests arrive, so one client that asks in turn sees the same faults
again.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Final, Literal
from urllib.parse import urlsplit

from support.s3_server import S3Server

Fault = Literal["error", "slow_down", "reset", "lost", "truncated", "slow", "refused"]
FAULTS: Final[tuple[Fault, ...]] = ("error", "slow_down", "reset", "lost", "truncated", "slow")
"""Every fault that passes: status 500; status 503; a connection that is reset before the server sees the request, or
after it has carried it out; half of an answer's body; an answer that comes late. ``refused`` is status 403."""
_HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "date", "server"}
_ANSWERS: Final[dict[str, tuple[int, str]]] = {
    "error": (500, "InternalError"),
    "slow_down": (503, "SlowDown"),
    "refused": (403, "AccessDenied"),
}


@dataclass
class FaultyS3:
    """A proxy in front of a server; its fields may be changed while it serves."""

    behind: S3Server
    server: S3Server
    """The same bucket, reached through the proxy."""
    rate: float
    """Share of the requests that fail."""
    kinds: Sequence[Fault]
    slow_seconds: float
    requests: list[str] = field(default_factory=list)
    """Method and path with query of each request, in the order of arrival."""
    failed: Counter[Fault] = field(default_factory=Counter)
    """How many requests failed, by fault."""
    next_faults: list[Fault | None] = field(default_factory=list)
    """Faults of the coming requests, taken before any is drawn; None lets a request pass."""
    _random: Random = field(default_factory=Random)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, request: str) -> Fault | None:
        """Note a request, and return the fault that it meets."""
        with self._lock:
            self.requests.append(request)
            if self.next_faults:
                fault = self.next_faults.pop(0)
            else:
                fault = self._random.choice(self.kinds) if self._random.random() < self.rate else None
            if fault is not None:
                self.failed[fault] += 1
            return fault

    def count(self, method: str, part: str = "") -> int:
        """Return how many requests of a method there were whose path and query contain `part`."""
        return sum(request.startswith(f"{method} ") and part in request for request in self.requests)


@contextmanager
def faulty_s3(
    behind: S3Server, *, rate: float = 0.0, seed: int = 0, kinds: Sequence[Fault] = FAULTS, slow_seconds: float = 1.0
) -> Iterator[FaultyS3]:
    """Serve `behind` through a proxy in which a share `rate` of the requests fails, by one of `kinds` each."""
    httpd = _Server(("127.0.0.1", 0), _Handler)
    server = S3Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    httpd.proxy = FaultyS3(behind, server, rate, kinds, slow_seconds, _random=Random(seed))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield httpd.proxy
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    proxy: FaultyS3


class _Handler(BaseHTTPRequestHandler):
    """Passes one client's requests on, over a connection of its own to the server behind."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        behind = urlsplit(self.server.proxy.behind.endpoint)
        self._behind = http.client.HTTPConnection(str(behind.hostname), behind.port, timeout=60)

    def finish(self) -> None:
        self._behind.close()
        with suppress(OSError):  # a connection that was reset
            super().finish()

    def handle_expect_100(self) -> bool:
        """Ask for the body at once: the output is buffered."""
        asked = super().handle_expect_100()
        self.wfile.flush()
        return asked

    def _pass_on(self) -> None:
        body = self._body()
        fault = self.server.proxy.draw(f"{self.command} {self.path}")
        if fault in _ANSWERS:
            self._refuse(*_ANSWERS[fault])
        elif fault == "reset":
            self._reset()
        else:
            if fault == "slow":
                time.sleep(self.server.proxy.slow_seconds)
            self._answer(body, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

    def _answer(self, body: bytes, fault: Fault | None) -> None:
        """Send the server's answer, cut short or not at all if that is the fault."""
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        self._behind.request(self.command, self.path, body=body, headers=kept)
        answer = self._behind.getresponse()
        data = answer.read()
        if fault == "lost" or (fault == "truncated" and len(data) < 2):
            self._reset()
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        stated = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", stated or "0")
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if fault == "truncated" else data)
        self.wfile.flush()
        self.close_connection = self.close_connection or fault == "truncated"

    def _refuse(self, status: int, code: str) -> None:
        said = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(said)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else said)
        self.wfile.flush()

    def _reset(self) -> None:
        """Close the connection with a reset, as a failing router does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are in `FaultyS3.requests`."""
