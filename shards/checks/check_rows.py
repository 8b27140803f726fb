"""What must hold among the rows of one shard: keys, trees, times, texts against media, ledger against sources.

Pure functions over plain rows (`pyarrow.Table.to_pylist`): each gives one line for each thing that is wrong.
`shards.checks.check_dir` reads the tables and asks them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from shards.keys import clip_key
from shards.schema import (
    CLIPS,
    FAILED_CLASSES,
    FILTERED_CLASSES,
    LEVELS,
    REWRITE_STATUSES,
    STATES,
    TEXT,
)

Row = Mapping[str, Any]

TIME_SLACK: Final = 0.0015
"""Seconds by which times that should be equal may differ: keys are rounded to milliseconds."""
FRAME_SLACK: Final = 1.0
"""Seconds by which stored frames may end before their root does."""
LEAD: Final = 5.0
"""Seconds by which a root's first stored frame may lie before it: one GOP, however the encoder was set."""
STILL_SLACK: Final = 10.0
"""Seconds by which a keyframe may lie outside its root, where the video has no still inside."""

_OF_THE_ROOT = (
    *("video_id", "source", "shard", "width", "height", "num_frames", "fps"),
    *("language", "subtitle_origin", "byte_offset", "byte_size"),
)
_SHARED = tuple(name for name in TEXT.names if name in CLIPS.names and name != "key")


def clip_problems(rows: Sequence[Row], shard: int, sources: Sequence[Row] = ()) -> Iterator[str]:
    """What is wrong with the clips of one shard by themselves: keys, spans, trees.

    Args:
        rows: of ``media/<shard>.parquet``.
        shard: its number.
        sources: the shard's rows of ``sources.parquet``: roots of one source must not overlap, unless several spans
            of it were asked for.
    """
    for key, count in Counter(row["key"] for row in rows).items():
        if count > 1:
            yield f"clip {key}: stands {count} times"
    known = {row["key"]: row for row in rows}
    children: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["parent_key"] is not None:
            children[row["parent_key"]].append(row)
        yield from (f"clip {row['key']}: {what}" for what in _clip_alone(row, shard))
        yield from (f"clip {row['key']}: {what}" for what in _clip_in_tree(row, known))
    for parent, found in children.items():
        if parent in known:
            yield from (f"clip {parent}: {what}" for what in _tiling(known[parent], found))
    yield from _order(rows)
    asked = Counter((row["video_id"], row["source"]) for row in sources)
    yield from _overlaps(row for row in rows if row["parent_key"] is None and asked[row["video_id"], row["source"]] < 2)


def _clip_alone(row: Row, shard: int) -> Iterator[str]:
    if row["start"] >= row["end"] or row["start"] < 0:
        yield f"spans {row['start']:g} to {row['end']:g} s"
    elif row["key"] != clip_key(row["video_id"], row["start"], row["end"]):
        yield "the key is not that of its video, start and end"
    if row["shard"] != shard:
        yield f"says shard {row['shard']}"
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


def _word_problems(words: Sequence[Row]) -> Iterator[str]:
    for before, after in pairwise(words):
        if after["start"] < before["end"] - TIME_SLACK:
            yield f"word {after['text']!r} at {after['start']:g} s starts before the one in front of it ends"
    for word in words:
        if word["end"] < word["start"]:
            yield f"word {word['text']!r} ends at {word['end']:g} s, before its start"


