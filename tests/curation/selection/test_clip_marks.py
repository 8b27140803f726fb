"""The marks of clips: the first filter that drops a clip gives the reason, and a video is in one split."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.filters.filter_registry import FilterSettings
from curation.filters.word_count_filter import WordLimits
from curation.selection.clip_marks import MEDIA_COLUMNS, TEXT_COLUMNS, mark_clips, mark_counts
from runtime.errors import UserError
from shards.errors import ShardError
from shards.keys import split_of
from shards.schema import CLIPS, SELECTION, TEXT

TEXTS = pa.schema([TEXT.field(name) for name in TEXT_COLUMNS])
MEDIA = pa.schema([CLIPS.field(name) for name in MEDIA_COLUMNS])


def clip(key: str, **changes: Any) -> dict[str, Any]:
    """A clip with speech, a caption and motion, in both tables."""
    plain = {
        "key": key, "video_id": key[:1] * 16, "shard": 0, "level": "short", "start": 0.0, "end": 10.0, "language": "en",
        "subtitle": "some words are said", "caption": "a cat", "grounded_text": None,
        "speech_seconds": 5.0, "motion": 0.1,
    }  # fmt: skip
    return plain | changes


def marks(clips: list[dict[str, Any]], val_percent: float = 1.0, **filters: Any) -> list[dict[str, Any]]:
    """The rows of the selection; the media table is in another order than the texts."""
    texts, media = (
        pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)
        for schema, rows in ((TEXTS, clips), (MEDIA, clips[::-1]))
    )
    table = mark_clips(texts, media, FilterSettings(**filters), val_percent)
    assert table.schema.equals(SELECTION)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@pytest.mark.parametrize(
    ("change", "filters", "reason"),
    [
        ({}, {}, None),
        ({"subtitle": "", "caption": None}, {}, "nothing_to_say"),
        ({"subtitle": "", "caption": None, "grounded_text": "a cat sleeps"}, {}, None),
        ({"motion": 0.0}, {"min_motion": 0.01}, "static_picture"),
        ({"motion": None}, {"min_motion": 0.01}, None),
        ({"speech_seconds": 1.0}, {"min_speech_share": 0.2}, "speech_share"),
        ({"language": "de"}, {"languages": ("en",)}, "language"),
        ({}, {"words": {"short": WordLimits(min=5)}}, "words"),
        ({}, {"words": {"long": WordLimits(min=5)}}, None),
        ({"language": "de", "motion": 0.0}, {"languages": ("en",), "min_motion": 0.01}, "language"),
    ],
)
def test_a_clip_is_kept_unless_a_filter_drops_it(change: dict[str, Any], filters: Any, reason: str | None) -> None:
    other, found = marks([clip("a"), clip("b", **change)], **({"min_speech_share": 0.0} | filters))
    assert (found["key"], found["keep"], found["filter_reason"]) == ("b", reason is None, reason)
    assert other["key"] == "a"


@given(st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), min_size=1, unique=True), st.floats(0, 100))
def test_all_clips_of_a_video_are_in_the_split_of_its_hash(videos: list[str], val_percent: float) -> None:
    clips = [clip(f"{video}_{number}", video_id=video) for video in videos for number in range(3)]
    found = marks(clips, val_percent)
    assert [row["split"] for row in found] == [split_of(row["video_id"], val_percent) for row in clips]


def test_figures_add_up_to_the_clips() -> None:
    clips = [clip("a"), clip("b", motion=0.0), clip("c", motion=0.0), clip("d", subtitle=" ", caption="")]
    texts = pa.Table.from_pylist([{name: row[name] for name in TEXTS.names} for row in clips], schema=TEXTS)
    media = pa.Table.from_pylist([{name: row[name] for name in MEDIA.names} for row in clips], schema=MEDIA)
    counts = mark_counts(mark_clips(texts, media, FilterSettings(min_motion=0.01), 100))
    assert counts == {
        "clips": 4,
        "kept": 1,
        "val": 4,
        "kept_val": 1,
        "dropped:static_picture": 2,
        "dropped:nothing_to_say": 1,
    }


def test_a_shard_without_clips_has_no_marks() -> None:
    assert marks([]) == []


def test_a_clip_without_media_is_refused() -> None:
    texts = pa.Table.from_pylist([{name: clip("a")[name] for name in TEXTS.names}], schema=TEXTS)
    with pytest.raises(ShardError, match="1 clips have texts but no media"):
        mark_clips(texts, MEDIA.empty_table(), FilterSettings(), 1.0)


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises((UserError, ValueError), match="max=2 is below min=5"):
        WordLimits(min=5, max=2)
