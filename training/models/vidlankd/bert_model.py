"""The language model of teacher and student: transformers' own `BertForMaskedLM`, and the shapes it comes in.

Nothing of BERT is written here. A shape becomes transformers' configuration, `hidden_states` runs the encoder (with
PyTorch's fused attention), and `mlm_logits` runs the head on the positions that are predicted and on no others.

Shapes: B rows, L tokens, H hidden width, M positions to predict, V vocabulary.
"""

from __future__ import annotations

import torch
from transformers import BertConfig, BertForMaskedLM

from training.models.vidlankd.kd_model_settings import BertShape


def bert_config(shape: BertShape, vocab_size: int, pad: int) -> BertConfig:
    """Return the configuration by which transformers builds a BERT of this shape.

    Args:
        shape: layers and widths.
        vocab_size: entries of the vocabulary.
        pad: id of the padding token.
    """
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=shape.positions,
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.dropout,
        pad_token_id=pad,
        attn_implementation="sdpa",
    )


def build_bert(shape: BertShape, vocab_size: int, pad: int) -> BertForMaskedLM:
    """Build a BERT with transformers' random weights; the caller seeds them (`torch.manual_seed`).

    Args:
        shape: its size.
        vocab_size: entries of the vocabulary.
        pad: id of the padding token.
    """
    return BertForMaskedLM(bert_config(shape, vocab_size, pad))


def hidden_states(model: BertForMaskedLM, ids_BL: torch.Tensor, valid_BL: torch.Tensor) -> torch.Tensor:
    """Return the hidden states of the last layer, [B, L, H]; those of padding are undefined.

    Args:
        model: the language model.
        ids_BL: int64 tokens.
        valid_BL: bool, false on padding, which no token attends to. Every row has a true position.
    """
    hidden_BLH: torch.Tensor = model.bert(input_ids=ids_BL, attention_mask=valid_BL).last_hidden_state
    return hidden_BLH


def mlm_logits(model: BertForMaskedLM, hidden_MH: torch.Tensor) -> torch.Tensor:
    """Return the logits [M, V] of masked language modelling for the hidden states of chosen positions.

    The head is the larger part of a small BERT's arithmetic; computing the masked positions only costs 15 % of it.
    """
    logits_MV: torch.Tensor = model.cls(hidden_MH)
    return logits_MV


def encoder_flops(config: BertConfig, rows: int, length: int) -> float:
    """Return the floating point operations of an encoder's forward pass: projections, attention, feed-forward."""
    width, inner = config.hidden_size, config.intermediate_size
    a_token = 4 * width * width + 2 * width * inner + 2 * length * width
    return 2.0 * rows * length * config.num_hidden_layers * a_token


def prediction_flops(config: BertConfig, positions: int) -> float:
    """Return the floating point operations of the prediction head's forward pass at `positions` positions."""
    return 2.0 * positions * config.hidden_size * (config.hidden_size + config.vocab_size)
