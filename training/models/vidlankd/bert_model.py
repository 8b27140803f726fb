"""The language model of teacher and student: transformers' own `BertForMaskedLM`, and the shapes it comes in.

Nothing of BERT is written here. A shape becomes transformers' configuration, `hidden_states` runs the encoder (with
PyTorch's fused attention), and `mlm_logits` runs the head on the positions that are predicted and on no others.

Shapes: B rows, L tokens, H hidden width, M positions to predict, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from pydantic import Field, model_validator
from transformers import BertConfig, BertForMaskedLM

from runtime.errors import nearest
from runtime.settings import Settings

PRESETS: Final[Mapping[str, Mapping[str, int]]] = {
    "tiny": {"layers": 2, "hidden": 128, "heads": 2, "intermediate": 512},
    "mini": {"layers": 4, "hidden": 256, "heads": 4, "intermediate": 1024},
    "small": {"layers": 6, "hidden": 512, "heads": 8, "intermediate": 2048},
    "base": {"layers": 12, "hidden": 768, "heads": 12, "intermediate": 3072},
}
"""Shapes by name; `small` and `base` are the paper's."""


class BertShape(Settings):
    """Size of a BERT encoder, written as a name (`small`), as numbers, or as `preset: small` with other numbers."""

    layers: int = Field(default=12, ge=1)
    """Transformer layers."""
    hidden: int = Field(default=768, ge=1)
    """Width of the hidden states."""
    heads: int = Field(default=12, ge=1)
    """Attention heads; they divide `hidden`."""
    intermediate: int = Field(default=3072, ge=1)
    """Width of the feed-forward layers."""
    positions: int = Field(default=512, ge=1)
    """Longest input, tokens."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of hidden states and of attention, while training."""

    @classmethod
    def named(cls, preset: str, **others: float) -> BertShape:
        """A shape of `PRESETS`, with `others` in the place of its numbers."""
        return cls.model_validate({"preset": preset, **others})

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        given = {"preset": values} if isinstance(values, str) else values
        if not isinstance(given, Mapping) or "preset" not in given:
            return values
        name = given["preset"]
        if name not in PRESETS:
            raise ValueError(f"preset={name!r}: no such shape{nearest(str(name), PRESETS)}")
        return {**PRESETS[name], **{key: value for key, value in given.items() if key != "preset"}}

    @model_validator(mode="after")
    def _heads_divide(self) -> BertShape:
        if self.hidden % self.heads:
            raise ValueError(f"hidden={self.hidden} is no multiple of heads={self.heads}; change one of them")
        return self

    def config(self, vocab_size: int, pad: int) -> BertConfig:
        """The configuration by which transformers builds a BERT of this shape.

        Args:
            vocab_size: entries of the vocabulary.
            pad: id of the padding token.
        """
        return BertConfig(
            vocab_size=vocab_size,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.intermediate,
            max_position_embeddings=self.positions,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            pad_token_id=pad,
            attn_implementation="sdpa",
        )


def build_bert(shape: BertShape, vocab_size: int, pad: int) -> BertForMaskedLM:
    """A BERT with transformers' random weights; the caller seeds them (`torch.manual_seed`).

    Args:
        shape: its size.
        vocab_size: entries of the vocabulary.
        pad: id of the padding token.
    """
    return BertForMaskedLM(shape.config(vocab_size, pad))


def hidden_states(model: BertForMaskedLM, ids_BL: torch.Tensor, valid_BL: torch.Tensor) -> torch.Tensor:
    """Hidden states of the last layer, [B, L, H]; those of padding mean nothing.

    Args:
        model: the language model.
        ids_BL: int64 tokens.
        valid_BL: bool, false on padding: nothing attends to it. Every row has a true position.
    """
    hidden_BLH: torch.Tensor = model.bert(input_ids=ids_BL, attention_mask=valid_BL).last_hidden_state
    return hidden_BLH


def mlm_logits(model: BertForMaskedLM, hidden_MH: torch.Tensor) -> torch.Tensor:
    """Logits [M, V] of masked language modelling, for the hidden states of chosen positions.

    The head is the larger part of a small BERT's arithmetic; on the masked positions alone it costs 15 % of that.
    """
    logits_MV: torch.Tensor = model.cls(hidden_MH)
    return logits_MV


def encoder_flops(config: BertConfig, rows: int, length: int) -> float:
    """Floating point operations of an encoder's forward pass: projections, attention, feed-forward."""
    width, inner = config.hidden_size, config.intermediate_size
    a_token = 4 * width * width + 2 * width * inner + 2 * length * width
    return 2.0 * rows * length * config.num_hidden_layers * a_token


def prediction_flops(config: BertConfig, positions: int) -> float:
    """Floating point operations of the head that predicts the vocabulary, forward, at so many positions."""
    return 2.0 * positions * config.hidden_size * (config.hidden_size + config.vocab_size)
