"""Colour tags are believed where they can be true; otherwise a picture means what players assume."""

import pytest

from runtime.picture.colour import Colour, ColourTags, colour_of

HD, SD = (1920, 1080), (640, 480)
BT709, BT601 = Colour("bt709", "bt709", "bt709"), Colour("smpte170m", "bt709", "bt709")


@pytest.mark.parametrize(
    ("size", "expected"),
    [(HD, BT709), ((1280, 720), BT709), ((720, 1280), BT709), (SD, BT601), ((720, 576), BT601), ((352, 288), BT601)],
)
def test_an_untagged_picture_has_the_matrix_of_its_size(size: tuple[int, int], expected: Colour) -> None:
    assert colour_of(ColourTags(), *size) == expected


@pytest.mark.parametrize(
    ("matrix", "name"), [(1, "bt709"), (4, "fcc"), (5, "bt470bg"), (6, "smpte170m"), (7, "smpte240m"), (9, "bt2020nc")]
)
def test_a_stated_matrix_counts_whatever_the_size(matrix: int, name: str) -> None:
    assert {colour_of(ColourTags(matrix), *size).matrix for size in (HD, SD)} == {name}


@pytest.mark.parametrize("matrix", [0, 3, 8, *range(10, 18), 255])
def test_an_impossible_matrix_discredits_the_other_tags(matrix: int) -> None:
    assert colour_of(ColourTags(matrix, primaries=9, transfer=16), *HD) == BT709
    assert colour_of(ColourTags(matrix, primaries=9, transfer=14), *SD) == BT601


@pytest.mark.parametrize("code", [0, 3, 8, 10, 17, 22, 255])
def test_rare_primaries_and_transfers_change_nothing(code: int) -> None:
    assert colour_of(ColourTags(1, primaries=code), *HD) == BT709
    assert colour_of(ColourTags(1, transfer=code), *HD) == BT709


def test_hdr_of_ten_bits_is_believed_and_completed() -> None:
    pq = colour_of(ColourTags(transfer=16, deep=True), *HD)
    assert (pq.kind, pq.matrix, pq.primaries) == ("hdr", "bt2020nc", "bt2020")
    p3 = colour_of(ColourTags(1, primaries=12, transfer=18, deep=True), *HD)
    assert (p3.kind, p3.matrix, p3.primaries) == ("hdr", "bt709", "smpte432")


def test_hdr_of_eight_bits_needs_wide_primaries() -> None:
    assert colour_of(ColourTags(9, primaries=9, transfer=16), *HD).kind == "hdr"
    assert colour_of(ColourTags(transfer=16), *HD) == BT709


def test_wide_primaries_need_the_other_tags() -> None:
    assert colour_of(ColourTags(9, primaries=9, transfer=14), *HD).kind == "wide"
    assert colour_of(ColourTags(1, primaries=12, transfer=13), *HD).kind == "wide"
    assert colour_of(ColourTags(1, primaries=9, transfer=1), *HD) == BT709
    assert colour_of(ColourTags(primaries=9), *HD) == BT709


def test_ictcp_is_believed_in_hdr_of_ten_bits_only() -> None:
    assert colour_of(ColourTags(14, primaries=9, transfer=16, deep=True), *HD).ictcp
    assert not colour_of(ColourTags(14, deep=True), *HD).ictcp


def test_samples_that_are_rgb_have_no_matrix() -> None:
    assert colour_of(ColourTags(1, rgb=True), *HD) == Colour(None, "bt709", "bt709")
