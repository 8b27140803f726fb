"""A longer context for CLIP's text tower by interpolated positions (Zhang et al. 2024, *Long-CLIP*, section 3.2).

The first 20 positions, which training has seen most, stay as they are; those after them are stretched: of CLIP's 77,
57 become 228 with four steps from each to the next, 248 in all. The last ones are extrapolated linearly.

CLIP's text tower is causal and pools the token that ends the text, so a text of up to 20 tokens has the same embedding
as before. Towers that see their padding, or that have no learnt positions, have no such property and are refused.

Shapes: L tokens of the context, D width.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from open_clip.transformer import TextTransformer
from torch import nn

from runtime.errors import UserError

KEPT: Final = 20
"""Positions that are not moved."""


def lengthen_context(text: nn.Module, tokens: int) -> None:
    """Give a text tower positions for `tokens` tokens, in place.

    Args:
        text: open_clip's `TextTransformer` of CLIP's kind.
        tokens: the new context; more than it has.

    Raises:
        UserError: the tower is of another kind, or has as many tokens.
    """
    reason = _unsupported(text)
    if reason:
        raise UserError(
            f"--text-context {tokens}: text tower {type(text).__name__} {reason}; leave it out, and take other "
            "sentences of long texts with --set loss.long_texts=sentences"
        )
    tower: Any = text
    if tokens <= tower.context_length:
        raise UserError(
            f"--text-context {tokens}: the text tower takes {tower.context_length} tokens already; name more, or leave "
            "it out"
        )
    tower.positional_embedding = nn.Parameter(stretched(tower.positional_embedding.detach(), tokens))
    tower.num_pos = tower.context_length = tokens
    tower.register_buffer("attn_mask", tower.build_causal_mask().to(tower.attn_mask), persistent=False)


def stretched(positions_LD: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return position embeddings for `tokens` tokens, [tokens, D]; the first `KEPT` are kept, the others interpolated.

    Position p ≥ 20 of the result is position 20 + (p - 20) / r of the original, r the ratio of what follows the first
    20; where that is beyond the last, it goes on as from the last but one to the last.
    """
    length = len(positions_LD)
    ratio = (tokens - KEPT) / (length - KEPT)
    at = KEPT + torch.arange(tokens - KEPT, dtype=torch.float64) / ratio
    below = at.floor().long().clamp(max=length - 2)
    share = (at - below).to(positions_LD)[:, None]
    after_KD = torch.lerp(positions_LD[below], positions_LD[below + 1], share)
    return torch.cat((positions_LD[:KEPT], after_KD))


def _unsupported(text: Any) -> str | None:
    """Return why a text tower's context can't be lengthened; None if it can."""
    if type(text) is not TextTransformer:
        return "has positions of another kind than CLIP's"
    if text.attn_mask is None:
        return "sees its padding (no_causal_mask, as SigLIP's), so other positions change every text"
    if text.cls_emb is not None or text.pool_type not in ("argmax", "eos"):
        return "does not pool the token that ends a text"
    return "has no positions beyond the first 20" if text.context_length <= KEPT + 1 else None
