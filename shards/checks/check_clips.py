"""Checks of the clips of one shard among themselves: keys, spans, trees. Part of `shards.checks.check_dir`.

Pure functions over the rows of ``media/<shard>.parquet``; each yields one line for each problem.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from shards.keys import ClipKey, clip_key
from shards.schema import LEVELS
from shards.stored_rows import StoredClip, StoredSource, StoredWord

TIME_SLACK: Final = 0.0015
"""Seconds by which times that should be equal may differ: keys are rounded to milliseconds."""
FRAME_SLACK: Final = 1.0
"""Seconds by which stored frames may end before their root does."""
LEAD: Final = 5.0
"""Seconds by which a root's first stored frame may come before it: one GOP, however the encoder was set."""

_SAME_AS_ROOT: Final = (
    *("video_id", "source", "shard", "width", "height", "num_frames", "fps"),
    *("language", "subtitle_origin", "byte_offset", "byte_size"),
)
"""Columns in which a clip has the values of its root."""


def clip_problems(rows: Sequence[StoredClip], shard: int, sources: Sequence[StoredSource] = ()) -> Iterator[str]:
    """Yield the problems of a shard's clips.

    Args:
        rows: of ``media/<shard>.parquet``.
        shard: its number.
        sources: the shard's rows of the table of sources: roots of one source must not overlap, unless several spans
            of it were asked for.
    """
    for key, count in Counter(row["key"] for row in rows).items():
        if count > 1:
            yield f"clip {key}: has {count} rows"
    by_key = {row["key"]: row for row in rows}
    children: dict[str, list[StoredClip]] = defaultdict(list)
    for row in rows:
        if row["parent_key"] is not None:
            children[row["parent_key"]].append(row)
        yield from (f"clip {row['key']}: {what}" for what in _value_problems(row, shard))
        yield from (f"clip {row['key']}: {what}" for what in _tree_problems(row, by_key))
    for parent, own in children.items():
        if parent in by_key:
            yield from (f"clip {parent}: {what}" for what in _tiling_problems(by_key[parent], own))
    yield from _order_problems(rows)
    spans = Counter((row["video_id"], row["source"]) for row in sources)
    whole = (row for row in rows if row["parent_key"] is None and spans[row["video_id"], row["source"]] < 2)
    yield from _overlap_problems(whole)


def _value_problems(row: StoredClip, shard: int) -> Iterator[str]:
    """Yield the problems of one row by itself."""
    if row["start"] >= row["end"] or row["start"] < 0:
        yield f"spans {row['start']:g} to {row['end']:g} s"
    elif row["key"] != clip_key(row["video_id"], row["start"], row["end"], _overlap(row["root_key"])):
        yield "the key is not that of its video, start and end"
    if row["shard"] != shard:
        yield f"has shard {row['shard']}"
    if row["level"] not in LEVELS:
        yield f"level {row['level']!r} is none of {', '.join(LEVELS)}"
    if not row["fps"] > 0 or min(row["width"], row["height"], row["num_frames"]) < 1:
        yield f"{row['num_frames']} frames of {row['width']}x{row['height']} at {row['fps']:g} fps"
    if row["speech_seconds"] < 0 or row["speech_seconds"] > row["end"] - row["start"] + LEAD:
        yield f"speech_seconds {row['speech_seconds']:g} in a clip of {row['end'] - row['start']:g} s"
    if row["motion"] is not None and not 0 <= row["motion"] <= 1:
        yield f"motion {row['motion']:g} is not between 0 and 1"
    if (row["words"] is not None) != (row["parent_key"] is None):
        yield "words are kept for roots, and only for them"
    yield from _word_problems(row["words"] or [])


def _overlap(root_key: str) -> int:
    """Return the number in a root's key, which all keys of its tree have; 1 if that is no key."""
    try:
        return ClipKey.parse(root_key).overlap
    except ValueError:
        return 1


