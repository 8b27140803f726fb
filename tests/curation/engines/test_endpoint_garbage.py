"""Answers of an endpoint without an end, or compressed unasked; more bodies are in `tests/hostile/answer_rows.py`."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.fake_llm import FakeLLM, Reply

from curation.engines.endpoint.openai_endpoint import EndpointEngine, EndpointSettings
from curation.engines.engine_interface import Answer, Request


def _completion(text: str = '"hello"') -> bytes:
    return f'{{"choices": [{{"message": {{"content": {text}}}}}]}}'.encode()


def ask(url: str) -> Answer:
    settings = EndpointSettings(base_url=url, model="fake", backoff=0.01, timeout=60, retries=1)
    engine = EndpointEngine(settings)
    try:
        return asyncio.run(engine.generate([Request("k", system="", user="hello")]))["k"]
    finally:
        engine.close()


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
