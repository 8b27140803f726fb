"""Published top-1 accuracies of video classification, shown beside our scores.

Source: VidLA (arXiv 2403.14870), its tables of zero-shot and finetuned classification, other models as quoted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Protocol = Literal["zero-shot", "finetuned"]
"""`zero-shot`: classes are compared as sentences; `finetuned`: a classification head is trained on the benchmark."""


@dataclass(frozen=True)
class PublishedTop1:
    """One published accuracy."""

    model: str
    top1: float
    """Percent."""


PUBLISHED_TOP1: Final[Mapping[tuple[str, str, Protocol], tuple[PublishedTop1, ...]]] = {
    ("kinetics400", "val", "zero-shot"): (
        PublishedTop1("VidLA-B/16", 60.2),
        PublishedTop1("VFC", 59.4),
        PublishedTop1("ActionCLIP", 56.4),
        PublishedTop1("CLIP", 48.9),
    ),
    ("kinetics400", "test", "zero-shot"): (
        PublishedTop1("VidLA-B/16", 59.1),
        PublishedTop1("VFC", 58.8),
        PublishedTop1("CLIP", 47.9),
    ),
    ("kinetics400", "val", "finetuned"): (
        PublishedTop1("VidLA-B/32", 82.4),
        PublishedTop1("VidLA-B/16", 84.9),
        PublishedTop1("UMT-B", 85.7),
        PublishedTop1("VideoMAE-B", 81.5),
    ),
    ("ssv2", "val", "finetuned"): (
        PublishedTop1("VidLA-B/32", 67.9),
        PublishedTop1("VidLA-B/16", 69.9),
        PublishedTop1("UMT-B", 70.8),
        PublishedTop1("VideoMAE-B", 70.8),
    ),
}
"""Top-1 by benchmark, split and protocol."""
