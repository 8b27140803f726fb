"""Spans and crops of the views of a video."""

from __future__ import annotations

import pytest

from runtime.errors import UserError
from training.evaluation.video.video_views import (
    Views,
    crops,
    dense_seconds,
    dense_window,
    dense_windows,
    drawn_span,
    plan_views,
    uniform_span,
)


def test_views_are_written_as_spans_times_crops() -> None:
    assert Views.parse("5x3") == Views(5, 3)


@pytest.mark.parametrize("text", ["5", "0x3", "5x2", "ax3", "x3", "5x3x1"])
def test_other_numbers_of_views_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--views"):
        Views.parse(text)


def test_dense_windows_go_from_the_first_to_the_last_that_fits() -> None:
    assert dense_windows(0.0, 10.0, 2.0, 5) == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0), (6.0, 8.0), (8.0, 10.0)]
    assert dense_windows(1.0, 11.0, 2.0, 1) == [(5.0, 7.0)]


def test_a_video_shorter_than_the_window_is_taken_whole() -> None:
    assert dense_window(3.0, 4.0, 2.0, 0.7) == (3.0, 4.0)


def test_a_dense_window_of_sixteen_frames_spans_64_frames_at_thirty_a_second() -> None:
    assert dense_seconds(16) == pytest.approx(64 / 30)


@pytest.mark.parametrize("u", [0.0, 0.3, 0.999])
def test_a_drawn_dense_window_is_within_the_video(u: float) -> None:
    begin, end = drawn_span("dense", 2.0, 12.0, 16, u)
    assert 2.0 <= begin < end <= 12.0
    assert end - begin == pytest.approx(64 / 30)


def middles(span: tuple[float, float], frames: int) -> list[float]:
    begin, end = span
    return [begin + (index + 0.5) * (end - begin) / frames for index in range(frames)]


def test_dense_views_have_a_span_each_and_uniform_views_share_one() -> None:
    assert plan_views("dense", 0.0, 8.0, 15, 2) == ([(0.0, 2.0), (6.0, 8.0)], 15, 1)
    assert plan_views("uniform", 0.0, 8.0, 4, 2) == ([(0.0, 8.0)], 8, 2)


@pytest.mark.parametrize("u", [0.0, 0.5, 0.999])
def test_each_frame_of_a_shifted_uniform_span_stays_in_its_segment(u: float) -> None:
    span = uniform_span(0.0, 8.0, 4, u)
    times = middles(span, 4)
    assert 0.0 <= span[0] < span[1] <= 8.0
    assert [int(time // 2) for time in times] == [0, 1, 2, 3]


def test_three_crops_are_along_the_longer_side() -> None:
    assert [(crop.x, crop.y) for crop in crops(3, 640, 480)] == [(0.0, 0.5), (0.5, 0.5), (1.0, 0.5)]
    assert [(crop.x, crop.y) for crop in crops(3, 480, 640)] == [(0.5, 0.0), (0.5, 0.5), (0.5, 1.0)]
    assert [(crop.x, crop.y) for crop in crops(1, 640, 480)] == [(0.5, 0.5)]
