"""The fake language model as a process of its own, so that it can be killed: ``python -m … PORT``."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from support.fake_llm import FakeLLM
from support.model_replies import careful
from support.video_server import free_port
from support.waiting import until

_TESTS = Path(__file__).parents[2]


class LLMProcess:
    """A server that can be killed, and comes back on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = threading.Event()
        self._returns: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Base URL for clients, with ``/v1``."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def is_up(self) -> bool:
        """True unless it was killed and has not come back."""
        return not any(thread.is_alive() for thread in self._returns)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for thread in self._returns:
            thread.join()
        self._end()

    def die(self, seconds: float) -> str | None:
        """Kill the server, and start it again after `seconds`; return a description, or None if it is gone already."""
        if not self.is_up or self._process is None:
            return None
        pid = self._process.pid
        self._end()
        thread = threading.Thread(target=self._return_after, args=(seconds,))
        self._returns.append(thread)
        thread.start()
        return f"process {pid}, back in {seconds:g} s"

    def _return_after(self, seconds: float) -> None:
        self._closed.wait(seconds)
        if not self._closed.is_set():
            self._start()

    def _start(self) -> None:
        import httpx

        command = [sys.executable, "-m", "support.chaos.llm_process", str(self.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=_TESTS)

        def answers() -> bool:
            with suppress(httpx.TransportError):
                return httpx.get(f"{self.url}/models").is_success
            return False

        until(answers, "the language model's server")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def main(port: int) -> None:
    """Serve until standard input closes."""
    with FakeLLM(careful, port=port) as llm:
        threading.Thread(target=_forget, args=(llm,), daemon=True).start()
        sys.stdin.buffer.read()


def _forget(llm: FakeLLM) -> None:
    while True:
        time.sleep(1)
        llm.requests.clear()
        llm.headers.clear()


if __name__ == "__main__":
    main(int(sys.argv[1]))
