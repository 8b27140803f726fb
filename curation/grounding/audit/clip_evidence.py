"""Read the clips of a sample from a DIR: claims, and the evidence that was there for them.

Layers of every schema version are read: claims of version 1 have no reason, judge and score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.grounding.audit.audit_records import AuditClaim, AuditClip, EvidenceItem
from curation.grounding.layer_evidence import LayerRow, read_layer_shard
from shards.storage.store import Store


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
    by_shard: dict[int, dict[str, DrawnClip]] = defaultdict(dict)
    for clip in drawn:
        by_shard[clip.shard][clip.key] = clip
    clips: list[AuditClip] = []
    inputs: dict[str, str] = {}
    for shard, of_shard in sorted(by_shard.items()):
        read = read_layer_shard(store, layer, shard, of_shard)
        inputs[read.name] = read.artifact.digest
        clips += [_clip(row, of_shard[row.stored["key"]]) for row in read.rows]
    return ReadSample(tuple(sorted(clips, key=lambda clip: clip.position)), inputs)


def _clip(read: LayerRow, drawn: DrawnClip) -> AuditClip:
    row = read.stored
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
        evidence=tuple(EvidenceItem(item.id, item.text) for item in read.evidence),
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
