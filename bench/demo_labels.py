"""Labels that a person gave to the claims of the demo, and the share of false ones. Pure but for the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

LABELS: Final = Path(__file__).parent.parent / "tests" / "data" / "demo_claims.jsonl"


@dataclass(frozen=True)
class DemoClaim:
    """A claim that stands in the grounded text of a clip of the demo."""

    video: str
    """Name of the video's file, without its ending."""
    start: int
    """Of the clip, in whole seconds, as `end`: recognised speech moves both by fractions of a second."""
    end: int
    text: str


@dataclass(frozen=True)
class LabelShare:
    """Figures of claims against labels."""

    claims: int
    false: tuple[DemoClaim, ...]
    unlabelled: tuple[DemoClaim, ...]


def read_labels(path: Path = LABELS) -> dict[DemoClaim, bool]:
    """Return the labels: True for a claim that a person who sees the clip calls true."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    return {_plain(DemoClaim(row["video"], row["start"], row["end"], row["text"])): row["true"] for row in rows}


def label_lines(claims: Iterable[DemoClaim]) -> str:
    """Return lines of a file of labels, to be filled in: `true` is null."""
    return "".join(json.dumps(asdict(claim) | {"true": None}, ensure_ascii=False) + "\n" for claim in claims)


def share(claims: Iterable[DemoClaim], labels: Mapping[DemoClaim, bool]) -> LabelShare:
    """Compare claims with labels of `read_labels`."""
    given = list(claims)
    false = tuple(claim for claim in given if labels.get(_plain(claim)) is False)
    return LabelShare(len(given), false, tuple(claim for claim in given if _plain(claim) not in labels))


def _plain(claim: DemoClaim) -> DemoClaim:
    """Return a claim without what makes it no other one: capitals, and the mark at its end."""
    return replace(claim, text=claim.text.casefold().rstrip(" ."))
