"""Names of the kernels of neuron selectivity transfer, for settings and for `training.models.vidlankd.losses.nst`."""

from __future__ import annotations

from typing import Literal

Kernel = Literal["gaussian", "polynomial", "released"]
"""`gaussian` is the paper's; `polynomial` is the fastest; `released` is that of the published code."""
