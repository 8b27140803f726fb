"""A language model for tests, in place of a service: it gives the test's answers and records the requests."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from curation.engines.engine_interface import Answer, Request
from runtime.ray_runner.stage import LocalService

ReplyTo = Callable[[Request], str | Answer]


class Answering:
    """Answers every request with `reply`; texts count one token a word."""

    def __init__(self, reply: ReplyTo) -> None:
        self._reply = reply
        self.batches: list[list[Request]] = []

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order."""
        return [request for batch in self.batches for request in batch]

    @property
    def service(self) -> LocalService:
        """The model as the service that workers call."""
        return LocalService(self)

    async def generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
        """Answer in reverse order: callers must match answers by key."""
        self.batches.append(list(requests))
        await asyncio.sleep(0)
        return {request.key: self._answer(request) for request in reversed(requests)}

    def _answer(self, request: Request) -> Answer:
        reply = self._reply(request)
        if isinstance(reply, Answer):
            return replace(reply, key=request.key)
        return Answer(request.key, reply, None, len(request.user.split()), len(reply.split()))


def claims_json(*claims: tuple[str, Sequence[str]], abstain: bool = False) -> str:
    """Return an answer to the grounded prompt."""
    listed = [{"text": text, "evidence": list(cited)} for text, cited in claims]
    return json.dumps({"abstain": abstain, "claims": listed})


def labels_in(request: Request) -> list[str]:
    """Return the evidence labels in a prompt."""
    return labels_in_text(request.user)


def labels_in_text(text: str) -> list[str]:
    """Return the evidence labels at the beginnings of lines."""
    return re.findall(r"^([EFTOW]\d+) \(", text, re.MULTILINE)


def asks_for_claims(request: Request) -> bool:
    """Return True if a request asks for the claims of a grounded text."""
    return request.key.endswith("/grounded")
