"""Brightness and motion against pictures of known brightness that move at known speeds."""

from __future__ import annotations

import numpy as np
import pytest
from support.scored_videos import FPS, HEIGHT, WIDTH, Picture, clip_row, flat, named, scores_of, texture, video_of

LARGE = texture(WIDTH * 2, HEIGHT * 2)


def panned(right: float, down: float, frames: int = 24) -> list[Picture]:
    """Return a window that moves over a large picture, by so many pixels a frame."""
    moved = [(40 + round(down * at), 40 + round(right * at)) for at in range(frames)]
    return [LARGE[top : top + HEIGHT, left : left + WIDTH] for top, left in moved]


def with_object(speed: int, frames: int = 24) -> list[Picture]:
    """Return a still picture over which a textured square of a third of the height moves to the right."""
    square = 255 - texture(HEIGHT // 3, HEIGHT // 3, seed=5)
    pictures = []
    for at in range(frames):
        picture = LARGE[:HEIGHT, :WIDTH].copy()
        picture[60:120, 20 + speed * at : 80 + speed * at] = square
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("luma", [0, 60, 128, 255])
def test_brightness_is_the_mean_luma(luma: int) -> None:
    (row,) = scores_of(named("brightness"), [flat(luma)] * 16)
    assert row["brightness"] == pytest.approx(luma / 255, abs=0.01)


def test_each_clip_has_the_brightness_of_its_own_frames() -> None:
    data = video_of([flat(40)] * 16 + [flat(200)] * 16)
    clips = [clip_row(0, 4), clip_row(0, 2, parent="clip_0_4"), clip_row(2, 4, parent="clip_0_4")]
    rows = scores_of(named("brightness"), data, clips)
    assert [row["brightness"] for row in rows] == pytest.approx([120 / 255, 40 / 255, 200 / 255], abs=0.01)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (3, 0), (0, 2), (3, 3)])
def test_motion_of_a_panned_picture_is_its_speed_and_all_of_it_is_the_cameras(right: int, down: int) -> None:
    (row,) = scores_of(named("motion"), panned(right, down))
    speed = np.hypot(right, down) * FPS / HEIGHT
    assert row["motion_magnitude"] == pytest.approx(speed, rel=0.15)
    assert row["camera_motion"] == pytest.approx(speed, rel=0.15)
    assert row["object_motion"] < 0.2 * speed


def test_a_still_picture_does_not_move() -> None:
    (row,) = scores_of(named("motion"), [LARGE[:HEIGHT, :WIDTH]] * 24)
    assert row["motion_magnitude"] < 0.005


def test_an_object_that_moves_over_a_still_picture_is_no_camera_motion() -> None:
    (row,) = scores_of(named("motion"), with_object(3))
    covered = (HEIGHT / 3) ** 2 / (WIDTH * HEIGHT)
    assert row["camera_motion"] < 0.25 * row["object_motion"]
    assert row["motion_magnitude"] == pytest.approx(covered * 3 * FPS / HEIGHT, rel=0.5)


def test_motion_grows_with_the_speed_of_bars() -> None:
    bars = (np.arange(WIDTH * 3) // 16 % 2 * 180 + 40).astype(np.uint8)

    def moving(speed: int) -> list[Picture]:
        return [np.tile(bars[speed * at : speed * at + WIDTH], (HEIGHT, 1)) for at in range(24)]

    found = [scores_of(named("motion"), moving(speed))[0]["motion_magnitude"] for speed in (0, 1, 2)]
    assert found[0] < 0.005
    assert found[1:] == pytest.approx([FPS / HEIGHT, 2 * FPS / HEIGHT], rel=0.2)


def test_a_cut_is_no_motion() -> None:
    still = [LARGE[:HEIGHT, :WIDTH]] * 9 + [texture(seed=9)] * 15
    (row,) = scores_of(named("motion"), still)
    assert row["motion_magnitude"] < 0.02


def test_a_clip_of_one_frame_has_no_motion() -> None:
    (row,) = scores_of(named("motion"), [flat(9)])
    assert row == {"motion_magnitude": None, "camera_motion": None, "object_motion": None}
