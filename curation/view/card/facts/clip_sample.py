"""The clips that a card shows: a sample of the kept ones that is the same each time, with their texts and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

import duckdb

from curation.grounding.audit.label_pictures import PagePicture, pictures_of
from curation.view.card.facts.card_tables import CardTables
from curation.view.sql_tables import damage_reported, video_rows
from shards.keys import shard_name
from shards.schema import LEVELS
from shards.storage.store import Store
from shards.storage.url_secrets import without_secrets, without_tokens, without_user

SIZE: Final = 12
"""Clips of the sample."""
_STILLS: Final = {"short": 3, "medium": 3, "long": 3}
_BYTES: Final = 3 << 20
"""Bytes of the pictures of all clips, as files."""
_CANDIDATES: Final = f"""
with tickets as (
    select key, shard, level, root, md5(key) as ticket, min(md5(key)) over (partition by level, root) as first
    from kept)
select key, shard, level, root from tickets
qualify row_number() over (partition by level, root order by ticket) <= {SIZE}
    and dense_rank() over (partition by level order by first) <= {SIZE}
order by ticket
"""  # noqa: S608  a constant of this file
"""Enough clips of each level to fill the sample, of as many roots as it has clips, in the order of their tickets."""
_ROWS: Final = """
select key, root_key, shard, level::varchar as level, start, "end", source, language, subtitle, caption, grounded_text,
       rewrite_status::varchar as rewrite_status, [claim.verdict for claim in claims] as verdicts
from read_parquet(?) where key in (select unnest(?))
"""
_KNOWN: Final = ("video_title", "video_license", "video_url")
"""Columns of the clip's video."""


@dataclass(frozen=True)
class Candidate:
    """A clip that may be drawn."""

    key: str
    shard: int
    level: str
    root: int


@dataclass(frozen=True)
class SampledClip:
    """One clip of the sample."""

    key: str
    root_key: str
    shard: int
    level: str
    start: float
    end: float
    """Seconds of the video."""
    source: str
    """URL of its page, or name of its file; no folder, password or token."""
    title: str | None
    licence: str | None
    language: str | None
    subtitle: str
    caption: str | None
    grounded_text: str | None
    rewrite_status: str
    supported: int
    """Claims that were kept."""
    claims: int


def clip_sample(tables: CardTables) -> tuple[SampledClip, ...]:
    """Return up to `SIZE` kept clips with their texts; the same clips give the same sample.

    Raises:
        UserError: a table is damaged.
    """
    drawn = take_turns([Candidate(**row) for row in tables.rows(_CANDIDATES)])
    if not drawn:
        return ()
    keys = [clip.key for clip in drawn]
    shards = sorted({clip.shard for clip in drawn})
    paths = [tables.store.path(f"text/{tables.layer}/{shard_name(shard)}.parquet") for shard in shards]
    rows = {row["key"]: row for row in tables.rows(_ROWS, [paths, keys])}
    known = _known(tables, {row["root_key"] for row in rows.values()})
    return tuple(_sampled(rows[key], known.get(rows[key]["root_key"], {})) for key in keys)


def take_turns(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return up to `SIZE` candidates: levels take turns, and a root comes again only when all roots have come. Pure.

    Args:
        candidates: in the order of their tickets.
    """
    drawn: list[Candidate] = []
    left = list(candidates)
    while left and len(drawn) < SIZE:
        for level in LEVELS:
            roots = Counter(clip.root for clip in drawn)
            own = [clip for clip in left if clip.level == level]
            chosen = min(own, key=lambda clip: roots[clip.root], default=None)
            if chosen is not None and len(drawn) < SIZE:
                drawn.append(chosen)
                left.remove(chosen)
    return drawn


def sample_pictures(store: Store, sample: Sequence[SampledClip]) -> Mapping[str, Sequence[PagePicture]]:
    """Return up to three pictures of each clip by its key: frames of the video, or else keyframes; maybe none."""
    return pictures_of(store, sample, Counter(), frames=_STILLS, page_bytes=_BYTES)


def _known(tables: CardTables, roots: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return what is known of the video of each root."""
    wanted = [duckdb.ConstantExpression(root) for root in roots]
    with damage_reported(tables.store, "videos"):
        rows = video_rows(tables.connection, tables.store).filter(duckdb.ColumnExpression("root_key").isin(*wanted))
        found = rows.select("root_key", *_KNOWN).fetchall()
    return {root: dict(zip(_KNOWN, values, strict=True)) for root, *values in found}


def _sampled(row: dict[str, Any], known: Mapping[str, Any]) -> SampledClip:
    verdicts = row.pop("verdicts") or []
    values = row | {
        "source": _shown_source(str(known.get("video_url") or row["source"])),
        "title": known.get("video_title"),
        "licence": known.get("video_license"),
        "subtitle": row["subtitle"] or "",
        "supported": verdicts.count("supported"),
        "claims": len(verdicts),
    }
    return SampledClip(**values)


def _shown_source(source: str) -> str:
    return without_secrets(without_tokens(without_user(source))) if "://" in source else PurePath(source).name
