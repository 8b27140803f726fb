"""ffmpeg filters that bring a picture of any colour meaning to the one meaning in which everything is stored.

Stored videos and stills have the matrix of BT.601: JPEG means nothing else, and readers that ignore tags assume it for
small pictures. Colours are those that a standard screen shows. HDR is tone-mapped with diffuse white (203 nits, ITU-R
BT.2408) as white; what is brighter is clipped.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from runtime.picture.colour import Colour

_MATRIX: Final = "smpte170m"
_WHITE_NITS: Final = 203
_DEEP: Final = "yuv444p12le"  # what has more than 8 bits, or needs them while it is converted

Range = Literal["tv", "pc"]


def as_understood(video: Any, colour: Colour) -> Any:
    """Replace the colour tags of all frames by what they are understood to be, so that no filter refuses them."""
    tags = {"color_primaries": colour.primaries, "color_trc": colour.transfer}
    if colour.matrix is not None:
        tags["colorspace"] = colour.matrix
    return video.filter("setparams", **tags)


def scaled_to_standard(video: Any, colour: Colour, width: int, height: int, range_: Range) -> Any:
    """Scale a picture and convert its colours; the result is 4:2:0 with 8 bits.

    It is scaled first: converting the colours of a 4K picture would cost more than decoding it.
    """
    simple = colour.kind == "standard" and colour.matrix is not None and not colour.deep
    scaled = video.filter("scale", width, height, out_color_matrix=colour.matrix or _MATRIX)
    scaled = scaled.filter("format", "yuv420p" if simple else _DEEP)
    target = {"matrix": _MATRIX, "primaries": "bt709", "range": range_}
    if colour.kind == "hdr":
        scaled = _tone_mapped(scaled, colour)
        target["transfer"] = "iec61966-2-1"
    standard = scaled.filter("zscale", **target)
    pixels = "yuv420p" if range_ == "tv" else "yuvj420p"
    return standard.filter("format", "yuv420p").filter("setsar", 1).filter("format", pixels)


def _tone_mapped(video: Any, colour: Colour) -> Any:
    """Return the linear light of BT.709 in which 1 is diffuse white; what is brighter is clipped."""
    light: dict[str, Any] = {"transfer": "linear", "npl": _WHITE_NITS, "primaries": "bt709", "matrix": "gbr"}
    if colour.ictcp:
        light["matrixin"] = "ictcp"
    return video.filter("zscale", **light).filter("format", "gbrpf32le").filter("tonemap", "clip")
