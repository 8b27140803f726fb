"""The claims of a text layer with the evidence that they cite, put together again from media and captions.

A layer stores the ids of the cited items; their texts are in the caption set and in the words of the media table that
the layer was made from. Layers of schema version 1 are read as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.captions.observation import Observation
from curation.grounding.audit.clip_evidence import span_seconds_of
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence, gather_evidence
from curation.text.text_rows import clip_texts, read_clip_row
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.observations import observations_of
from shards.reader import read_artifact, read_table, shards_in
from shards.storage.store import Store

_COLUMNS = ("key", "video_id", "level", "language", "rewrite_status", "claims")


@dataclass(frozen=True)
class LayerClaim:
    """One claim as stored, with the items that it cites."""

    text: str
    verdict: str
    cited: tuple[Evidence, ...]
    """The cited items that can be found again."""

    @property
    def is_kept(self) -> bool:
        """True if the claim is in the grounded text."""
        return self.verdict == "supported"

    def with_evidence(self) -> CitedClaim:
        """Return the claim as a judge takes it."""
        return CitedClaim(self.text, self.cited)


@dataclass(frozen=True)
class LayerClip:
    """One clip with its claims and all its evidence."""

    key: str
    video_id: str
    level: str
    language: str | None
    status: str
    claims: tuple[LayerClaim, ...]
    evidence: tuple[Evidence, ...]


def layer_clips(store: Store, layer: str, counts: Counter[str]) -> Iterator[LayerClip]:
    """Yield the clips of a layer, shard by shard.

    Args:
        store: the DIR.
        layer: name of the text layer.
        counts: ``citations_lost`` is added to it: cited items that the media and captions don't hold any more.

    Raises:
        ShardError: a table is damaged.
        FileNotFoundError: the media or captions of a shard are not there any more.
    """
    span_seconds = span_seconds_of(store, layer)
    for shard in shards_in(store.list(f"text/{layer}")):
        name = f"text/{layer}/{shard_name(shard)}.parquet"
        evidence = _evidence_of(store, shard, read_artifact(store, name), span_seconds)
        for row in read_table(store, name, _COLUMNS).to_pylist():
            yield _clip(row, evidence.get(row["key"], ()), counts)


def _evidence_of(
    store: Store, shard: int, artifact: Artifact, span_seconds: float
) -> Mapping[str, tuple[Evidence, ...]]:
    """Return the evidence of each clip of a shard, from the tables that its texts were made from."""
    clips = [read_clip_row(values) for values in read_table(store, f"media/{shard_name(shard)}.parquet").to_pylist()]
    captions = [name for name in artifact.inputs if name.startswith("captions/")]
    seen = [Observation.from_row(row) for name in captions for row in observations_of(read_table(store, name))]
    return {
        clip.key: gather_evidence(clip.frames, clip.words, span_seconds, clip.observations)
        for clip in clip_texts(clips, seen)
    }


def _clip(row: Mapping[str, Any], evidence: Sequence[Evidence], counts: Counter[str]) -> LayerClip:
    by_id = {item.id: item for item in evidence}
    claims = []
    for stored in row["claims"] or ():
        cited = tuple(by_id[id_] for id_ in stored["evidence"] or () if id_ in by_id)
        counts["citations_lost"] += len(stored["evidence"] or ()) - len(cited)
        claims.append(LayerClaim(stored["text"], stored["verdict"], cited))
    return LayerClip(
        row["key"],
        row["video_id"],
        row["level"],
        row["language"],
        row["rewrite_status"],
        tuple(claims),
        tuple(evidence),
    )