def _clip_in_tree(row: Row, known: Mapping[str, Row]) -> Iterator[str]:
    root = known.get(row["root_key"])
    if root is None or root["parent_key"] is not None:
        yield f"root_key {row['root_key']} is no root of this shard"
        return
    if (row["parent_key"] is None) != (row["key"] == row["root_key"]):
        yield "a clip is its own root exactly when it has no parent"
    for name in _OF_THE_ROOT:
        if row[name] != root[name]:
            yield f"{name} {row[name]!r} is not its root's {root[name]!r}"
    if abs((row["start"] - row["offset"]) - (root["start"] - root["offset"])) > TIME_SLACK:
        yield f"offset {row['offset']:g} does not agree with its start and its root's first frame"
    stored = row["num_frames"] / row["fps"] if row["fps"] > 0 else 0.0
    if row["offset"] < -TIME_SLACK or row["offset"] + row["end"] - row["start"] > stored + FRAME_SLACK:
        yield f"lies outside the {stored:g} s that are stored of its root"
    if root is row and row["offset"] > LEAD:
        yield f"its first frame lies {row['offset']:g} s before it"
    parent = known.get(row["parent_key"])
    if row["parent_key"] is None:
        return
    if parent is None or parent["root_key"] != row["root_key"]:
        yield f"parent_key {row['parent_key']} is no clip of its tree"
    elif row["start"] < parent["start"] - TIME_SLACK or row["end"] > parent["end"] + TIME_SLACK:
        yield f"is not inside its parent {row['parent_key']}"
    elif row["level"] in LEVELS and parent["level"] in LEVELS and _rank(row) >= _rank(parent):
        yield f"level {row['level']} inside a parent of level {parent['level']}"


def _rank(row: Row) -> int:
    return LEVELS.index(row["level"])


def _tiling(parent: Row, children: Sequence[Row]) -> Iterator[str]:
    ordered = sorted(children, key=lambda row: (row["start"], row["end"]))
    edges = [parent["start"], *(row["end"] for row in ordered)]
    starts = [*(row["start"] for row in ordered), parent["end"]]
    if len(children) == 1:
        yield "has a single child; then it is that child"
    for edge, start in zip(edges, starts, strict=True):
        if abs(edge - start) > TIME_SLACK:
            yield f"its children leave or share {edge:g} to {start:g} s"


def _order(rows: Sequence[Row]) -> Iterator[str]:
    seen: set[str] = set()
    finished: set[str] = set()
    current = None
    for row in rows:
        if row["parent_key"] is not None and row["parent_key"] not in seen:
            yield f"clip {row['key']}: stands before its parent"
        if row["root_key"] != current:
            if row["root_key"] in finished:
                yield f"clip {row['key']}: stands apart from the other clips of its tree"
            finished.add(row["root_key"])
            current = row["root_key"]
        seen.add(row["key"])


def _overlaps(roots: Iterable[Row]) -> Iterator[str]:
    ordered = sorted(roots, key=lambda row: (row["video_id"], row["source"], row["start"], row["end"]))
    for before, after in pairwise(ordered):
        same = (before["video_id"], before["source"]) == (after["video_id"], after["source"])
        if same and after["start"] < before["end"] - TIME_SLACK and before["key"] != after["key"]:
            yield f"clip {after['key']}: overlaps the root {before['key']}"


def text_problems(texts: Sequence[Row], clips: Sequence[Row]) -> Iterator[str]:
    """What is wrong with the texts of one shard, by themselves and against its clips.

    Args:
        texts: rows of ``text/<layer>/<shard>.parquet``.
        clips: rows of ``media/<shard>.parquet``.
    """
    known = {row["key"]: row for row in clips}
    counts = Counter(row["key"] for row in texts)
    yield from (f"clip {key}: stands {count} times" for key, count in counts.items() if count > 1)
    yield from (f"clip {key}: has no row of text" for key in known if key not in counts)
    for row in texts:
        clip = known.get(row["key"])
        if clip is None:
            yield f"clip {row['key']}: is no clip of this shard's media"
            continue
        for name in _SHARED:
            if row[name] != clip[name]:
                yield f"clip {row['key']}: {name} {row[name]!r} is {clip[name]!r} in its media"
        yield from (f"clip {row['key']}: {what}" for what in _text_alone(row))


def _text_alone(row: Row) -> Iterator[str]:
    if row["rewrite_status"] not in REWRITE_STATUSES:
        yield f"rewrite_status {row['rewrite_status']!r} is none of {', '.join(REWRITE_STATUSES)}"
    if row["split"] not in ("train", "val"):
        yield f"split {row['split']!r} is none of train, val"
    if row["keep"] != (row["filter_reason"] is None):
        yield "filter_reason is given exactly where keep is false"
    score = row["grounding_score"]
    if score is not None and (row["rewrite_status"] != "ok" or not 0 <= score <= 1):
        yield f"grounding_score {score:g} with rewrite_status {row['rewrite_status']}"
    if row["rewrite_status"] == "abstained" and row["grounded_text"] is not None:
        yield "grounded_text is given although the model abstained"
    for caption in row["frame_captions"] or []:
        if not row["start"] - FRAME_SLACK <= caption["time"] <= row["end"] + FRAME_SLACK:
            yield f"a frame caption at {caption['time']:g} s lies outside the clip"


