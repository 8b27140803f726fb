"""The claims of a text layer with the evidence that they cite, as the judges take them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.layer_evidence import LayerRow, read_layer_shard
from shards.reader import shards_in
from shards.storage.store import Store


@dataclass(frozen=True)
class LayerClip:
    """One clip with its claims and all its evidence."""

    key: str
    video_id: str
    claims: tuple[CitedClaim, ...]
    """Each with the cited items that can be found again."""
    evidence: tuple[Evidence, ...]


def layer_clips(store: Store, layer: str, counts: Counter[str], *, with_pictures: bool = False) -> Iterator[LayerClip]:
    """Yield the clips of a layer, shard by shard.

    Args:
        store: the DIR.
        layer: name of the text layer.
        counts: ``citations_lost`` is added to it: cited items that the media and captions don't hold any more.
        with_pictures: let the evidence know the clips' pictures, for judges that look.

    Raises:
        ShardError: a table is damaged.
    """
    for shard in shards_in(store.list(f"text/{layer}")):
        for row in read_layer_shard(store, layer, shard, with_pictures=with_pictures).rows:
            yield _clip(row, counts)


def _clip(row: LayerRow, counts: Counter[str]) -> LayerClip:
    by_id = {item.id: item for item in row.evidence}
    claims = []
    for stored in row.stored["claims"] or ():
        ids = stored["evidence"] or ()
        cited = tuple(by_id[id_] for id_ in ids if id_ in by_id)
        counts["citations_lost"] += len(ids) - len(cited)
        claims.append(CitedClaim(stored["text"], cited))
    return LayerClip(row.stored["key"], row.stored["video_id"], tuple(claims), row.evidence)
