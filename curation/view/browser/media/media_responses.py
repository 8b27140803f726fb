"""Answers with a root's mp4 (by HTTP ranges, read from the tar in pieces) or with a still."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from curation.view.browser.media.root_files import RootFiles
from shards.keys import ClipKey, shard_name
from shards.storage.store import Store
from shards.storage.tar import ByteSpan

_PIECE: Final = 1 << 18
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CACHED: Final = {"Cache-Control": "private, max-age=86400"}


def video_response(request: Request, roots: RootFiles) -> Response:
    """Answer ``/media/<shard>/<root_key>.mp4``, whole or one range of it.

    Raises:
        HTTPException: 404: no such root; 416: a range that the file does not have.
    """
    shard, root_key = _named(request)
    span = roots.video(shard, root_key)
    if span is None:
        raise HTTPException(404, "there is no such video")
    asked = request.headers.get("range")
    first, last = _range(asked, span.size) if asked else (0, span.size - 1)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(last - first + 1), **_CACHED}
    if asked:
        headers["Content-Range"] = f"bytes {first}-{last}/{span.size}"
    pieces = _pieces(roots.store, shard, ByteSpan(span.offset + first, last - first + 1))
    return StreamingResponse(pieces, 206 if asked else 200, headers, "video/mp4")


def still_response(request: Request, roots: RootFiles) -> Response:
    """Answer ``/stills/<shard>/<root_key>/<ms>.jpg`` with the still nearest to a time of the video.

    Raises:
        HTTPException: 404: the root has no stills.
    """
    shard, root_key = _named(request)
    picture = roots.still(shard, root_key, int(request.path_params["ms"]) / 1000)
    if picture is None:
        raise HTTPException(404, "there is no still of this clip")
    return Response(picture, media_type="image/jpeg", headers=_CACHED)


def _named(request: Request) -> tuple[int, str]:
    """Return the shard and the root's key of an address: no other name ever reaches the store."""
    try:
        return int(request.path_params["shard"]), str(ClipKey.parse(request.path_params["root_key"]))
    except ValueError:
        raise HTTPException(404, "there is no such clip") from None


def _range(asked: str, size: int) -> tuple[int, int]:
    """Return the first and last byte of a range; several ranges at once are not supported."""
    match = _RANGE.fullmatch(asked.strip())
    if match is not None and (match[1] or match[2]):
        first = int(match[1]) if match[1] else max(size - int(match[2]), 0)
        last = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
        if first <= last:
            return first, last
    raise HTTPException(416, "there is no such range", {"Content-Range": f"bytes */{size}"})


def _pieces(store: Store, shard: int, span: ByteSpan) -> Iterator[bytes]:
    end = span.offset + span.size
    with store.open(f"media/{shard_name(shard)}.tar") as file:
        file.seek(span.offset)
        while (left := end - file.tell()) > 0:
            piece = file.read(min(_PIECE, left))
            if not piece:
                return  # the tar was cut short: the browser sees an answer that ends too early
            yield piece
