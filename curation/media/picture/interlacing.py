"""Interlaced video: which frames hold two moments in alternate lines, and the filter that separates them.

A frame of interlaced video shows one moment in its even lines and another in its odd lines. Scaled as it is, whatever
moves gets combed or doubled edges.
"""

from __future__ import annotations

from typing import Any, Final, Literal

Fields = Literal["none", "marked", "top", "bottom"]
"""``none``: no frame is interlaced; ``marked``: the decoder marks those that are; ``top``, ``bottom``: all are, and
this field is shown first."""

_PROGRESSIVE: Final = 1  # libavcodec's AVFieldOrder; 0 is unknown
_BY_ORDER: Final[dict[int, Fields]] = {2: "top", 3: "bottom", 4: "top", 5: "bottom"}
_NEVER_INTERLACED: Final = frozenset({"vp8", "vp9", "av1", "theora", "gif", "png", "apng", "webp"})
_BROADCAST: Final = frozenset({"mpegts", "mpeg"})


def fields_of(codec: str, container: str, field_order: int, first_is_marked: bool) -> Fields:
    """Return how the frames of a stream are interlaced.

    Args:
        codec: libavcodec's name.
        container: libavformat's name of the demuxer.
        field_order: libavcodec's ``AVFieldOrder`` of the stream.
        first_is_marked: the decoder marked the first frame as interlaced.
    """
    if codec in _NEVER_INTERLACED:
        return "none"
    if field_order in _BY_ORDER and not first_is_marked and not _marks_frames(codec):
        return _BY_ORDER[field_order]
    if field_order == _PROGRESSIVE and not first_is_marked and container not in _BROADCAST:
        return "none"
    return "marked"  # broadcasts change between the two, and a stream of unknown order may have a few such frames


def without_fields(video: Any, fields: Fields, width: int, height: int) -> Any:
    """Rebuild each interlaced frame as the one moment that its first field shows; pass other frames through."""
    if fields == "none":
        return video
    sized = video.filter("scale", width, height, interl=-1)  # the deinterlacer fails if the size changes midway
    if fields == "marked":
        return sized.filter("bwdif", mode="send_frame", deint="interlaced")
    return sized.filter("bwdif", mode="send_frame", deint="all", parity="tff" if fields == "top" else "bff")


def _marks_frames(codec: str) -> bool:
    """Return True if the codec has a mark in each frame, which is surer than the container's word for all of them."""
    return codec in {"h264", "hevc", "mpeg2video", "mpeg4", "vc1", "dvvideo"}
