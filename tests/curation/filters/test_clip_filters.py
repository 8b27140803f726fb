"""Filters mark clips: the first reason wins, and what is not asked for drops nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.filters.clip_filters import FILTERS, ClipFacts, FilterSettings, reason_to_drop
from runtime.errors import UserError
from runtime.settings import build
from shards.schema import LEVELS

CLIP = ClipFacts(
    level="medium", seconds=30.0, language="en", subtitle="ten words are said here in all of this clip",
    caption="a cat.", speech_seconds=12.0, motion=0.05,
)  # fmt: skip
ALL = build(
    FilterSettings,
    {
        "languages": ["en"],
        "words": {"medium": {"min": 5, "max": 20}},
        "min_speech_share": 0.2,
        "min_motion": 0.01,
    },
    "filters",
)


def test_a_clip_that_passes_every_filter_is_kept():
    assert reason_to_drop(CLIP, ALL) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"language": "de"}, "language"),
        ({"language": None}, "language"),
        ({"subtitle": "three words only"}, "words"),
        ({"subtitle": "word " * 21}, "words"),
        ({"speech_seconds": 5.9}, "speech_share"),
        ({"motion": 0.009}, "static_picture"),
    ],
)
def test_each_filter_names_its_reason(change, reason):
    assert reason_to_drop(replace(CLIP, **change), ALL) == reason


def test_the_first_reason_wins():
    assert reason_to_drop(replace(CLIP, language="de", subtitle="few", motion=0.0), ALL) == "language"


def test_a_clip_with_neither_speech_nor_caption_has_nothing_to_say():
    silent = replace(CLIP, subtitle=" ", caption=None, language=None)
    assert reason_to_drop(silent, FilterSettings()) == "nothing_to_say"
    assert reason_to_drop(silent, FilterSettings(nothing_to_say=False)) is None
    assert reason_to_drop(replace(silent, caption="a cat."), FilterSettings()) is None


def test_clips_without_speech_pass_the_language_filter():
    assert reason_to_drop(replace(CLIP, subtitle="", language=None), FilterSettings(languages=("en",))) is None


def test_regions_of_a_language_do_not_count():
    assert reason_to_drop(replace(CLIP, language="en-GB"), FilterSettings(languages=("en",))) is None


def test_clips_whose_motion_is_unknown_pass():
    assert reason_to_drop(replace(CLIP, motion=None), ALL) is None


def test_word_limits_hold_for_their_level_only():
    assert reason_to_drop(replace(CLIP, level="long", subtitle="few words"), ALL) is None


def test_limits_that_no_clip_can_meet_are_refused():
    with pytest.raises(UserError, match=r"filters.words.medium.*max=2 is below min=5"):
        build(FilterSettings, {"words": {"medium": {"min": 5, "max": 2}}}, "filters")


@settings(deadline=None)
@given(
    st.builds(
        ClipFacts, level=st.sampled_from(LEVELS), seconds=st.floats(0.1, 100), language=st.none() | st.text(max_size=5),
        subtitle=st.text(max_size=30), caption=st.none() | st.just("x"), speech_seconds=st.floats(0, 100),
        motion=st.none() | st.floats(0, 1),
    ),
)  # fmt: skip
def test_the_reason_is_always_the_name_of_a_filter(clip):
    assert reason_to_drop(clip, ALL) in {None, *(keeps.__name__ for keeps in FILTERS)}
    assert reason_to_drop(clip, FilterSettings()) in (None, "nothing_to_say")
