"""A tiny sequence classifier with random weights, built on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

WORDS: Final = (
    "[PAD] [UNK] [CLS] [SEP] [MASK]",
    "a man dog dogs cat cats chops onions runs run red blue black not . in the kitchen see past",
)


def tiny_classifier(folder: Path, labels: Sequence[str], seed: int = 0) -> str:
    """Write a BERT of two small layers with one output for each label, and return its URI."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(seed)
    words = " ".join(WORDS).split()
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    return f"path://{folder}"
