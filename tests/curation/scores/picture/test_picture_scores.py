"""Blur, black frames, bars, split screens and overlays against pictures made so that the values are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.scored_videos import HEIGHT, WIDTH, Picture, clip_row, flat, named, scores_of, texture, video_of

LARGE = texture(WIDTH * 2, HEIGHT * 2)


def panned(frames: int = 40, speed: int = 6) -> list[Picture]:
    """Return a window that moves over a large picture."""
    return [LARGE[20 : 20 + HEIGHT, speed * at : speed * at + WIDTH].copy() for at in range(frames)]


def test_sharpness_falls_with_the_width_of_the_blur() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), np.uint8)

    def sharpness(sigma: float) -> float:
        picture = cv2.GaussianBlur(noise, (0, 0), sigma) if sigma else noise
        return float(scores_of(named("blur"), [picture] * 9)[0]["sharpness"])

    found = [sharpness(sigma) for sigma in (0, 0.7, 1, 2, 4)]
    assert found == sorted(found, reverse=True) and found[0] > 100 * found[-1]


def test_a_plain_picture_has_no_sharpness() -> None:
    assert scores_of(named("blur"), [flat(90)] * 9)[0]["sharpness"] == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("black", [0, 1, 2, 4])
def test_black_frames_are_counted(black: int) -> None:
    frames = [flat(0)] * (8 * black) + [texture()] * (8 * (4 - black))
    assert scores_of(named("black_frames"), frames)[0]["black_frames"] == black / 4


def test_a_dark_picture_with_a_light_in_it_is_not_black() -> None:
    lit = flat(5)
    lit[50:90, 60:120] = 250
    assert scores_of(named("black_frames"), [lit] * 9)[0]["black_frames"] == 0


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (20, 0), (0, 70), (30, 40)])
def test_bars_are_measured_at_every_edge(rows: int, columns: int) -> None:
    picture = flat(0)
    window = slice(rows, HEIGHT - rows), slice(columns, WIDTH - columns)
    picture[window] = 60 + texture()[window] // 2
    inside = (HEIGHT - 2 * rows) * (WIDTH - 2 * columns) / (WIDTH * HEIGHT)
    assert scores_of(named("letterbox"), [picture] * 9)[0]["letterbox"] == pytest.approx(1 - inside, abs=0.02)


def test_a_dark_scene_between_light_ones_is_no_bar() -> None:
    spot = flat(0)
    spot[60:100, 100:200] = 200
    frames = [flat(120)] * 8 + [spot] * 8 + [flat(0)] * 8
    data = video_of(frames)
    whole, dark = scores_of(named("letterbox"), data, [clip_row(0, 3), clip_row(2, 3, parent="clip_0_3")])
    assert whole["letterbox"] == pytest.approx(0) and dark["letterbox"] is None


def side_by_side(at: int = 0, *, across: bool = False) -> Picture:
    """Return two pictures beside, or above, each other; both change with `at`."""
    one = LARGE[at : at + HEIGHT, at : at + WIDTH] // 2
    other = 127 + LARGE[at : at + HEIGHT, 3 * at : 3 * at + WIDTH] // 2
    if across:
        return np.concatenate([one[: HEIGHT // 2], other[HEIGHT // 2 :]])
    return np.concatenate([one[:, : WIDTH // 2], other[:, WIDTH // 2 :]], axis=1)


@pytest.mark.parametrize("across", [False, True])
def test_two_pictures_in_one_are_a_split_screen(across: bool) -> None:
    frames = [side_by_side(at, across=across) for at in range(32)]
    assert scores_of(named("split_screen"), frames)[0]["split_screen"] == 1


def test_a_split_screen_is_counted_as_long_as_it_lasts() -> None:
    frames = panned(16) + [side_by_side(at) for at in range(16)]
    assert scores_of(named("split_screen"), frames)[0]["split_screen"] == 0.5


def test_a_split_screen_within_bars_is_one() -> None:
    frames = []
    for at in range(24):
        picture = flat(0)
        picture[30:150] = np.maximum(side_by_side(at), 40)[30:150]
        frames.append(picture)
    assert scores_of(named("split_screen"), frames)[0]["split_screen"] == 1


def test_a_plain_picture_and_a_textured_one_are_no_split_screens() -> None:
    for frames in ([flat(100)] * 16, panned(24)):
        assert scores_of(named("split_screen"), frames)[0]["split_screen"] == 0


def with_logo(frames: list[Picture]) -> list[Picture]:
    """Put a logo of 40 x 20 pixels into a corner."""
    for picture in frames:
        picture[10:30, 270:310] = 255
        picture[14:26, 276:290] = 0
        picture[14:26, 294:304] = 0
    return frames


def test_a_logo_over_a_moving_picture_is_an_overlay_of_its_size() -> None:
    (row,) = scores_of(named("overlay"), with_logo(panned(48)))
    assert row["overlay"] == pytest.approx(40 * 20 / (WIDTH * HEIGHT), rel=0.5)


def test_a_moving_picture_without_a_logo_has_no_overlay() -> None:
    assert scores_of(named("overlay"), panned(48))[0]["overlay"] < 0.002


def test_in_a_still_scene_an_overlay_can_not_be_told() -> None:
    still = LARGE[:HEIGHT, :WIDTH].copy()
    assert scores_of(named("overlay"), with_logo([still.copy() for _ in range(48)]))[0]["overlay"] is None


def test_bars_are_no_overlay() -> None:
    frames = panned(48)
    for picture in frames:
        picture[:30] = picture[150:] = 0
    assert scores_of(named("overlay"), frames)[0]["overlay"] < 0.01


def test_of_a_frame_around_the_picture_only_the_frame_is_an_overlay() -> None:
    frames = panned(48)
    for picture in frames:
        cv2.rectangle(picture, (60, 30), (260, 150), 255, 3)
    assert scores_of(named("overlay"), frames)[0]["overlay"] < 0.12
