"""The meaning of a video's colour tags: which of them to believe, and what to assume if they are missing.

Tags are the code points of ITU-T H.273. A tag that can't be true of the samples, or that no player acts on, must not
decide over the picture: it is replaced by what players assume for an untagged video of the same size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Self

_UNSTATED: Final = 2
_MATRICES: Final = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
_CONSTANT_LUMINANCE: Final = 10  # of BT.2020; differs little from the usual matrix
_OF_BT2020: Final = frozenset({9, _CONSTANT_LUMINANCE})
_ICTCP: Final = 14
_TRANSFERS: Final = {13: "iec61966-2-1", 16: "smpte2084", 18: "arib-std-b67"}
_HDR: Final = frozenset({"smpte2084", "arib-std-b67"})
_WIDE_PRIMARIES: Final = {9: "bt2020", 11: "smpte431", 12: "smpte432"}
_HD_SIZE: Final = (1280, 576)  # players take an untagged picture for HD if it has this width, or more than this height


@dataclass(frozen=True)
class ColourTags:
    """The colour tags of a frame and the samples that they describe."""

    matrix: int = _UNSTATED
    primaries: int = _UNSTATED
    transfer: int = _UNSTATED
    deep: bool = False
    """True if samples have more than 8 bits."""
    rgb: bool = False
    """True if the samples are red, green and blue, or colours of a palette."""

    @classmethod
    def of_frame(cls, frame: Any) -> Self:
        """Return the tags of a frame of PyAV."""
        pixels = frame.format
        return cls(
            matrix=int(frame.colorspace),
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
            deep=any(component.bits > 8 for component in pixels.components),
            rgb=pixels.is_rgb or pixels.has_palette,
        )


@dataclass(frozen=True)
class Colour:
    """Interpretation of a video's samples; names are those of ffmpeg's ``setparams``."""

    matrix: str | None
    """Matrix from YCbCr to RGB; None: the samples are RGB."""
    primaries: str
    transfer: str
    deep: bool = False
    """True if samples have more than 8 bits."""
    ictcp: bool = False
    """True if the matrix is in truth that of ICtCp, which ``scale`` can't convert."""

    @property
    def kind(self) -> Literal["standard", "wide", "hdr"]:
        """``hdr``: must be tone-mapped; ``wide``: has colours beyond BT.709; ``standard``: neither."""
        if self.transfer in _HDR:
            return "hdr"
        return "standard" if self.primaries == "bt709" else "wide"


def colour_of(tags: ColourTags, width: int, height: int) -> Colour:
    """Return the meaning of the samples of a picture of `width` x `height` stored pixels."""
    if not (tags.rgb or tags.deep or tags.matrix in (_UNSTATED, *_MATRICES)):
        tags = ColourTags()  # a header with an impossible matrix: nothing in it is to be believed
    transfer, primaries = _believed_transfer(tags), "bt709"
    if transfer in _HDR:
        primaries = _WIDE_PRIMARIES.get(tags.primaries, "bt2020" if tags.primaries == _UNSTATED else "bt709")
    elif _believes_wide_primaries(tags):
        primaries = _WIDE_PRIMARIES[tags.primaries]
    if tags.rgb:
        return Colour(None, primaries, transfer, tags.deep)
    of_2020 = primaries == "bt2020" or tags.matrix == _CONSTANT_LUMINANCE
    matrix = _MATRICES.get(tags.matrix, "bt2020nc" if of_2020 else _matrix_by_size(width, height))
    return Colour(matrix, primaries, transfer, tags.deep, ictcp=tags.matrix == _ICTCP and transfer in _HDR)


def _believed_transfer(tags: ColourTags) -> str:
    """Return the transfer; 8 bits are too few for HDR, so that wide primaries must confirm the tag."""
    transfer = _TRANSFERS.get(tags.transfer, "bt709")
    confirmed = tags.deep or tags.primaries in _WIDE_PRIMARIES
    return transfer if transfer not in _HDR or confirmed else "bt709"


def _believes_wide_primaries(tags: ColourTags) -> bool:
    """Return True if the primaries are wide and other tags agree; a single tag is more likely a mistake."""
    if tags.primaries not in _WIDE_PRIMARIES:
        return False
    if _WIDE_PRIMARIES[tags.primaries] == "bt2020" and not tags.rgb:
        return tags.matrix in _OF_BT2020
    return tags.transfer != _UNSTATED and (tags.rgb or tags.matrix in _MATRICES)


def _matrix_by_size(width: int, height: int) -> str:
    """Return the matrix of an untagged picture: BT.709 for HD, BT.601 for less."""
    return "bt709" if width >= _HD_SIZE[0] or height > _HD_SIZE[1] else "smpte170m"
