"""Responses of model servers, read within a bound: an endless, huge or compressed body must not fill the memory."""

from __future__ import annotations

import zlib
from typing import Final

import httpx

UNCOMPRESSED: Final[dict[str, str]] = {"Accept-Encoding": "identity"}
"""Headers of a request that ask for a body as it is."""
_ZLIB: Final = ("gzip", "x-gzip", "deflate")
_EITHER_HEADER: Final = 32 + zlib.MAX_WBITS
"""Window of a decompressor that takes the headers of gzip and of zlib."""


class UnreadableBody(Exception):
    """The body of a response is larger than the bound, or is compressed in a way that has no bound."""


async def read_bounded(response: httpx.Response, most: int) -> httpx.Response:
    """Read the body of an open streamed response, and return a response that holds it as it was before compression.

    Of its headers only ``Retry-After`` is kept: a declared charset could name any of Python's codecs.

    Args:
        response: open; its body has not been read.
        most: bytes of the largest body, before and after compression.

    Raises:
        UnreadableBody: the body is larger, or can't be unpacked within the bound.
        httpx.TransportError: the connection broke.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > most:
            raise UnreadableBody(f"the answer has more than {most} bytes")
        parts.append(part)
    body = _unpacked(b"".join(parts), response.headers.get("content-encoding", ""), most)
    kept = {name: value for name, value in response.headers.items() if name.lower() == "retry-after"}
    return httpx.Response(response.status_code, headers=kept, content=body)


def _unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """Return a body without its compression: some servers compress although they are asked not to."""
    name = encoding.strip().lower()
    if name in ("", "identity") or not body:
        return body
    if name not in _ZLIB:
        raise UnreadableBody(f"the answer is compressed as {name[:40]!r}, which was not asked for")
    unpacker = zlib.decompressobj(_EITHER_HEADER)
    try:
        unpacked = unpacker.decompress(body, most + 1)
    except zlib.error:
        raise UnreadableBody(f"the answer is not {name}") from None
    if len(unpacked) > most:
        raise UnreadableBody(f"the answer has more than {most} bytes")
    return unpacked
