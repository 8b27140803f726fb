"""All scores of one root's clips from one decode: measures of frames, values of clips, nulls where a score fails."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np

from curation.scores.root_frames import Frame, UndecodableRoot, root_frames
from curation.scores.scorer import Column, Measure, ScoredClip, Scorer, ShardRows, Value, VectorColumn
from runtime.errors import is_machine_fault, one_line
from runtime.log import get_logger
from shards.stored_rows import StoredClip, StoredText, StoredWord

T = TypeVar("T")
_LOG: Final = get_logger(__name__)
_ROUNDING: Final = 1e-4


@dataclass(frozen=True)
class NamedScorer:
    """A scorer of a set, with its columns."""

    name: str
    columns: Sequence[Column]
    scorer: Scorer[Any]


@dataclass
class _Look:
    """The measurements of one scorer on a root so far."""

    measures: list[Measure[Any]] = field(default_factory=list)
    before: Frame | None = None
    failed: str | None = None


def score_root(
    scorers: Sequence[NamedScorer],
    clips: Sequence[StoredClip],
    texts: Mapping[str, StoredText],
    video: Callable[[], bytes],
    counts: Counter[str],
) -> list[dict[str, Value]]:
    """Return the values of all columns for each clip of one root, in order.

    Args:
        scorers: of the set.
        clips: rows of the root and of the clips in it, the root first.
        texts: rows of the text layer by key; empty if no scorer needs them.
        video: returns the root's mp4; called only if a scorer looks at frames.
        counts: figures to add to: ``failed:decode`` and ``failed:<score>``, in clips.

    Raises:
        MachineError: memory is exhausted.
        OSError: the disk fails.
    """
    looks = {each.name: _Look() for each in scorers}
    looking = [each for each in scorers if each.scorer.sampling is not None]
    if looking and not _look(looking, looks, video):
        counts["failed:decode"] += len(clips)
        for each in looking:
            looks[each.name].failed = "decode"
    rows: list[dict[str, Value]] = [{} for _ in clips]
    for each in scorers:
        for row, values in zip(rows, _values(each, clips, texts, looks[each.name], counts), strict=True):
            row.update(values)
    return rows


def complete(
    each: NamedScorer, rows: Sequence[Mapping[str, Value]], shard: ShardRows, counts: Counter[str]
) -> Sequence[Mapping[str, Value]]:
    """Return the final values of one scorer for a whole shard (`Scorer.complete`); nulls if it raises."""
    own = [{column.name: row[column.name] for column in each.columns} for row in rows]
    try:
        return _checked(each, each.scorer.complete(own, shard), len(rows), counts)
    except Exception as error:
        _note(each.name, error, "a whole shard")
        counts[f"failed:{each.name}"] += len(rows)
        return [_nulls(each)] * len(rows)


def _look(scorers: Sequence[NamedScorer], looks: Mapping[str, _Look], video: Callable[[], bytes]) -> bool:
    """Let the scorers measure the frames of a root; return False if it can't be decoded."""
    samplings = {each.name: each.scorer.sampling for each in scorers if each.scorer.sampling is not None}
    try:
        for seen in root_frames(video(), samplings):
            for each in scorers:
                _measure(each, looks[each.name], [seen.frames[at] for at in seen.wanted[each.name]])
    except UndecodableRoot:
        return False
    return True


def _measure(each: NamedScorer, look: _Look, frames: Sequence[Frame]) -> None:
    if look.failed is not None or not frames:
        return
    try:
        values = each.scorer.measure(frames, look.before)
        look.measures += [Measure(frame.time, value) for frame, value in zip(frames, values, strict=True)]
        look.before = frames[-1]
    except Exception as error:  # whatever a scorer raises must not end the run
        _note(each.name, error, "a frame")
        look.failed = each.name


def _values(
    each: NamedScorer,
    clips: Sequence[StoredClip],
    texts: Mapping[str, StoredText],
    look: _Look,
    counts: Counter[str],
) -> Sequence[Mapping[str, Value]]:
    """Return the values of one scorer for each clip; nulls, counted, if it fails."""
    if look.failed is None:
        scored = [_scored(clip, clips[0], texts.get(clip["key"]), look.measures) for clip in clips]
        try:
            return _checked(each, each.scorer.score_all(scored), len(clips), counts)
        except Exception as error:
            _note(each.name, error, f"root {clips[0]['key']}")
    if look.failed != "decode":
        counts[f"failed:{each.name}"] += len(clips)
    return [_nulls(each)] * len(clips)


def _note(name: str, error: Exception, where: str) -> None:
    """Log a scorer's failure.

    Raises:
        Exception: `error` itself, if it is a fault of the machine.
    """
    if is_machine_fault(error):
        raise error
    _LOG.warning("score %s failed on %s: %s", name, where, one_line(error, named=True))


def _scored(
    clip: StoredClip, root: StoredClip, text: StoredText | None, measures: Sequence[Measure[Any]]
) -> ScoredClip[Any]:
    """Return a clip with the measures of its frames: those shown in it, or the last one before it if there are none."""
    start = clip["offset"]
    end = start + clip["end"] - clip["start"]
    first = bisect_left(measures, start - _ROUNDING, key=lambda measure: measure.time)
    after = bisect_left(measures, end - _ROUNDING, key=lambda measure: measure.time)
    if first == after and first > 0:
        first -= 1
    return ScoredClip(clip, start, end, measures[first:after], _spoken(clip, root), text)


def _spoken(clip: StoredClip, root: StoredClip) -> list[StoredWord]:
    """Return the words whose middle is in a clip."""
    words = root["words"] or []
    return [word for word in words if clip["start"] <= (word["start"] + word["end"]) / 2 < clip["end"]]


def _checked(
    each: NamedScorer, rows: Sequence[Mapping[str, Value]], count: int, counts: Counter[str]
) -> list[Mapping[str, Value]]:
    """Return values without NaN and infinity, which become nulls; clips that had one are counted.

    Raises:
        ValueError: the scorer returned another number of rows, or other columns.
    """
    if len(rows) != count or any({*row} != {column.name for column in each.columns} for row in rows):
        raise ValueError(f"returned other rows or columns than its {len(each.columns)} for {count} clips")
    vectors = {column.name for column in each.columns if isinstance(column, VectorColumn)}
    checked: list[Mapping[str, Value]] = []
    for row in rows:
        finite = {name: value if _is_finite(value, name in vectors) else None for name, value in row.items()}
        if any(finite[name] is None and row[name] is not None for name in row):
            counts[f"failed:{each.name}"] += 1
        checked.append(finite)
    return checked


def _is_finite(value: Value, is_vector: bool) -> bool:
    if is_vector:
        return value is not None and bool(np.isfinite(value).all())
    return not isinstance(value, float | np.floating) or math.isfinite(value)


def _nulls(each: NamedScorer) -> dict[str, Value]:
    return {column.name: None for column in each.columns}
