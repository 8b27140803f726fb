"""Objectives of teacher and student: pure functions on tokens' hidden states, blind to padding.

The student's from the paper lie in `nst` and `crd`, what it is compared with in `comparison`, the teacher's in
`contrast`. Each has `reduction="mean"`, and `"sum"` for a caller that divides by a count over all micro-batches and
ranks: of rows for `nst`, of valid positions for what compares position by position, of labels for `masked_lm` and
`soft_labels`, of weighted positions (or texts) for the teacher's. Teachers' states are constants: only what is trained
gets a gradient. All compute in float32 or finer, whatever autocast says; `crd` may multiply matrices in its type.
"""

from training.models.vidlankd.losses.comparison import (
    contrastive_in_batch,
    fitnet,
    l2_regression,
    masked_lm,
    soft_labels,
)
from training.models.vidlankd.losses.contrast import (
    sentence_hinge,
    sentence_info_nce,
    token_hinge,
    token_hinge_in_batch,
    token_info_nce,
)
from training.models.vidlankd.losses.crd import TokenQueue, crd, crd_normaliser
from training.models.vidlankd.losses.nst import Kernel, nst
from training.models.vidlankd.losses.reduction import Reduction

__all__ = [
    "Kernel",
    "Reduction",
    "TokenQueue",
    "contrastive_in_batch",
    "crd",
    "crd_normaliser",
    "fitnet",
    "l2_regression",
    "masked_lm",
    "nst",
    "sentence_hinge",
    "sentence_info_nce",
    "soft_labels",
    "token_hinge",
    "token_hinge_in_batch",
    "token_info_nce",
]
