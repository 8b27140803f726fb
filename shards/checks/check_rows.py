"""Checks of texts, captions, keyframes and the ledger of one shard against its clips.

Part of `shards.checks.check_dir`. Pure functions over plain rows; each yields one line for each problem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, cast, get_args

from shards.checks.check_clips import FRAME_SLACK
from shards.schema import (
    CLIPS,
    FAILED_CLASSES,
    FILTERED_CLASSES,
    OBSERVATION_KINDS,
    REWRITE_STATUSES,
    STATES,
    TEXT,
    PostponedClass,
)
from shards.stored_rows import StoredClip, StoredMarks, StoredObservation, StoredOutcome, StoredSource, StoredText

STILL_SLACK: Final = 10.0
"""Seconds by which a keyframe may be outside its root, if the video has no still inside."""
_SHARED: Final = tuple(name for name in TEXT.names if name in CLIPS.names and name != "key")
"""Columns that a text layer repeats from the media."""


def text_problems(texts: Sequence[StoredText], clips: Sequence[StoredClip]) -> Iterator[str]:
    """Yield the problems of a shard's texts, by themselves and against its clips.

    Args:
        texts: rows of ``text/<layer>/<shard>.parquet``.
        clips: rows of ``media/<shard>.parquet``.
    """
    by_key: Mapping[str, Mapping[str, Any]] = {row["key"]: row for row in clips}
    counts = Counter(row["key"] for row in texts)
    yield from (f"clip {key}: has {count} rows" for key, count in counts.items() if count > 1)
    yield from (f"clip {key}: has no row of text" for key in by_key if key not in counts)
    for row in texts:
        clip, own = by_key.get(row["key"]), dict[str, Any](row)
        if clip is None:
            yield f"clip {row['key']}: is no clip of this shard's media"
            continue
        for name in _SHARED:
            if name in own and own[name] != clip[name]:
                yield f"clip {row['key']}: {name} {own[name]!r} is {clip[name]!r} in its media"
        yield from (f"clip {row['key']}: {what}" for what in _text_value_problems(row))


def _text_value_problems(row: StoredText) -> Iterator[str]:
    if row["rewrite_status"] not in REWRITE_STATUSES:
        yield f"rewrite_status {row['rewrite_status']!r} is none of {', '.join(REWRITE_STATUSES)}"
    if "split" in row:  # schema version 1
        yield from mark_problems(cast(StoredMarks, row))
    score = row["grounding_score"]
    if score is not None and (row["rewrite_status"] != "ok" or not 0 <= score <= 1):
        yield f"grounding_score {score:g} with rewrite_status {row['rewrite_status']}"
    if row["rewrite_status"] == "abstained" and row["grounded_text"] is not None:
        yield "grounded_text is given although the model abstained"
    for caption in row["frame_captions"] or []:
        if not row["start"] - FRAME_SLACK <= caption["time"] <= row["end"] + FRAME_SLACK:
            yield f"a frame caption at {caption['time']:g} s is outside the clip"
    yield from _span_problems(row)


def _span_problems(row: StoredText) -> Iterator[str]:
    """Yield the problems of events, on-screen text and objects; a layer of schema version 1 has none."""
    told: Mapping[str, Any] = row
    for name in ("events", "on_screen_text", "objects"):
        spans = told.get(name) or []
        for each in spans:
            if not row["start"] - FRAME_SLACK <= each["start"] <= each["end"] <= row["end"] + FRAME_SLACK:
                yield f"{name} from {each['start']:g} to {each['end']:g} s are outside the clip"
        if any(after["start"] < before["start"] for before, after in pairwise(spans)):
            yield f"{name} are not in order of time"


def mark_problems(row: StoredMarks) -> Iterator[str]:
    """Yield the problems of the marks of one clip."""
    if row["split"] not in ("train", "val"):
        yield f"split {row['split']!r} is none of train, val"
    if row["keep"] != (row["filter_reason"] is None):
        yield "filter_reason must be given exactly if keep is false"


def caption_problems(
    rows: Sequence[StoredObservation], roots: Mapping[str, StoredClip], keyframes: Mapping[str, set[int]]
) -> Iterator[str]:
    """Yield the problems of one set of captions of a shard, against its roots and keyframes.

    Args:
        rows: of ``captions/<name>/<shard>.parquet``, as `shards.media.observations.observations_of` returns them.
        roots: the shard's root clips by key.
        keyframes: times (ms) of the keyframes that are there, by root.
    """
    yield from _frame_problems([row for row in rows if row["kind"] == "frame"], roots, keyframes)
    for row in rows:
        yield from (f"root {row['root_key']}: {what}" for what in _observation_problems(row, roots))


def _frame_problems(
    rows: Sequence[StoredObservation], roots: Mapping[str, StoredClip], keyframes: Mapping[str, set[int]]
) -> Iterator[str]:
    seen: Counter[tuple[str, int]] = Counter((row["root_key"], round(row["start"] * 1000)) for row in rows)
    for (root, ms), count in seen.items():
        if root in roots and ms not in keyframes.get(root, set()):
            yield f"root {root}: a caption at {ms / 1000:g} s has no keyframe"
        if count > 1:
            yield f"root {root}: {count} captions at {ms / 1000:g} s"
    for root, times in keyframes.items():
        missing = sorted(ms for ms in times if (root, ms) not in seen)
        if missing:
            yield f"root {root}: {len(missing)} keyframes have no row, the first at {missing[0] / 1000:g} s"


def _observation_problems(row: StoredObservation, roots: Mapping[str, StoredClip]) -> Iterator[str]:
    root = roots.get(row["root_key"])
    if root is None:
        yield "is no root of this shard's media"
    elif not root["start"] - STILL_SLACK <= row["start"] <= row["end"] <= root["end"] + STILL_SLACK:
        yield f"the span {row['start']:g} to {row['end']:g} s of its {row['kind']} is outside it"
    if row["kind"] not in OBSERVATION_KINDS:
        yield f"kind {row['kind']!r} is none of {', '.join(OBSERVATION_KINDS)}"
    for name, value in (("confidence", row["confidence"]), ("share", row["share"])):
        if value is not None and not 0 <= value <= 1:
            yield f"{name} {value:g} is not between 0 and 1"


def keyframe_problems(roots: Mapping[str, StoredClip], keyframes: Mapping[str, set[int]]) -> Iterator[str]:
    """Yield the problems of a shard's keyframes against its roots; arguments as of `caption_problems`."""
    for root, times in keyframes.items():
        row = roots.get(root)
        if row is None:
            yield f"root {root}: keyframes of no root of this shard"
            continue
        for ms in sorted(times):
            if not row["start"] - STILL_SLACK <= ms / 1000 <= row["end"] + STILL_SLACK:
                yield f"root {root}: a keyframe at {ms / 1000:g} s is outside it"
    yield from (f"root {root}: has no keyframe" for root in roots if not keyframes.get(root))


