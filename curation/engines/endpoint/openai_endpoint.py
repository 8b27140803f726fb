"""An engine over any server with OpenAI's chat completions: ``vllm serve``, Ray Serve LLM, a hosted model.

Each request is one HTTP call with its own retries. A server that can't be reached, or refuses the key or the model,
ends the run with one line; any other failure is the `Answer.error` of one request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator

from curation.engines import request_images
from curation.engines.chat_messages import ContentPart, ImageUrlPart
from curation.engines.endpoint.bounded_response import UNCOMPRESSED, UnreadableBody, read_bounded
from curation.engines.endpoint.chat_completions import (
    LONGEST_MESSAGE,
    CompletionOptions,
    completion_body,
    is_too_long,
    read_completion,
    retry_after_seconds,
)
from curation.engines.endpoint.server_connection import check_connection, check_served
from curation.engines.engine_interface import Answer, Request, TokenUsage, refuse_shared_keys
from curation.engines.engine_settings import EngineSettings
from curation.engines.event_loop_thread import BackgroundLoop
from curation.engines.request_frames import frame_parts, jpeg_url
from runtime.errors import MachineError, UserError
from runtime.retry_limits import (
    ENDPOINT_BACKOFF,
    ENDPOINT_LARGEST_ANSWER,
    ENDPOINT_LONGEST_WAIT,
    ENDPOINT_PROBES,
    ENDPOINT_RETRIES,
    ENDPOINT_RETURNS,
    ENDPOINT_TIMEOUT,
    ENDPOINT_TIMEOUTS,
)
from runtime.retry_loop import backoff_seconds
from runtime.settings import Runtime

_RETRIED: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_REMEDIES: Final = {
    401: "check api_key_env",
    403: "check api_key_env",
    404: "check base_url (it normally ends in /v1) and model",
}


class EndpointSettings(EngineSettings):
    """A model behind an OpenAI-compatible server."""

    kind: Literal["endpoint"] = "endpoint"
    """Kind of engine: `vllm` runs in process, `endpoint` calls a server."""
    model: str
    """Name of the model, as the server knows it."""
    seed: int | None = 0
    """Seed that is sent with each request; null: not sent, for servers that refuse it."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """More fields for the request's body, such as `chat_template_kwargs`."""
    base_url: Runtime[str]
    """Address of the server, up to and including `/v1`."""
    api_key_env: Runtime[str | None] = None
    """Name of the environment variable that holds the key; null: no key is sent."""
    max_tokens_field: Runtime[Literal["max_tokens", "max_completion_tokens"]] = "max_tokens"
    """Name of the server's field for the longest answer."""
    concurrency: Runtime[int] = Field(default=64, ge=1)
    """Requests in flight at a time."""
    timeout: Runtime[float] = Field(default=ENDPOINT_TIMEOUT.seconds, gt=0)
    """Seconds after which one attempt is given up."""
    retries: Runtime[int] = Field(default=ENDPOINT_RETRIES.count, ge=0)
    """More attempts after a lost connection or status 429 or 5xx; one more after a timeout."""
    backoff: Runtime[float] = Field(default=ENDPOINT_BACKOFF.seconds, ge=0)
    """Seconds before the second attempt; doubles each time, up to a minute, unless the server names a wait."""

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write it as http(s)://host[:port]/v1")
        if parts.username or parts.password:
            raise ValueError("no user or password in the address; name the key's variable in api_key_env")
        return value.rstrip("/")

    @property
    def server(self) -> str:
        """Address of the server."""
        return self.base_url

    def check_ready(self, setting: str) -> None:
        """Refuse a key variable that is not set, an address where no server answers, and a model that is not served.

        Raises:
            UserError: names the setting, its value and the remedy.
        """
        key = _api_key(self, f"{setting}.")
        check_connection(self.base_url, f"{setting}.base_url")
        check_served(self.base_url, self.model, key, setting)


class _Unreachable(Exception):
    """No attempt of one request got a connection."""


