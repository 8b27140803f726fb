"""Queries, keys and values of a layer's tokens, from one matrix product over summary tokens and patches.

Shapes: B clips, T frames, N patches a frame, D width, S summary tokens, L = S + T*N tokens, A = heads times the width
of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from timm.layers import apply_rot_embed_cat
from torch.nn import functional as F

from training.models.vidla.recomputation import keep_inputs
from training.models.vidla.temporal_attention import QKV, keys_by_frame
from training.models.vidla.towers.attention_parts import AttentionParts, normed_heads


@dataclass(frozen=True)
class Projections:
    """The projections of one layer, with norms and rotary positions of queries and keys."""

    parts: AttentionParts
    rotation: torch.Tensor | None
    """Rotary position embedding of a frame's patches, as timm has it; None: there is none."""
    rotate_half: bool
    """True if rotary positions turn the first half of the channels with the second, False: neighbours."""
    selective: bool
    """True: keep only the tokens and the results for the backward pass."""

    def all_tokens(self, summary_BSD: torch.Tensor, patches_BTND: torch.Tensor) -> tuple[QKV, QKV]:
        """Return queries, keys and values of the summary tokens, [B, S, A], and of the patches, [B, T, N, A]."""
        few, many = self._both_kinds(slice(None), summary_BSD, patches_BTND)
        (q_BSA, k_BSA, v_BSA), (q_BTNA, k_BTNA, v_BTNA) = few.chunk(3, -1), many.chunk(3, -1)
        # Copies of the queries: the product's other columns are freed once keys and values are laid out by frame.
        of_summary = self._query(q_BSA).contiguous(), self._key(k_BSA), v_BSA
        turned = self._turned(self._query(q_BTNA)).contiguous(), self._turned(self._key(k_BTNA)), v_BTNA
        return of_summary, turned

    def first_token(self, summary_BSD: torch.Tensor, patches_BTND: torch.Tensor) -> QKV:
        """Return the query of the first summary token, [B, 1, A], and keys and values by frame, [B, T, S+N, A]."""
        inner = self.parts.weight.shape[0] // 3
        q_B1A = self._query(self._linear(slice(0, inner), summary_BSD[:, :1]))
        few, many = self._both_kinds(slice(inner, None), summary_BSD, patches_BTND)
        (k_BSA, v_BSA), (k_BTNA, v_BTNA) = few.chunk(2, -1), many.chunk(2, -1)
        k_BTKA = keys_by_frame(self._key(k_BSA), self._turned(self._key(k_BTNA)))
        return q_B1A, k_BTKA, keys_by_frame(v_BSA, v_BTNA)

    def _both_kinds(
        self, rows: slice, summary_BSD: torch.Tensor, patches_BTND: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return some rows' products with the summary tokens, [B, S, ...], and with the patches, [B, T, N, ...]."""

        def product(summary_BSD: torch.Tensor, patches_BTND: torch.Tensor) -> torch.Tensor:
            return self._linear(rows, torch.cat((summary_BSD, patches_BTND.flatten(1, 2)), dim=1))

        found_BLX = keep_inputs(product, summary_BSD, patches_BTND, if_=self.selective)
        t, n = patches_BTND.shape[1:3]
        few, many = found_BLX.split((summary_BSD.shape[1], t * n), dim=1)
        return few, many.unflatten(1, (t, n))

    def _linear(self, rows: slice, x: torch.Tensor) -> torch.Tensor:
        """Return the products of some rows of the weights with normalised tokens."""
        bias = self.parts.bias
        return F.linear(self.parts.norm(x), self.parts.weight[rows], None if bias is None else bias[rows])

    def _query(self, q: torch.Tensor) -> torch.Tensor:
        norm = self.parts.query_norm
        return q if norm is None else normed_heads(q, norm, self.parts.heads)

    def _key(self, k: torch.Tensor) -> torch.Tensor:
        norm = self.parts.key_norm
        return k if norm is None else normed_heads(k, norm, self.parts.heads)

    def _turned(self, x: torch.Tensor) -> torch.Tensor:
        """Return queries or keys of patches, [B, T, N, A], turned by their positions in the frame."""
        if self.rotation is None:
            return x
        by_head = x.unflatten(-1, (self.parts.heads, -1)).transpose(-2, -3)
        turned: torch.Tensor = apply_rot_embed_cat(by_head, self.rotation, half=self.rotate_half)
        return turned.type_as(x).transpose(-2, -3).flatten(-2)
