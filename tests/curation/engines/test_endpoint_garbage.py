"""Answers of an endpoint that are no chat completions: one `garbage` answer each, within bounds of memory and time."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import socket
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from support.fake_llm import FakeLLM, Reply

from curation.engines.engine_interface import Answer, Request
from curation.engines.openai_endpoint import EndpointEngine, EndpointSettings

MEGABYTE = 1 << 20
MOST_GROWTH = 200 * MEGABYTE
"""Bytes by which the process may grow; the worst answers would take a gigabyte and more."""


def _completion(text: str = '"hello"', **usage: str) -> bytes:
    counts = ", ".join(f'"{name}": {value}' for name, value in usage.items())
    return f'{{"choices": [{{"message": {{"content": {text}}}}}], "usage": {{{counts}}}}}'.encode()


def _bomb(megabytes: int) -> bytes:
    """Return a completion of that size in gzip; it is never whole in memory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    head, tail = _completion('"|"').split(b"|")
    parts = [packer.compress(head), *(packer.compress(b"0" * MEGABYTE) for _ in range(megabytes))]
    return b"".join([*parts, packer.compress(tail), packer.flush()])


HOSTILE: Mapping[str, Reply] = {
    "nested lists": Reply(raw=b"[" * MEGABYTE),
    "nested lists inside": Reply(raw=_completion("[" * 100_000 + "]" * 100_000)),
    "nested objects": Reply(raw=b'{"choices":' * 100_000),
    "infinite tokens": Reply(raw=_completion(prompt_tokens="Infinity")),
    "tokens that are no number": Reply(raw=_completion(completion_tokens="NaN")),
    "negative tokens": Reply(raw=_completion(completion_tokens="-1")),
    "tokens of 4,000 digits": Reply(raw=_completion(completion_tokens="9" * 4000)),
    "tokens of 5,000 digits": Reply(raw=_completion(completion_tokens="9" * 5000)),
    "a number for a text": Reply(raw=_completion("1e999")),
    "no choices": Reply(raw=b'{"choices": []}'),
    "null": Reply(raw=b"null"),
    "nothing": Reply(raw=b""),
    "bytes that are no text": Reply(raw=b"\xff\xfe\x00{"),
    "20 MB": Reply(raw=_completion(json.dumps("0" * 20 * MEGABYTE))),
    "a gigabyte in gzip": Reply(raw=_bomb(1024), headers={"Content-Encoding": "gzip"}),
    "gzip in gzip": Reply(raw=gzip.compress(gzip.compress(_completion())), headers={"Content-Encoding": "gzip, gzip"}),
    "brotli": Reply(raw=b"\x1b\xff\xff", headers={"Content-Encoding": "br"}),
    "no gzip at all": Reply(raw=b"{}", headers={"Content-Encoding": "gzip"}),
    "a charset that is a codec": Reply(
        raw=zlib.compress(_completion()), headers={"Content-Type": "application/json; charset=zlib"}
    ),
}


def ask(url: str, **more: float) -> Answer:
    settings = EndpointSettings(base_url=url, model="fake", **({"backoff": 0.01, "timeout": 60, "retries": 1} | more))
    engine = EndpointEngine(settings)
    try:
        return asyncio.run(engine.generate([Request("k", system="", user="hello")]))["k"]
    finally:
        engine.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_completion_is_one_garbage_answer(name: str) -> None:
    reply = HOSTILE[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with FakeLLM(lambda body: reply) as server:
        answer = ask(server.url)
        assert len(server.requests) == 1
    assert (answer.error or "").startswith("garbage: "), answer
    assert answer.text == ""
    assert len(answer.error or "") < 200
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_GROWTH


@contextmanager
def _endless() -> Iterator[str]:
    """Serve one response whose body never ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    while True:
                        connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                except OSError:  # the client has hung up
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        thread.join(10)


def test_a_body_without_an_end_is_given_up() -> None:
    with _endless() as url:
        assert (ask(url).error or "").startswith("garbage: the answer has more than ")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_server_that_compresses_unasked_is_understood(encoding: str) -> None:
    packed = gzip.compress(_completion()) if encoding == "gzip" else zlib.compress(_completion())
    with FakeLLM(lambda body: Reply(raw=packed, headers={"Content-Encoding": encoding})) as server:
        assert ask(server.url).text == "hello"


def test_half_a_character_in_an_answer_can_be_stored() -> None:
    with FakeLLM(lambda body: Reply(raw=_completion('"a\\ud83d b \\ud83d\\ude00"'))) as server:
        assert ask(server.url).text.encode() == "a\ufffd b 😀".encode()
