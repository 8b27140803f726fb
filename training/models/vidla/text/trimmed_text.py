"""Texts cut to the longest of a batch: CLIP's text tower need not read the padding behind a text.

In a causal tower no token sees a later one, and the embedding is read at the end of the text, so padding changes
nothing. Lengths are rounded up to a few, so that compiled code and kernels see few shapes.

Shapes: B texts, L tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import torch
from open_clip.transformer import TextTransformer
from torch import nn

_STEP: Final = 16
"""Lengths are multiples of this, or the whole context."""


def trimmed(text: nn.Module, tokens_BL: torch.Tensor) -> torch.Tensor:
    """Return tokens without the columns that are padding in all texts, but for rounding; others as they are.

    Args:
        text: the text tower; only a causal tower that reads the end of the text is spared the padding.
        tokens_BL: int64, in the memory of the CPU: their length is a shape.
    """
    if not _is_causal(text) or not len(tokens_BL):
        return tokens_BL
    ends = _ends(cast(TextTransformer, text), tokens_BL)
    longest = int(ends.max()) + 1
    return tokens_BL[:, : -(-longest // _STEP) * _STEP]


def encode_tokens(text: nn.Module, tokens_BL: torch.Tensor) -> torch.Tensor:
    """Return what the text tower makes of tokens, which may be shorter than its context if it is causal."""
    with _mask_for(text, tokens_BL.shape[1]):
        return cast(torch.Tensor, text(tokens_BL))


def _is_causal(text: nn.Module) -> bool:
    """Return True for a tower whose embedding no padding behind the end of a text can change."""
    return (
        type(text) is TextTransformer
        and text.attn_mask is not None
        and text.cls_emb is None
        and not text.use_pad_mask
        and text.pool_type in ("argmax", "eos")
    )


def _ends(text: TextTransformer, tokens_BL: torch.Tensor) -> torch.Tensor:
    """Return the position at which the tower reads each text."""
    if text.pool_type == "argmax":
        return tokens_BL.argmax(dim=1)
    found: torch.Tensor = (tokens_BL == text.eos_id).int().argmax(dim=1)
    return found


@contextmanager
def _mask_for(text: nn.Module, length: int) -> Iterator[None]:
    """Give a causal tower the part of its mask that is for texts of `length` tokens, for the block."""
    tower: Any = text
    if not _is_causal(text) or tower.attn_mask.shape[0] == length:
        yield
        return
    whole = tower.attn_mask
    tower.attn_mask = whole[:length, :length]
    try:
        yield
    finally:
        tower.attn_mask = whole
