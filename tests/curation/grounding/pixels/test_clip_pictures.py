"""The pictures of a clip, and the choice of those that show what a claim cites."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.engines.engine_interface import ImageRef
from curation.grounding.pixels.clip_pictures import ClipPictures, Span, Still, StoredRoot, pictures_of

STILLS = tuple(Still(10.0 + 5 * number, ImageRef("keyframes.tar", number, 1)) for number in range(4))
ROOT = StoredRoot(ImageRef("media.tar", 0, 9), first_frame=9.75, last_frame=29.875)
CLIP = ClipPictures(10.0, STILLS, ROOT)


def test_what_stills_show_is_judged_on_these_stills_in_order_of_time() -> None:
    shown = pictures_of(CLIP, [(20.0, 20.0), (10.0, 10.0)], 6)
    assert [image.offset for image in shown.images] == [0, 2]
    assert shown.frames is None


def test_what_lasts_is_judged_on_frames_of_the_stored_video_with_their_times_in_the_clip() -> None:
    shown = pictures_of(CLIP, [(12.0, 15.0)], 6)
    assert shown.images == ()
    assert shown.frames is not None
    assert shown.frames.file == ROOT.file
    assert shown.frames.times == (pytest.approx(3.0), pytest.approx(4.5))
    assert shown.frames.labels == ("2.8 s:", "4.2 s:")


def test_without_a_stored_video_the_nearest_stills_are_shown_each_once() -> None:
    shown = pictures_of(ClipPictures(10.0, STILLS), [(10.5, 14.0), (24.0, 26.0)], 6)
    assert [image.offset for image in shown.images] == [0, 1, 3]


def test_without_spans_the_clips_own_stills_are_shown_bounded_and_spread_over_it() -> None:
    assert [image.offset for image in pictures_of(CLIP, [], 2).images] == [0, 3]


def test_a_clip_without_pictures_shows_nothing() -> None:
    assert pictures_of(ClipPictures(10.0), [(12.0, 15.0)], 6).are_missing
    assert pictures_of(ClipPictures(10.0), [], 6).are_missing


def test_times_outside_of_the_stored_video_are_brought_inside() -> None:
    shown = pictures_of(CLIP, [(5.0, 8.0), (40.0, 40.0)], 6)
    assert shown.frames is not None
    assert (min(shown.frames.times), max(shown.frames.times)) == (0.0, pytest.approx(20.125))


def test_two_items_about_the_same_seconds_show_these_seconds_once() -> None:
    assert pictures_of(CLIP, [(12.0, 15.0), (12.0, 15.0), (12.5, 14.0)], 9) == pictures_of(CLIP, [(12.0, 15.0)], 9)


SPANS = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 30)).map(lambda each: (each[0], sum(each))), max_size=6)


@given(SPANS, st.integers(1, 8), st.booleans(), st.booleans())
def test_there_are_never_more_pictures_than_allowed_and_times_never_go_back(
    spans: list[Span], most: int, stills: bool, root: bool
) -> None:
    shown = pictures_of(ClipPictures(10.0, STILLS if stills else (), ROOT if root else None), spans, most)
    times = shown.frames.times if shown.frames else ()
    assert len(shown.images) + len(times) <= most
    assert list(times) == sorted(times)
    assert all(0 <= time <= ROOT.last_frame - ROOT.first_frame for time in times)
    assert shown.are_missing == (not stills and not (root and spans))
