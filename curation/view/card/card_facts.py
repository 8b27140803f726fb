"""The facts of a card: all figures that it shows, computed from the tables of a DIR; none is typed in.

sources, media, texts, selections, findings, scores, audit  ->  CardFacts  ->  README.md, report.html, croissant.json
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation.grounding.audit.label_store import judges_of
from curation.grounding.measurement.control_figures import ControlFigure
from curation.view.card.facts.audit_facts import AuditFacts, audit_facts, control_figures
from curation.view.card.facts.card_tables import Share, card_tables
from curation.view.card.facts.clip_figures import (
    LayerTotals,
    LevelFacts,
    LevelLengths,
    StatusFacts,
    VerdictCount,
    lengths,
    level_facts,
    statuses,
    totals,
    verdicts,
)
from curation.view.card.facts.clip_sample import SampledClip, clip_sample
from curation.view.card.facts.made_with import MadeWith, made_with
from curation.view.card.facts.score_facts import ScoreSetFacts, score_facts
from curation.view.card.facts.selection_figures import (
    FindingFacts,
    ReasonCount,
    SelectionFacts,
    finding_facts,
    reasons,
    selection_facts,
)
from curation.view.card.facts.source_figures import SourceFacts, source_facts
from shards.errors import ShardError
from shards.manifest import MANIFEST, read_manifest
from shards.reader import read_table
from shards.removal.tombstones import read_tombstones
from shards.removal.unfinished import refuse_unfinished
from shards.selections.selection import Selection
from shards.storage.store import Store
from shards.storage.url_secrets import without_secrets

_PARTS: Final = 15
"""Licences and sites that are named."""
_LANGUAGES: Final = 200
"""Languages that are named: all that the head of a card may list."""


@dataclass(frozen=True)
class StoredMedia:
    """The media of a DIR, from its index."""

    shards: int
    roots: int
    hours: float
    media_bytes: int
    keyframe_bytes: int


@dataclass(frozen=True)
class CardFacts:
    """All figures of a card."""

    name: str
    """Last part of the DIR's name, for the title."""
    layer: str
    selection: str | None
    """Name of the selection that marks the clips; None: none does, or the layer does it itself."""
    is_marked: bool
    """False while no selection marks the clips: all then count as kept."""
    pipeline: str
    schema_version: int
    media: StoredMedia | None
    """None: the DIR has no index."""
    totals: LayerTotals
    levels: tuple[LevelFacts, ...]
    lengths: tuple[LevelLengths, ...]
    languages: tuple[Share, ...]
    licences: tuple[Share, ...]
    sites: tuple[Share, ...]
    sources: SourceFacts | None
    """None: the DIR holds no table of sources."""
    statuses: tuple[StatusFacts, ...]
    verdicts: tuple[VerdictCount, ...]
    reasons: tuple[ReasonCount, ...]
    selections: tuple[SelectionFacts, ...]
    findings: FindingFacts
    scores: tuple[ScoreSetFacts, ...]
    audit: AuditFacts | None
    """None: nobody has labelled a claim."""
    controls: tuple[ControlFigure, ...]
    """Shares of claims of known truth that judges accept; none if nobody has measured them."""
    made_with: MadeWith
    sample: tuple[SampledClip, ...]
    removed: int
    """Videos that were removed on request."""


def card_facts(store: Store, layer: str, selection: Selection | None) -> CardFacts:
    """Return the facts of a text layer.

    Args:
        store: the DIR.
        layer: name of a text layer that has tables.
        selection: marks its clips; None: the layer's own marks, or none.

    Raises:
        ShardError: no manifest, an interrupted removal, or a damaged table.
        UserError: a value of a table can't be read.
    """
    refuse_unfinished(store)
    manifest = read_manifest(store)
    if manifest is None:
        raise ShardError(f"{store.root}: no {MANIFEST}; this is no folder that `curate run` wrote")
    with card_tables(store, layer, selection) as tables:
        return CardFacts(
            name=without_secrets(store.root).rstrip("/").rpartition("/")[2],
            layer=layer,
            selection=None if selection is None else selection.name,
            is_marked=tables.is_marked,
            pipeline=manifest.pipeline,
            schema_version=manifest.schema_version,
            media=_media(store),
            totals=totals(tables),
            levels=level_facts(tables),
            lengths=lengths(tables),
            languages=tables.shares("language", _LANGUAGES),
            licences=tables.shares("licence", _PARTS),
            sites=tables.shares("site", _PARTS),
            sources=source_facts(tables),
            statuses=statuses(tables),
            verdicts=verdicts(tables),
            reasons=reasons(tables),
            selections=selection_facts(tables),
            findings=finding_facts(tables),
            scores=score_facts(tables),
            audit=audit_facts(store, layer),
            controls=control_figures(store, layer),
            made_with=made_with(tables, tuple(judges_of(store, layer))),
            sample=clip_sample(tables),
            removed=len(read_tombstones(store)),
        )


def _media(store: Store) -> StoredMedia | None:
    try:
        index = read_table(store, "index.parquet")
    except FileNotFoundError:
        return None
    sums = {name: sum(index[name].to_pylist()) for name in ("roots", "seconds", "media_bytes", "keyframes_bytes")}
    return StoredMedia(
        index.num_rows, sums["roots"], sums["seconds"] / 3600, sums["media_bytes"], sums["keyframes_bytes"]
    )
