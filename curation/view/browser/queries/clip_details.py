"""All that is known of one clip: its texts in each layer, its tree, words, evidence, and the facts of its video."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from curation.grounding.audit.clip_evidence import DrawnClip, read_sample
from curation.grounding.evidence import span_of
from curation.media.speech.sentence_settings import SentenceSettings
from curation.view.browser.queries.clip_pages import clip_row
from curation.view.browser.viewed_dir import ViewedDir
from shards.keys import shard_name
from shards.reader import text_layers
from shards.schema import LEVELS
from shards.stored_rows import StoredWord

TEXT_COLUMNS: Final = {
    "grounded_text": "grounded text",
    "caption_summary": "summary of captions",
    "caption": "frame captions, joined",
    "subtitle_summary": "summary of speech",
    "subtitle": "speech",
}
_TRACKS: Final = {"events": "events", "on_screen_text": "text", "objects": "objects"}
_PAUSE_SECONDS: Final = SentenceSettings().pause


@dataclass(frozen=True)
class CitedEvidence:
    """A piece of evidence with its time in the video."""

    id: str
    text: str
    start: float
    end: float


@dataclass(frozen=True)
class TrackItem:
    """Something on the timeline of a root, in seconds of the video."""

    start: float
    end: float
    text: str
    key: str = ""
    """Of the clip, if it is one."""


@dataclass(frozen=True)
class ClipDetails:
    """The content of the page of a clip."""

    facts: Mapping[str, Any]
    """Its row in the clip tables: times, marks, scores."""
    row: Mapping[str, Any]
    """Its row in the text layer."""
    root: Mapping[str, Any]
    """The row of its root."""
    tracks: Mapping[str, Sequence[TrackItem]]
    """The timeline of the root, by name."""
    words: Sequence[StoredWord]
    evidence: Mapping[str, CitedEvidence]
    """By id."""
    layers: Mapping[str, Mapping[str, Any]]
    """The clip's row in each text layer that has it, this one first."""
    video: Mapping[str, Any]
    """The facts that the site states."""

    @property
    def file_zero(self) -> float:
        """Second of the video that the first frame of the root's file shows."""
        return float(self.row["start"] - self.row["offset"])


def clip_details(opened: ViewedDir, key: str) -> ClipDetails | None:
    """Return what is known of a clip; None if the layer has no such clip.

    Raises:
        ShardError: a table is damaged.
    """
    facts = clip_row(opened.tables, key)
    if facts is None:
        return None
    shard, root_key = int(facts["shard"]), str(facts["root_key"])
    rows = _rows(opened, f"text/{opened.layer}", shard, root_key)
    by_key = {row["key"]: row for row in rows}
    root = by_key.get(root_key, by_key[key])
    clip = by_key[key]
    times, shots = opened.roots.still_times(shard, root_key), opened.roots.shots(shard, root_key)
    words = _words(opened, shard, root_key)
    others = {
        name: {row["key"]: row for row in _rows(opened, f"text/{name}", shard, root_key)} for name in _others(opened)
    }
    layers = {opened.layer: clip} | {name: of_root[key] for name, of_root in others.items() if key in of_root}
    videos = _rows(opened, "videos", shard, root_key)
    return ClipDetails(
        facts, clip, root, _tracks(rows, root, times, shots, words), words, _evidence(opened, key, shard),
        layers, videos[0] if videos else {},
    )  # fmt: skip


def word_changes(old: str, new: str) -> list[tuple[str, str]]:
    """Return the words of two texts in turn, each run with ``same``, ``removed`` or ``added``."""
    before, after = old.split(), new.split()
    changes: list[tuple[str, str]] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            changes.append(("same", " ".join(before[a:b])))
            continue
        changes += [("removed", " ".join(before[a:b]))] if b > a else []
        changes += [("added", " ".join(after[c:d]))] if d > c else []
    return changes


def _others(opened: ViewedDir) -> list[str]:
    return [name for name in text_layers(opened.store) if name != opened.layer]


def _rows(opened: ViewedDir, folder: str, shard: int, root_key: str) -> list[dict[str, Any]]:
    name = f"{folder}/{shard_name(shard)}.parquet"
    if not opened.store.exists(name):
        return []
    query = "select * from read_parquet($file) where root_key = $root"
    return opened.tables.select(query, {"file": opened.store.path(name), "root": root_key})


def _words(opened: ViewedDir, shard: int, root_key: str) -> list[StoredWord]:
    name = f"media/{shard_name(shard)}.parquet"
    if not opened.store.exists(name):
        return []
    rows = opened.tables.select(
        "select words from read_parquet($file) where key = $root",
        {"file": opened.store.path(name), "root": root_key},
    )
    return list(rows[0]["words"] or ()) if rows else []


def _shots(root: Mapping[str, Any], begins: Sequence[float]) -> list[TrackItem]:
    """Return the shots of a root; none if it is not known where they begin, or if it has one alone."""
    edges = [root["start"], *(time for time in begins if root["start"] < time < root["end"]), root["end"]]
    spans = list(pairwise(edges))
    shots = [TrackItem(a, b, f"shot {number} of {len(spans)}") for number, (a, b) in enumerate(spans, 1)]
    return shots if len(shots) > 1 else []


def _pauses(words: Sequence[StoredWord]) -> list[TrackItem]:
    """Return the gaps between words that are long enough to end a sentence."""
    gaps = [(a["end"], b["start"]) for a, b in pairwise(words) if b["start"] - a["end"] >= _PAUSE_SECONDS]
    return [TrackItem(start, end, f"pause of {end - start:.1f} s") for start, end in gaps]


def _tracks(
    rows: Sequence[Mapping[str, Any]],
    root: Mapping[str, Any],
    times: Sequence[float],
    shots: Sequence[float],
    words: Sequence[StoredWord],
) -> dict[str, list[TrackItem]]:
    tracks: dict[str, list[TrackItem]] = {}
    for level in reversed(LEVELS):
        clips = [row for row in rows if row["level"] == level]
        tracks[level] = [TrackItem(row["start"], row["end"], row["grounded_text"] or "", row["key"]) for row in clips]
    captions = [TrackItem(each["time"], each["time"], each["text"] or "") for each in root["frame_captions"] or ()]
    told = {round(item.start, 2) for item in captions}
    tracks["frames"] = sorted(
        captions + [TrackItem(time, time, "") for time in times if round(time, 2) not in told],
        key=lambda item: item.start,
    )
    tracks["shots"] = _shots(root, shots)
    for column, name in _TRACKS.items():
        tracks[name] = [TrackItem(each["start"], each["end"], each["text"] or "") for each in root.get(column) or ()]
    tracks["pauses"] = _pauses(words)
    return {name: items for name, items in tracks.items() if items}


def _evidence(opened: ViewedDir, key: str, shard: int) -> dict[str, CitedEvidence]:
    sample = read_sample(opened.store, opened.layer, [DrawnClip(0, key, shard, "", 0)])
    found = {}
    for item in sample.clips[0].evidence if sample.clips else ():
        start, end = span_of(item.id)
        found[item.id] = CitedEvidence(item.id, item.text, start, end)
    return found


def evidence_time(id_: str) -> tuple[float, float] | None:
    """Return the span of a piece of evidence, by its id; None for an id that holds no time."""
    try:
        return span_of(id_)
    except ValueError:
        return None
