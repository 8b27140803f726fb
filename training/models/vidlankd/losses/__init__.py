"""Losses of teacher and student: pure functions of tokens' hidden states, unaffected by padding.

`nst` and `crd` are the student's losses in the paper, `distillation_losses` those it is compared with,
`text_clip_losses` the teacher's. Each takes `reduction="mean"`, or `"sum"` for a caller that divides by a count over
all micro-batches and ranks: rows for `nst`; labels for `masked_lm` and `soft_labels`; weighted positions for the
teacher's; valid positions for the others. The teacher's states are constants: gradients reach the trained model only.
Losses are computed in float32 or finer under autocast too, except that `crd` multiplies matrices in autocast's type.
"""

from training.models.vidlankd.losses.crd import TokenQueue, crd, crd_normaliser
from training.models.vidlankd.losses.distillation_losses import (
    contrastive_in_batch,
    fitnet,
    l2_regression,
    masked_lm,
    soft_labels,
)
from training.models.vidlankd.losses.loss_arithmetic import Reduction
from training.models.vidlankd.losses.nst import nst
from training.models.vidlankd.losses.text_clip_losses import (
    ClipCandidates,
    TextAnchors,
    token_hinge,
    token_hinge_in_batch,
    token_info_nce,
)

__all__ = [
    "ClipCandidates",
    "Reduction",
    "TextAnchors",
    "TokenQueue",
    "contrastive_in_batch",
    "crd",
    "crd_normaliser",
    "fitnet",
    "l2_regression",
    "masked_lm",
    "nst",
    "soft_labels",
    "token_hinge",
    "token_hinge_in_batch",
    "token_info_nce",
]
