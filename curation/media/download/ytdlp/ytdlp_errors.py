"""Convert exceptions of yt-dlp to outcomes: unwrap them, find the HTTP status, separate faults of the machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from curation.media.download.download_errors import classify, retry_after_seconds
from curation.media.download.ytdlp.fetch_request import FetchOutcome


def explain_error(error: BaseException, ydl: Any) -> FetchOutcome:
    """Return the outcome that an exception raised by yt-dlp means.

    Args:
        error: the exception.
        ydl: the client that raised it, see `curation.media.download.ytdlp.ytdlp_client`.
    """
    chain = list(_wrapped_errors(error))
    machine = next((text for text in map(machine_fault, chain) if text), None)
    if machine:
        return FetchOutcome(machine=machine)
    status, wait = None, None
    http = next((item for item in chain if hasattr(item, "status") and hasattr(item, "response")), ydl.last_error)
    if http is not None and f"{http.status}" in " ".join(map(str, chain)):
        status = http.status
        wait = retry_after_seconds(http.response.headers.get("Retry-After"), time.time())
    failure = classify(_message(chain), status, wait)
    return FetchOutcome(failure=failure, warnings=ydl.params["logger"].warnings[-20:])


def machine_fault(error: BaseException) -> str | None:
    """Return one line if the disk is at fault; a connection refused by a firewall is not the machine's fault."""
    signs = ("No space left on device", "Disk quota exceeded", "Read-only file system", "Too many open files")
    return next((f"download: {sign}" for sign in signs if sign in str(error)), None)


def _wrapped_errors(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors it wraps, in each of the ways that yt-dlp wraps."""
    waiting, seen = [error], set()
    while waiting:
        item = waiting.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        wrapped = (getattr(item, "exc_info", None) or (None, None))[1]
        links = (wrapped, getattr(item, "cause", None), item.__cause__, item.__context__)
        waiting += [link for link in links if isinstance(link, BaseException)]


def _message(chain: Sequence[BaseException]) -> str:
    """Return the message of the first error; its type is named if the message does not contain its meaning."""
    names = {type(item).__name__ for item in chain}
    message = str(chain[0]).removeprefix("ERROR: ")
    refused = next((str(item) for item in chain if type(item).__name__ == "PrivateAddress"), None)
    if refused:
        return refused
    if "GeoRestrictedError" in names and "geo" not in message.lower():
        return f"geo-restricted: {message}"
    return message or type(chain[0]).__name__