def ledger_problems(
    ledger: Sequence[StoredOutcome], sources: Sequence[StoredSource], clips: Sequence[StoredClip]
) -> Iterator[str]:
    """Yield the problems of a shard's ledger: each source is in it once, in a valid state, with its clips counted.

    Args:
        ledger: rows of ``ledger/<shard>.parquet``.
        sources: the shard's rows of the table of sources.
        clips: rows of ``media/<shard>.parquet``.
    """
    booked, asked = Counter(map(_attempt, ledger)), Counter(map(_attempt, sources))
    yield from (f"source {one[0]}: is not in the ledger" for one in asked - booked)
    yield from (f"source {one[0]}: is in the ledger, but not so in the table of sources" for one in booked - asked)
    made = Counter((row["video_id"], row["source"]) for row in clips)
    counted: Counter[tuple[str, str]] = Counter()
    for row in ledger:
        counted[row["video_id"], row["source"]] += row["clips"]
        yield from (f"source {row['source']}: {what}" for what in _state_problems(row))
    for name in made.keys() | counted.keys():
        if made[name] != counted[name]:
            yield f"source {name[1]}: the ledger counts {counted[name]} clips, the media has {made[name]}"


def _attempt(row: StoredOutcome | StoredSource) -> tuple[str, str, float | None, float | None, int, int]:
    return row["source"], row["video_id"], row["start"], row["end"], row["shard"], row["attempt"]


_CLASSES: Final[Mapping[str, Callable[[str | None], bool]]] = {
    "written": lambda class_: class_ is None,
    "filtered": lambda class_: class_ in FILTERED_CLASSES,
    "failed": lambda class_: class_ in FAILED_CLASSES,
    "pending": lambda class_: class_ in (None, *get_args(PostponedClass)),
}
"""Tests of the class that a source may have in each state."""


def _state_problems(row: StoredOutcome) -> Iterator[str]:
    state = row["state"]
    if state not in STATES:
        yield f"state {state!r} is none of {', '.join(STATES)}"
    elif not _CLASSES[state](row["class"]):
        yield f"class {row['class']!r} does not belong to state {state}"
    if (state == "written") != (row["clips"] > 0):
        yield f"state {state} with {row['clips']} clips"
