"""What is known of VidLanKD's language scores, to stand beside ours.

All are of 12 layers, width 768, pretrained on English Wikipedia, on the development splits. The paper's tables could
not be checked; these rows are quoted in the issues of its repository (#2, #5). No verified number is known of SQuAD,
SWAG, PIQA, TRACIE, the diagnostic set, or of KD-CRD and NST+CRD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from training.evaluation.language.tasks.task_registry import TaskName

CONDITIONS: Final = "published rows: 12 layers, width 768, English Wikipedia, development splits; accuracy"
"""What all rows have in common."""

INSTABILITY: Final = (
    "five fine-tunings of one re-trained text-only BERT at these settings gave SST-2 88.5 to 91.2, QNLI 87.4 to 88.7, "
    "QQP 86.3 to 87.5 and once 59.0, MNLI 79.5 to 80.5 and twice below 37: compare means of seeds, without collapsed "
    "ones (issue 5 of zinengtang/VidLanKD)"
)
"""How far seeds of one model lie apart."""


@dataclass(frozen=True)
class PublishedRow:
    """One model's scores."""

    model: str
    source: str
    scores: Mapping[TaskName, float]


PUBLISHED: Final = (
    PublishedRow(
        "BERT, text only (VidLanKD's)",
        "quoted in issue 5 of zinengtang/VidLanKD",
        {"sst2": 89.0, "qnli": 88.0, "qqp": 86.2, "mnli": 79.2},
    ),
    PublishedRow(
        "BERT, text only (Vokenization's)",
        "quoted in issue 5 of zinengtang/VidLanKD",
        {"sst2": 89.3, "qnli": 87.9, "qqp": 83.2, "mnli": 79.4},
    ),
    PublishedRow(
        "VidLanKD, NST only (released weights)",
        "its author's rerun, issue 2 of zinengtang/VidLanKD; order of the tasks assumed",
        {"sst2": 92.2, "qnli": 89.8, "qqp": 89.5, "mnli": 83.4},
    ),
)
"""Every verified row."""
