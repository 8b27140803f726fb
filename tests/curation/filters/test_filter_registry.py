"""Filters mark clips: the first reason wins, and a filter that is off drops nothing."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.filters.clip_filter import ClipFacts
from curation.filters.filter_registry import FILTERS, FilterSettings, reason_to_drop
from runtime.errors import UserError
from runtime.settings import build, content_hash
from shards.schema import LEVELS

CLIP = ClipFacts(
    level="medium", seconds=30.0, language="en", subtitle="ten words are said here in all of this clip",
    caption="a cat.", grounded_text=None, speech_seconds=12.0, motion=0.05,
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


def test_a_clip_that_passes_every_filter_is_kept() -> None:
    assert reason_to_drop(CLIP, ALL) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"language": "de"}, "language"),
        ({"language": None}, "language"),
        ({"subtitle": "three words only"}, "words"),
        ({"subtitle": "word " * 21}, "words"),
        ({"subtitle": "今天天气很好我们一起去公园散步吧" * 3}, "words"),
        ({"subtitle": "今天天气"}, "words"),
        ({"speech_seconds": 5.9}, "speech_share"),
        ({"motion": 0.009}, "static_picture"),
    ],
)
def test_each_filter_names_its_reason(change: dict[str, Any], reason: str) -> None:
    assert reason_to_drop(replace(CLIP, **change), ALL) == reason


def test_the_first_reason_wins() -> None:
    assert reason_to_drop(replace(CLIP, language="de", subtitle="few", motion=0.0), ALL) == "language"


def test_a_clip_without_speech_caption_and_grounded_text_has_nothing_to_say() -> None:
    silent = replace(CLIP, subtitle=" ", caption=None, language=None)
    assert reason_to_drop(silent, FilterSettings()) == "nothing_to_say"
    assert reason_to_drop(replace(silent, grounded_text="A sign says OPEN."), FilterSettings()) is None
    assert reason_to_drop(silent, FilterSettings(nothing_to_say=False)) is None
    assert reason_to_drop(replace(silent, caption="a cat."), FilterSettings()) is None


def test_clips_without_speech_pass_the_language_filter() -> None:
    assert reason_to_drop(replace(CLIP, subtitle="", language=None), FilterSettings(languages=("en",))) is None


def test_regions_of_a_language_do_not_count() -> None:
    assert reason_to_drop(replace(CLIP, language="en-GB"), FilterSettings(languages=("en",))) is None


def test_clips_whose_motion_is_unknown_pass() -> None:
    assert reason_to_drop(replace(CLIP, motion=None), ALL) is None


def test_word_limits_hold_for_their_level_only() -> None:
    assert reason_to_drop(replace(CLIP, level="long", subtitle="few words"), ALL) is None


def test_limits_that_no_clip_can_meet_are_refused() -> None:
    with pytest.raises(UserError, match=r"filters.words.medium.*max=2 is below min=5"):
        build(FilterSettings, {"words": {"medium": {"min": 5, "max": 2}}}, "filters")


@settings(deadline=None)
@given(
    st.builds(
        ClipFacts, level=st.sampled_from(LEVELS), seconds=st.floats(0.1, 100), language=st.none() | st.text(max_size=5),
        subtitle=st.text(max_size=30), caption=st.none() | st.just("x"), grounded_text=st.none() | st.just("x"),
        speech_seconds=st.floats(0, 100),
        motion=st.none() | st.floats(0, 1),
    ),
)  # fmt: skip
def test_the_reason_is_always_the_name_of_a_filter(clip: ClipFacts) -> None:
    assert reason_to_drop(clip, ALL) in {None, *(kind.name for kind in FILTERS)}
    assert reason_to_drop(clip, FilterSettings()) in (None, "nothing_to_say")


# Names that are stored, and settings that are hashed


def test_the_stored_reasons_are_those_of_layers_made_before() -> None:
    assert [kind.name for kind in FILTERS] == ["language", "words", "speech_share", "static_picture", "nothing_to_say"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "ff612653e241d8f1"),
        ({"min_motion": 0.002}, "3b78420e0133088a"),
        ({"words": {"short": {"min": 3}}, "languages": ("en",)}, "a7c957c43286bd0e"),
    ],
)
def test_the_content_hash_is_that_of_layers_made_before(values: dict[str, Any], expected: str) -> None:
    assert content_hash(FilterSettings(**values).content()) == expected


def test_the_settings_of_all_filters_are_set_in_one_place_in_the_order_of_the_filters() -> None:
    assert list(FilterSettings.model_fields) == [name for kind in FILTERS for name in kind.settings.model_fields]


def test_no_two_filters_have_a_name_or_a_setting_in_common() -> None:
    names = [kind.name for kind in FILTERS]
    fields = [name for kind in FILTERS for name in kind.settings.model_fields]
    assert len(set(names)) == len(names)
    assert len(set(fields)) == len(fields)


def test_settings_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(ALL)) == ALL
