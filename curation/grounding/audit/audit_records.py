"""Records of an audit and their tables: the clips of a sample with all that is judged on them, and people's labels.

``audit/<layer>/sample.parquet`` keeps claims as they were when the sample was drawn, so labels stay readable when the
layer is made anew. Only the report reads verdicts: neither the page nor ``labels.csv`` holds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import pyarrow as pa

ClaimLabel = Literal["supported", "contradicted", "cant_tell"]
ClipLabel = Literal["complete", "incomplete"]
CLAIM_LABELS: Final[tuple[ClaimLabel, ...]] = get_args(ClaimLabel)
CLIP_LABELS: Final[tuple[ClipLabel, ...]] = get_args(ClipLabel)

SAMPLE: Final = pa.schema(
    [
        pa.field("position", pa.int32(), nullable=False),  # place in the page; any beginning of it is a sample, too
        pa.field("key", pa.string(), nullable=False),
        pa.field("root_key", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("level", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("start", pa.float64(), nullable=False),
        pa.field("end", pa.float64(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("stratum_clips", pa.int64(), nullable=False),  # clips of the layer in the stratum
        pa.field("subtitle", pa.string(), nullable=False),
        pa.field("rewrite_status", pa.string(), nullable=False),
        pa.field("grounded_text", pa.string()),
        pa.field(
            "claims",
            pa.list_(
                pa.struct(
                    [
                        ("text", pa.string()),
                        ("verdict", pa.string()),
                        ("reason", pa.string()),
                        ("evidence", pa.list_(pa.string())),
                        ("judge", pa.string()),
                        ("score", pa.float32()),
                    ]
                )
            ),
            nullable=False,
        ),
        pa.field("evidence", pa.list_(pa.struct([("id", pa.string()), ("text", pa.string())])), nullable=False),
    ]
)
"""One row a clip."""

LABELS: Final = pa.schema(
    [
        pa.field("labeller", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("claim", pa.int32(), nullable=False),  # from 1, as in the sample; 0: the clip as a whole
        pa.field("text", pa.string(), nullable=False),  # of the claim; "" for the clip
        pa.field("label", pa.string(), nullable=False),  # one of CLAIM_LABELS, or for the clip of CLIP_LABELS
        pa.field("note", pa.string(), nullable=False),  # for the clip: what its claims leave out
    ]
)
"""One row a label; a labeller has one label for each claim."""


@dataclass(frozen=True)
class AuditClaim:
    """A claim as it was stored when the sample was drawn."""

    text: str
    verdict: str
    reason: str = ""
    evidence: tuple[str, ...] = ()
    """Ids of the evidence that it cites."""
    judge: str | None = None
    """The judge that decided; None if none did, and in layers of schema version 1."""
    score: float | None = None


@dataclass(frozen=True)
class EvidenceItem:
    """One thing that was seen or said in the clip, by its id (``frame@12.0``)."""

    id: str
    text: str


@dataclass(frozen=True)
class AuditClip:
    """A clip of the sample."""

    position: int
    key: str
    root_key: str
    video_id: str
    source: str
    shard: int
    level: str
    language: str | None
    start: float
    end: float
    stratum: str
    stratum_clips: int
    """Clips of the layer in the stratum."""
    subtitle: str
    rewrite_status: str
    grounded_text: str | None
    claims: tuple[AuditClaim, ...]
    evidence: tuple[EvidenceItem, ...]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> AuditClip:
        """Return a row of a sample's table as a record."""
        claims = tuple(AuditClaim(**claim | {"evidence": tuple(claim["evidence"] or ())}) for claim in row["claims"])
        evidence = tuple(EvidenceItem(**item) for item in row["evidence"])
        return cls(**{**row, "claims": claims, "evidence": evidence})


@dataclass(frozen=True)
class Label:
    """The label of one person on one claim, or (claim 0) on whether a clip's claims leave something out."""

    labeller: str
    key: str
    claim: int
    text: str
    label: str
    note: str = ""

    @property
    def target(self) -> tuple[str, int, str]:
        """The claim that is labelled."""
        return self.key, self.claim, self.text


def sample_table(clips: Iterable[AuditClip]) -> pa.Table:
    """Return the table of a sample."""
    return pa.Table.from_pylist([asdict(clip) for clip in clips], schema=SAMPLE)


def label_table(labels: Iterable[Label]) -> pa.Table:
    """Return the table of labels."""
    return pa.Table.from_pylist([asdict(label) for label in labels], schema=LABELS)


def sample_id(clips: Sequence[AuditClip]) -> str:
    """Return twelve hex digits that identify the clips of a sample with their claims."""
    parts = [[clip.key, *(claim.text for claim in clip.claims)] for clip in clips]
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