class EndpointEngine:
    """A `TextEngine` over HTTP.

    Raises:
        UserError: `api_key_env` names a variable that is not set.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._key = _api_key(settings)
        self._options = CompletionOptions(settings.model, settings.max_tokens_field, settings.seed, settings.extra_body)
        self._usage = TokenUsage()
        self._fatal: MachineError | None = None
        self._signs_of_life = 0
        self._background = BackgroundLoop("endpoint-engine")
        self._background.wait(self._open())

    async def generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
        """Answer every request; may be awaited by many callers at once, from any event loop.

        `Answer.error` is ``too_long``, ``length`` (an answer with a schema was cut), ``timeout``, ``connection``,
        ``image: …``, ``refused: …``, ``http <status>: …`` or ``garbage: …`` (no chat completion came back).

        Raises:
            ValueError: two requests with the same key.
            MachineError: the server can't be reached, or refuses the key or the model.
        """
        refuse_shared_keys(requests)
        return await self._background.run(self._generate(requests))

    def stats(self) -> TokenUsage:
        """Return the tokens and errors of all answers so far."""
        return self._usage

    def close(self) -> None:
        """Close the connections; requests in flight are cancelled."""
        self._background.close(self._client.aclose())

    async def _open(self) -> None:
        self._slots = asyncio.Semaphore(self._settings.concurrency)
        self._probing = asyncio.Lock()
        self._client = httpx.AsyncClient(
            headers=UNCOMPRESSED | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            timeout=self._settings.timeout,
            limits=httpx.Limits(max_connections=self._settings.concurrency + 1),
        )

    async def _generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {request.key: group.create_task(self._answer(request)) for request in requests}
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        answers = {key: task.result() for key, task in tasks.items()}
        self._usage += TokenUsage.of(answers.values())
        return answers

    async def _answer(self, request: Request) -> Answer:
        async with self._slots:
            try:
                images = await _image_parts(request)
            except request_images.UnreadableImage as error:
                return Answer(request.key, error=f"image: {error}")
            body = completion_body(self._options, request, images)
            for _ in range(ENDPOINT_RETURNS.count):
                seen = self._signs_of_life
                try:
                    return await self._ask(request, body)
                except _Unreachable:
                    await self._probe(seen)
            return Answer(request.key, error="connection")

    async def _ask(self, request: Request, body: Mapping[str, Any]) -> Answer:
        """Send one request with its retries; raise `_Unreachable` or `MachineError`."""
        timeouts = 0
        for attempt in range(1 + self._settings.retries):
            if self._fatal:
                raise self._fatal
            last = attempt == self._settings.retries
            try:
                response = await asyncio.wait_for(self._post(body), self._settings.timeout)
            except (httpx.TimeoutException, TimeoutError):
                timeouts += 1
                if last or timeouts == ENDPOINT_TIMEOUTS.count:
                    return Answer(request.key, error="timeout")
                continue
            except httpx.TransportError as error:
                if last:
                    raise _Unreachable from error
                await asyncio.sleep(self._wait(attempt, None))
                continue
            except UnreadableBody as error:
                self._signs_of_life += 1
                return Answer(request.key, error=f"garbage: {error}")
            self._signs_of_life += 1
            if last or response.status_code not in _RETRIED:
                return self._read(request, response)
            await asyncio.sleep(self._wait(attempt, response.headers.get("retry-after")))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _post(self, body: Mapping[str, Any]) -> httpx.Response:
        """Send one request and read its response, within `ENDPOINT_LARGEST_ANSWER`."""
        url = f"{self._settings.base_url}/chat/completions"
        async with self._client.stream("POST", url, json=body) as response:
            return await read_bounded(response, ENDPOINT_LARGEST_ANSWER.count)

    def _read(self, request: Request, response: httpx.Response) -> Answer:
        """Return the answer in a response; raise `MachineError` if no request can succeed."""
        if response.status_code in _REMEDIES:
            self._fatal = MachineError(
                f"{self._settings.base_url}: status {response.status_code} for model {self._settings.model!r}; "
                f"{_REMEDIES[response.status_code]} ({self._clean(response.text)})"
            )
            raise self._fatal
        if response.is_success:
            return read_completion(request, response)
        if is_too_long(response):
            return Answer(request.key, error="too_long")
        return Answer(request.key, error=f"http {response.status_code}: {self._clean(response.text)}")

    async def _probe(self, seen: int) -> None:
        """Wait for a sign of life after the `seen` ones; raise `MachineError` if no probe gets one."""
        async with self._probing:
            for attempt in range(ENDPOINT_PROBES.count):
                if self._fatal:
                    raise self._fatal
                if self._signs_of_life > seen:
                    return
                await asyncio.sleep(self._wait(attempt, None))
                try:
                    async with self._client.stream("GET", f"{self._settings.base_url}/models"):
                        self._signs_of_life += 1
                except httpx.TransportError as error:
                    cause = type(error).__name__
            if self._signs_of_life > seen:
                return
            self._fatal = MachineError(
                f"{self._settings.base_url}: the model's server can't be reached ({cause}, {ENDPOINT_PROBES.count} "
                "probes); start it again or check base_url, then run again"
            )
            raise self._fatal

    def _wait(self, attempt: int, retry_after: str | None) -> float:
        """Return the seconds to wait after an attempt; `retry_after` is the server's header."""
        return backoff_seconds(
            attempt,
            self._settings.backoff,
            jitter=0.25,
            longest=ENDPOINT_LONGEST_WAIT.seconds,
            asked=retry_after_seconds(retry_after),
        )

    def _clean(self, text: str) -> str:
        """Return a server's message as one short line, without the key."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:LONGEST_MESSAGE]


def _api_key(settings: EndpointSettings, prefix: str = "") -> str | None:
    if settings.api_key_env is None:
        return None
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        variable = f"{prefix}api_key_env={settings.api_key_env!r}"
        raise UserError(f"{variable}: this environment variable is not set; put the key there")
    return key


async def _image_parts(request: Request) -> list[ContentPart]:
    urls = [await asyncio.to_thread(request_images.data_url, image) for image in request.images]
    images: list[ContentPart] = [_url_part(url) for url in urls]
    return images + await frame_parts(request.frames, lambda picture: _url_part(jpeg_url(picture)))


def _url_part(url: str) -> ImageUrlPart:
    return ImageUrlPart(type="image_url", image_url={"url": url})