def caption_problems(
    captions: Sequence[Row], roots: Mapping[str, Row], keyframes: Mapping[str, set[int]]
) -> Iterator[str]:
    """What is wrong with one set of captions of one shard, against its keyframes.

    Args:
        captions: rows of ``captions/<name>/<shard>.parquet``.
        roots: the shard's root clips by key.
        keyframes: times (ms) of the keyframes that are there, by root.
    """
    seen: Counter[tuple[str, int]] = Counter((row["root_key"], round(row["time"] * 1000)) for row in captions)
    for (root, ms), count in seen.items():
        if root not in roots:
            yield f"root {root}: is no root of this shard's media"
        elif ms not in keyframes.get(root, set()):
            yield f"root {root}: a caption at {ms / 1000:g} s has no keyframe"
        if count > 1:
            yield f"root {root}: {count} captions at {ms / 1000:g} s"
    for root, times in keyframes.items():
        missing = sorted(ms for ms in times if (root, ms) not in seen)
        if missing:
            yield f"root {root}: {len(missing)} keyframes have no row, the first at {missing[0] / 1000:g} s"
    for row in captions:
        if row["confidence"] is not None and not 0 <= row["confidence"] <= 1:
            yield f"root {row['root_key']}: confidence {row['confidence']:g} is not between 0 and 1"


def keyframe_problems(roots: Mapping[str, Row], keyframes: Mapping[str, set[int]]) -> Iterator[str]:
    """What is wrong with the keyframes of one shard, against its roots."""
    for root, times in keyframes.items():
        row = roots.get(root)
        if row is None:
            yield f"root {root}: keyframes of no root of this shard"
            continue
        for ms in sorted(times):
            if not row["start"] - STILL_SLACK <= ms / 1000 <= row["end"] + STILL_SLACK:
                yield f"root {root}: a keyframe at {ms / 1000:g} s lies outside it"
    yield from (f"root {root}: has no keyframe" for root in roots if not keyframes.get(root))


def ledger_problems(ledger: Sequence[Row], sources: Sequence[Row], clips: Sequence[Row]) -> Iterator[str]:
    """What is wrong with a shard's ledger: each source in it once, in a valid state, with its clips counted.

    Args:
        ledger: rows of ``ledger/<shard>.parquet``.
        sources: the shard's rows of ``sources.parquet``.
        clips: rows of ``media/<shard>.parquet``.
    """
    booked, asked = Counter(map(_attempt, ledger)), Counter(map(_attempt, sources))
    yield from (f"source {one[0]}: is not in the ledger" for one in asked - booked)
    yield from (f"source {one[0]}: is in the ledger, but not so in sources.parquet" for one in booked - asked)
    made = Counter((row["video_id"], row["source"]) for row in clips)
    counted: Counter[tuple[str, str]] = Counter()
    for row in ledger:
        counted[row["video_id"], row["source"]] += row["clips"]
        yield from (f"source {row['source']}: {what}" for what in _state_problems(row))
    for name in made.keys() | counted.keys():
        if made[name] != counted[name]:
            yield f"source {name[1]}: the ledger counts {counted[name]} clips, the media has {made[name]}"


def _attempt(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("source", "video_id", "start", "end", "shard", "attempt"))


_CLASSES: Mapping[str, Callable[[Any], bool]] = {
    "written": lambda class_: class_ is None,
    "filtered": lambda class_: class_ in FILTERED_CLASSES,
    "failed": lambda class_: class_ in FAILED_CLASSES,
    "pending": lambda class_: class_ is None,
}


def _state_problems(row: Row) -> Iterator[str]:
    state = row["state"]
    if state not in STATES:
        yield f"state {state!r} is none of {', '.join(STATES)}"
    elif not _CLASSES[state](row["class"]):
        yield f"class {row['class']!r} does not belong to state {state}"
    if (state == "written") != (row["clips"] > 0):
        yield f"state {state} with {row['clips']} clips"
