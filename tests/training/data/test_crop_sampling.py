"""Crops: drawn from a seed, and placed in the window that a worker passes on."""

from __future__ import annotations

import random

import numpy as np
import pytest

from training.data.clip_tasks import CENTER
from training.data.data_settings import AugmentSettings
from training.data.decoding.crop_sampling import crop_window, draw_crop, names_direction


def test_the_same_seed_draws_the_same_crops_and_all_scales_occur() -> None:
    settings = AugmentSettings()
    drawn = [draw_crop(random.Random(n), settings) for n in range(200)]
    assert drawn == [draw_crop(random.Random(n), settings) for n in range(200)]
    assert {crop.scale for crop in drawn} == {1.0, 0.8}
    assert 0.3 < np.mean([crop.flip for crop in drawn]) < 0.7
    assert not any(draw_crop(random.Random(n), AugmentSettings(flip=False)).flip for n in range(50))


def test_the_mirror_setting_does_not_change_the_positions() -> None:
    with_flip, without = (draw_crop(random.Random(7), AugmentSettings(flip=flip)) for flip in (True, False))
    assert (with_flip.x, with_flip.y, with_flip.scale) == (without.x, without.y, without.scale)


@pytest.mark.parametrize(("width", "height"), [(456, 256), (256, 456), (256, 256), (1001, 256)])
def test_the_window_is_within_the_frame_and_contains_the_crop(width: int, height: int) -> None:
    for number in range(200):
        crop = draw_crop(random.Random(number), AugmentSettings(scales=(1.0, 0.8, 0.33)))
        left, top, (x, y, side, flip) = crop_window(crop, width, height)
        short = min(width, height)
        assert 0 <= left <= width - short and 0 <= top <= height - short
        assert x >= 0 and x + side <= 1 + 1e-9 and y >= 0 and y + side <= 1 + 1e-9
        assert abs(left + x * short - crop.x * (width - crop.scale * short)) <= 0.5 + 1e-6
        assert flip == crop.flip


def test_the_centre_crop_is_the_middle_square() -> None:
    assert crop_window(CENTER, 456, 256) == (100, 0, (0.0, 0.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a man turns left", True),
        ("Right-handed throw", True),
        ("on the leftmost shelf", True),
        ("the wheel turns counter-clockwise", True),
        ("a bright light", False),
        ("leftovers on a plate", False),
        ("", False),
    ],
)
def test_words_for_left_and_right_are_seen(text: str, named: bool) -> None:
    assert names_direction(text) == named