def _word_problems(words: Sequence[StoredWord]) -> Iterator[str]:
    for before, after in pairwise(words):
        if after["start"] < before["end"] - TIME_SLACK:
            yield f"word {after['text']!r} at {after['start']:g} s starts before the previous word ends"
    for word in words:
        if word["end"] < word["start"]:
            yield f"word {word['text']!r} ends at {word['end']:g} s, before its start"


def _tree_problems(row: StoredClip, by_key: Mapping[str, StoredClip]) -> Iterator[str]:
    """Yield the problems of one row against its root and its parent."""
    root = by_key.get(row["root_key"])
    if root is None or root["parent_key"] is not None:
        yield f"root_key {row['root_key']} is no root of this shard"
        return
    if (row["parent_key"] is None) != (row["key"] == row["root_key"]):
        yield "a clip is its own root exactly if it has no parent"
    yield from _root_problems(row, root)
    parent = by_key.get(row["parent_key"] or "")
    if row["parent_key"] is None:
        return
    if parent is None or parent["root_key"] != row["root_key"]:
        yield f"parent_key {row['parent_key']} is no clip of its tree"
    elif row["start"] < parent["start"] - TIME_SLACK or row["end"] > parent["end"] + TIME_SLACK:
        yield f"is not inside its parent {row['parent_key']}"
    elif row["level"] in LEVELS and parent["level"] in LEVELS and _rank(row) >= _rank(parent):
        yield f"level {row['level']} inside a parent of level {parent['level']}"


def _root_problems(row: StoredClip, root: StoredClip) -> Iterator[str]:
    own: Mapping[str, Any] = row
    roots: Mapping[str, Any] = root
    for name in _SAME_AS_ROOT:
        if own[name] != roots[name]:
            yield f"{name} {own[name]!r} is not its root's {roots[name]!r}"
    if abs((row["start"] - row["offset"]) - (root["start"] - root["offset"])) > TIME_SLACK:
        yield f"offset {row['offset']:g} does not agree with its start and its root's first frame"
    stored = row["num_frames"] / row["fps"] if row["fps"] > 0 else 0.0
    if row["offset"] < -TIME_SLACK or row["offset"] + row["end"] - row["start"] > stored + FRAME_SLACK:
        yield f"is outside the {stored:g} s that are stored of its root"
    if root is row and row["offset"] > LEAD:
        yield f"its first frame is {row['offset']:g} s before it"


def _rank(row: StoredClip) -> int:
    return [*LEVELS].index(row["level"])  # type: ignore[arg-type]  # the caller has looked


def _tiling_problems(parent: StoredClip, children: Sequence[StoredClip]) -> Iterator[str]:
    ordered = sorted(children, key=lambda row: (row["start"], row["end"]))
    edges = [parent["start"], *(row["end"] for row in ordered)]
    starts = [*(row["start"] for row in ordered), parent["end"]]
    if len(children) == 1:
        yield "has a single child, and should be that child"
    for edge, start in zip(edges, starts, strict=True):
        if abs(edge - start) > TIME_SLACK:
            yield f"its children leave or share {edge:g} to {start:g} s"


def _order_problems(rows: Sequence[StoredClip]) -> Iterator[str]:
    seen: set[str] = set()
    finished: set[str] = set()
    current = None
    for row in rows:
        if row["parent_key"] is not None and row["parent_key"] not in seen:
            yield f"clip {row['key']}: comes before its parent"
        if row["root_key"] != current:
            if row["root_key"] in finished:
                yield f"clip {row['key']}: is apart from the other clips of its tree"
            finished.add(row["root_key"])
            current = row["root_key"]
        seen.add(row["key"])


def _overlap_problems(roots: Iterable[StoredClip]) -> Iterator[str]:
    ordered = sorted(roots, key=lambda row: (row["video_id"], row["source"], row["start"], row["end"]))
    for before, after in pairwise(ordered):
        same = (before["video_id"], before["source"]) == (after["video_id"], after["source"])
        if same and after["start"] < before["end"] - TIME_SLACK and before["key"] != after["key"]:
            yield f"clip {after['key']}: overlaps the root {before['key']}"
