"""Boxes of frames whose black bars change within a video."""

from __future__ import annotations

from curation.scores.picture.content_box import ContentBox, steady_boxes

FULL, BARRED = ContentBox(0, 1, 0, 1), ContentBox(0.12, 0.88, 0, 1)


def test_a_stretch_with_bars_of_its_own_has_its_own_box() -> None:
    boxes = steady_boxes([FULL] * 12 + [BARRED] * 12 + [FULL] * 12)
    assert boxes[:12] == [FULL] * 12
    assert boxes[16:20] == [BARRED] * 4


def test_frames_whose_content_changes_from_one_to_the_next_have_the_box_of_all() -> None:
    dark = [ContentBox(0.1 * (number % 5), 0.6 + 0.1 * (number % 4), 0.05 * (number % 7), 1) for number in range(20)]
    assert set(steady_boxes([*dark, FULL])) <= {FULL, steady_boxes(dark)[0]}


def test_black_frames_have_the_box_of_all() -> None:
    assert steady_boxes([None, BARRED, None]) == [BARRED] * 3
    assert steady_boxes([None, None]) == [None, None]
    assert steady_boxes([]) == []
