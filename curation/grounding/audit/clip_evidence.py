"""Read the clips of a sample from a DIR: claims, and the evidence that was there for them.

    text/<layer>/<shard>.parquet + captions/<name>/<shard>.parquet + media/<shard>.parquet -> `AuditClip`

Layers of every schema version are read: claims of version 1 have no reason, judge and score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.captions.frame_captions import FrameCaption
from curation.captions.observation import Observation, observed_between
from curation.grounding.audit.audit_records import AuditClaim, AuditClip, EvidenceItem
from curation.grounding.evidence import SPAN_SECONDS, gather_evidence
from curation.media.speech.transcript import Word, words_within
from shards.keys import shard_name
from shards.manifest import read_stage
from shards.observations import observations_of
from shards.reader import read_artifact, read_table
from shards.storage.store import Store
from shards.stored_rows import StoredText


@dataclass(frozen=True)
class DrawnClip:
    """A clip that was drawn, before its texts are read."""

    position: int
    """Place in the page."""
    key: str
    shard: int
    stratum: str
    stratum_clips: int
    """Clips of the layer in the stratum."""


@dataclass(frozen=True)
class ReadSample:
    """The clips of a sample, and what they were read from."""

    clips: tuple[AuditClip, ...]
    """By position."""
    inputs: Mapping[str, str]
    """Digest of each text table, by name."""


def read_sample(store: Store, layer: str, drawn: Sequence[DrawnClip]) -> ReadSample:
    """Read the clips that were drawn from a layer, shard by shard.

    Raises:
        ShardError: a table is unreadable.
    """
    by_shard: dict[int, list[DrawnClip]] = defaultdict(list)
    for clip in drawn:
        by_shard[clip.shard].append(clip)
    clips: list[AuditClip] = []
    inputs: dict[str, str] = {}
    span_seconds = span_seconds_of(store, layer)
    for shard, of_shard in sorted(by_shard.items()):
        name = f"text/{layer}/{shard_name(shard)}.parquet"
        record = read_artifact(store, name)
        inputs[name] = record.digest
        clips += _read_shard(store, name, record.inputs, {clip.key: clip for clip in of_shard}, span_seconds)
    return ReadSample(tuple(sorted(clips, key=lambda clip: clip.position)), inputs)


def span_seconds_of(store: Store, layer: str) -> float:
    """Return the length of the spans of words that the claims of a layer cite: ids of evidence depend on it."""
    mark = read_stage(store, f"text/{layer}")
    return float((mark.settings if mark else {}).get("span_seconds", SPAN_SECONDS))


def _read_shard(
    store: Store, name: str, inputs: Mapping[str, str], drawn: Mapping[str, DrawnClip], span_seconds: float
) -> Iterator[AuditClip]:
    rows = [row for row in read_table(store, name).to_pylist() if row["key"] in drawn]
    roots = {row["root_key"] for row in rows}
    observations = _observations(store, inputs, roots)
    words = _words(store, inputs, roots)
    for row in rows:
        root = row["root_key"]
        shown = observations.get(root, []), words.get(root, [])
        yield _clip(row, drawn[row["key"]], *shown, span_seconds)


def _clip(
    row: StoredText,
    drawn: DrawnClip,
    observations: Sequence[Observation],
    words: Sequence[Word],
    span_seconds: float,
) -> AuditClip:
    frames = [FrameCaption(frame["time"], frame["text"]) for frame in row["frame_captions"] or () if frame["text"]]
    seen = [each for each in observed_between(observations, row["start"], row["end"]) if each.kind != "frame"]
    spoken = words_within(words, row["start"], row["end"])
    evidence = gather_evidence(frames, spoken, span_seconds, seen)
    return AuditClip(
        position=drawn.position,
        key=row["key"],
        root_key=row["root_key"],
        video_id=row["video_id"],
        source=row["source"],
        shard=row["shard"],
        level=row["level"],
        language=row["language"],
        start=row["start"],
        end=row["end"],
        stratum=drawn.stratum,
        stratum_clips=drawn.stratum_clips,
        subtitle=row["subtitle"],
        rewrite_status=row["rewrite_status"],
        grounded_text=row["grounded_text"],
        claims=tuple(_claim(dict(claim)) for claim in row["claims"] or ()),
        evidence=tuple(EvidenceItem(item.id, item.text) for item in evidence),
    )


def _claim(stored: Mapping[str, Any]) -> AuditClaim:
    return AuditClaim(
        text=stored["text"] or "",
        verdict=stored["verdict"] or "",
        reason=stored.get("reason") or "",
        evidence=tuple(stored["evidence"] or ()),
        judge=stored.get("judge"),
        score=stored.get("score"),
    )


def _observations(store: Store, inputs: Mapping[str, str], roots: set[str]) -> dict[str, list[Observation]]:
    """Return what was observed in roots, from the caption set that the layer was made from; none if it is gone."""
    found: dict[str, list[Observation]] = defaultdict(list)
    for name in inputs:
        if name.startswith("captions/") and store.exists(name):
            for row in observations_of(read_table(store, name)):
                if row["root_key"] in roots:
                    found[row["root_key"]].append(Observation.from_row(row))
    return found


def _words(store: Store, inputs: Mapping[str, str], roots: set[str]) -> dict[str, list[Word]]:
    found: dict[str, list[Word]] = {}
    for name in inputs:
        if name.startswith("media/") and store.exists(name):
            for row in read_table(store, name, ["key", "words"]).to_pylist():
                if row["key"] in roots:
                    found[row["key"]] = [Word(**word) for word in row["words"] or ()]
    return found
