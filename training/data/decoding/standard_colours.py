"""Converts pictures to the colours of a standard screen, as curation does for the videos that it stores.

HDR is tone-mapped: diffuse white (203 nits, ITU-R BT.2408) is white, and what is brighter is clipped. Written here:
PyAV's build of ffmpeg lacks the filter (``zscale``) that curation uses.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray

from runtime.picture.colour import Colour
from training.data.decoding.frame_sampling import Frame

_CODES: Final = {
    "bt709": Colorspace.ITU709,
    "fcc": Colorspace.FCC,
    "bt470bg": Colorspace.ITU601,
    "smpte170m": Colorspace.ITU601,
    "smpte240m": Colorspace.SMPTE240M,
    "bt2020nc": Colorspace.BT2020,
}
_WHITE_NITS: Final = 203.0
_PQ_NITS: Final = 10_000.0
_HLG_NITS: Final = 1_000.0
_TO_BT709: Final = {
    "bt2020": np.array(
        [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
        np.float32,
    ),
    "p3": np.array(
        [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]], np.float32
    ),
}
"""Linear light of wide primaries to that of BT.709, both with the white D65."""


def standard_picture(
    reformatter: VideoReformatter, frame: Any, size: tuple[int, int], colour: Colour, **options: Any
) -> Frame:
    """Scale a decoded frame and convert its colours.

    Args:
        reformatter: scaler, reused between frames.
        frame: of PyAV.
        size: width and height in pixels.
        colour: meaning of the frame's samples.
        options: for `VideoReformatter.reformat`.

    Returns:
        uint8 RGB [H, W, 3].
    """
    code = None if colour.matrix is None else _CODES[colour.matrix]
    pixels = "rgb24" if colour.kind == "standard" else "rgb48le"
    picture: Any = reformatter.reformat(frame, *size, pixels, code, code, **options).to_ndarray()
    return _mapped(picture, colour) if colour.kind != "standard" else np.asarray(picture, np.uint8)


def _mapped(picture: NDArray[np.uint16], colour: Colour) -> Frame:
    """Convert by way of linear light, in which 1 is white; pictures are scaled before, so that this costs little."""
    light = _linear_light(colour.transfer)[picture]
    if colour.primaries != "bt709":
        light = light @ _TO_BT709["bt2020" if colour.primaries == "bt2020" else "p3"].T
    light = np.clip(light, 0.0, 1.0)
    encoded = light ** (1 / 2.4) if colour.transfer == "bt709" else _srgb(light)
    return np.asarray(np.rint(encoded * 255), np.uint8)


@cache
def _linear_light(transfer: str) -> NDArray[np.float32]:
    """Return the light of each of the 65,536 values of a sample, as `curation` has ffmpeg compute it."""
    value = np.linspace(0.0, 1.0, 1 << 16)
    curves = {"smpte2084": _perceptual_quantizer, "arib-std-b67": _hybrid_log_gamma, "iec61966-2-1": _srgb_light}
    return np.asarray(curves[transfer](value) if transfer in curves else value**2.4, np.float32)


def _perceptual_quantizer(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of PQ (SMPTE ST 2084)."""
    root = value ** (32 / 2523)
    light = np.maximum(root - 107 / 128, 0.0) / (2413 / 128 - 2392 / 128 * root)
    return np.asarray(light ** (8192 / 1305) * (_PQ_NITS / _WHITE_NITS))


def _hybrid_log_gamma(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of HLG (ARIB STD-B67) on a screen of 1,000 nits, whose gamma is 1.2."""
    scene = np.where(value <= 0.5, value**2 / 3, (np.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return np.asarray(scene**1.2 * (_HLG_NITS / _WHITE_NITS))


def _srgb_light(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _srgb(light: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
