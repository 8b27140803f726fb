"""Recomputation of cheap intermediate results in the backward pass, instead of keeping them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")


def keep_inputs(function: Callable[..., T], *inputs: Any, if_: bool = True) -> T:
    """Call a function of which the backward pass keeps the inputs alone, and computes the rest again.

    Recomputation ends as soon as everything is there that the backward pass needs: a matrix product at the end of the
    function is not computed twice. In compiled code it does nothing, as the compiler decides what to keep.

    Args:
        function: returns a tensor and draws no random numbers.
        inputs: what it is called with.
        if_: False: call it as it is.
    """
    if not if_ or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return function(*inputs)
    found: T = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
    return found
