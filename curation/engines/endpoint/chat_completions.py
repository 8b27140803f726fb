"""OpenAI's chat completions as data: the body of a request, and the answer in a response. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Final

import httpx

from curation.engines.chat_messages import ContentPart, answer_text, chat, video_options
from curation.engines.decisions import TOP_TOKENS, TokenProbability, decision
from curation.engines.engine_interface import Answer, Request

_NO_COMPLETION: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)
"""Errors of a body that is no chat completion: another structure, nested without end, ``Infinity`` tokens."""
_HALVES: Final = re.compile("[\ud800-\udfff]")
"""Halves of characters: JSON can write them alone, tables can't."""
_MOST_TOKENS: Final = 1 << 40
LONGEST_MESSAGE: Final = 200
"""Most characters of a server's message that are kept."""


@dataclass(frozen=True)
class CompletionOptions:
    """The parts of a request's body that are the same for all requests to a server."""

    model: str
    max_tokens_field: str
    seed: int | None
    extra_body: Mapping[str, Any]


def completion_body(options: CompletionOptions, request: Request, images: Sequence[ContentPart]) -> dict[str, Any]:
    """Return the JSON body of the request for one chat completion.

    Args:
        options: the server's model and fields of its own.
        request: prompt.
        images: content parts of the request's images and frames.
    """
    body: dict[str, Any] = {
        "model": options.model,
        "messages": chat(request, images),
        options.max_tokens_field: request.max_tokens,
        "temperature": request.temperature,
    }
    if options.seed is not None:
        body["seed"] = options.seed
    if request.schema is not None:
        schema = {"name": "answer", "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if video := video_options(request.frames):
        body["media_io_kwargs"] = video
    if request.options:
        body |= {options.max_tokens_field: 1, "logprobs": True, "top_logprobs": TOP_TOKENS}
    return body | dict(options.extra_body)


def read_completion(request: Request, response: httpx.Response) -> Answer:
    """Return the answer in a successful response; its error is ``garbage: …`` if there is no chat completion."""
    try:
        values = response.json()
        choice = values["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content"), message.get("refusal")
        if not isinstance(text, str | None):
            raise TypeError("content is no text")
        text = text and _HALVES.sub("\ufffd", text)
        usage = values.get("usage") or {}
        tokens = _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens"))
        likeliest = _first_tokens(choice) if request.options else []
    except _NO_COMPLETION as error:
        return Answer(request.key, error=f"garbage: no chat completion came back ({type(error).__name__})")
    error_ = None
    if refusal or reason == "content_filter":
        error_ = f"refused: {' '.join(str(refusal or reason).split())[:LONGEST_MESSAGE]}"
    elif reason == "length" and request.schema is not None:
        error_ = "length"
    elif text is None and not request.options:
        error_ = "garbage: the completion has no text"
    elif request.options:
        return decision(request, likeliest, *tokens)
    spoken = answer_text(text or "", is_json=request.schema is not None)
    return Answer(request.key, spoken, error_, *tokens, ended_at_limit=reason == "length")


def _first_tokens(choice: Mapping[str, Any]) -> list[TokenProbability]:
    """Return the likeliest first tokens of a completion.

    Raises:
        ValueError: there are no log-probabilities; a LookupError or TypeError if they have another structure.
    """
    if not choice.get("logprobs"):
        raise ValueError("no log-probabilities")
    top = choice["logprobs"]["content"][0]["top_logprobs"]
    return [TokenProbability(str(token["token"]), float(token["logprob"])) for token in top[: 4 * TOP_TOKENS]]


def _tokens(value: object) -> int:
    """Return a count of tokens as a server states it.

    Raises:
        ValueError: it is not a count.
    """
    count = int(value) if isinstance(value, int | float) else 0
    if not 0 <= count <= _MOST_TOKENS:
        raise ValueError("no count of tokens")
    return count


def is_too_long(response: httpx.Response) -> bool:
    """Return True if the server refused the request because it exceeds the model's context length."""
    text = response.text.lower()
    return response.status_code in (400, 413) and ("context_length" in text or "context length" in text)


def retry_after_seconds(value: str | None) -> float:
    """Return the seconds to wait that a Retry-After header names, as a number or a date; 0 if it can't be read."""
    if value is None:
        return 0.0
    try:
        digits = value.strip().isdecimal()
        seconds = float(value) if digits else parsedate_to_datetime(value).timestamp() - time()
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, seconds)
