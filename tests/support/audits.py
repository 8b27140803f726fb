"""Clips and labels of audits, made in memory, and DIRs whose claims name their judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from curation.grounding.audit.audit_records import AuditClaim, AuditClip, EvidenceItem, Label
from shards.reader import read_artifact, read_table
from shards.schema import TEXT
from shards.storage.store import Store
from shards.writer import commit_table


def claim(text: str, verdict: str = "supported", judge: str | None = "text", score: float | None = 0.9) -> AuditClaim:
    """A claim as judged."""
    return AuditClaim(text, verdict, "", ("frame@1.0",), judge, score)


def audit_clip(number: int, *claims: AuditClaim, **changes: Any) -> AuditClip:
    """The clip of this number; each is of a video of its own, and alone in its stratum with 10 clips for each."""
    values: dict[str, Any] = {
        "position": number,
        "key": f"{number:016x}_000000000_000013000",
        "root_key": f"{number:016x}_000000000_000060000",
        "video_id": f"{number:016x}",
        "source": f"https://example.org/{number}",
        "shard": 0,
        "level": "short",
        "language": "en",
        "start": 0.0,
        "end": 13.0,
        "stratum": "all",
        "stratum_clips": 10,
        "subtitle": "a man talks",
        "rewrite_status": "ok",
        "grounded_text": "A man.",
        "claims": claims,
        "evidence": (EvidenceItem("frame@1.0", "a man"),),
    }
    return AuditClip(**values | changes)


def label(clip: AuditClip, number: int, said: str, labeller: str = "Ana", note: str = "") -> Label:
    """What a person says of a claim (from 1), or of the clip (0)."""
    return Label(labeller, clip.key, number, "" if number == 0 else clip.claims[number - 1].text, said, note)


def set_claims(store: Store, layer: str, claims_of: Callable[[dict[str, Any]], Sequence[AuditClaim]]) -> None:
    """Give the clips of a layer claims with reason, judge and score."""
    for table in sorted(name for name in store.list(f"text/{layer}") if name.endswith(".parquet")):
        name = f"text/{layer}/{table}"
        rows = read_table(store, name).to_pylist()
        for row in rows:
            row["claims"] = [vars(each) | {"evidence": list(each.evidence)} for each in claims_of(row)]
        with TemporaryDirectory() as scratch:
            stored = pa.Table.from_pylist(rows, schema=TEXT)
            commit_table(store, Path(scratch), name, stored, read_artifact(store, name))
