"""Requests of a shard to a language model: identical prompts are sent once and answered for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from curation.engines.engine_interface import Answer, Exchange, FramesRef, ImageRef, Request
from runtime.ray_runner.stage import Service


async def ask(engine: Service | None, requests: Sequence[Request], counts: Counter[str]) -> Mapping[str, Answer]:
    """Return the answer to each request by its key; no answers without an engine.

    Args:
        engine: pool of a `TextEngine`.
        requests: with distinct keys.
        counts: ``requests``, ``requests_shared``, ``tokens_in`` and ``tokens`` (out) are added to it.

    Raises:
        MachineError: the engine is dead.
    """
    if engine is None or not requests:
        return {}
    first: dict[_Content, Request] = {}
    for request in requests:
        first.setdefault(_content(request), request)
    answers: Mapping[str, Answer] = await engine.acall("generate", list(first.values()))
    counts["requests"] += len(first)
    counts["requests_shared"] += len(requests) - len(first)
    counts["tokens_in"] += sum(answer.prompt_tokens for answer in answers.values())
    counts["tokens"] += sum(answer.output_tokens for answer in answers.values())
    shared = {request.key: answers.get(first[_content(request)].key) for request in requests}
    return {key: answer or Answer(key, error="no answer") for key, answer in shared.items()}


_Content = tuple[str, str, tuple[ImageRef, ...], FramesRef | None, int, tuple[Exchange, ...], tuple[str, ...]]


def _content(request: Request) -> _Content:
    return (
        request.system,
        request.user,
        request.images,
        request.frames,
        request.max_tokens,
        request.examples,
        request.options,
    )
