"""Random crops of training clips, drawn on the CPU: the paper's multi-scale crop and mirror.

A worker draws a `Crop` for each clip and passes on only the square window of its frames that contains the crop;
`training.data.decoding.model_input` then crops on the device.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import Final

from training.data.clip_tasks import Crop
from training.data.data_settings import AugmentSettings

_DIRECTION: Final = re.compile(
    r"\b(left|right|(left|right)(most|wards?|-?hand(ed)?)|(anti|counter)?-?clockwise)\b", re.IGNORECASE
)


def draw_crop(rng: random.Random, settings: AugmentSettings, texts: Iterable[str | None] = ()) -> Crop:
    """Draw the scale and position of a clip's crop, and if the clip is mirrored.

    Args:
        rng: of the clip; the same numbers are drawn whatever the settings and the texts.
        settings: scales, positions, mirroring.
        texts: of the clip; if one names a direction, the clip is not mirrored unless `flip_directions` is set.
    """
    scale = settings.scales[int(rng.random() * len(settings.scales))]
    x, y, coin = rng.random(), rng.random(), rng.random()
    x, y = (0.5, 0.5) if settings.center else (x, y)
    flip = settings.flip and coin < 0.5
    if flip and not settings.flip_directions:
        flip = not any(names_direction(text) for text in texts if text)
    return Crop(scale=scale, x=x, y=y, flip=flip)


def names_direction(text: str) -> bool:
    """Return True if an English text names left, right or clockwise: it would be wrong of a mirrored clip."""
    return _DIRECTION.search(text) is not None


def crop_window(crop: Crop, width: int, height: int) -> tuple[int, int, tuple[float, float, float, float]]:
    """Place a square window, as large as the frame's short side, so that it contains the crop.

    Args:
        crop: of the clip.
        width: of the frame, pixels.
        height: of the frame, pixels.

    Returns:
        Left and top of the window in pixels, and a row of `ClipBatch.crop_B4`.
    """
    side = min(width, height)
    cropped = crop.scale * side
    left, top = crop.x * (width - cropped), crop.y * (height - cropped)
    window_left = _window_begin(left, cropped, side, width)
    window_top = _window_begin(top, cropped, side, height)
    return (
        window_left,
        window_top,
        (
            min(max((left - window_left) / side, 0.0), 1.0 - crop.scale),
            min(max((top - window_top) / side, 0.0), 1.0 - crop.scale),
            crop.scale,
            float(crop.flip),
        ),
    )


def _window_begin(begin: float, cropped: float, side: int, length: int) -> int:
    """Return the first pixel of a window of `side` pixels, centred on the crop as far as the frame allows."""
    return min(max(round(begin + (cropped - side) / 2), 0), length - side)
