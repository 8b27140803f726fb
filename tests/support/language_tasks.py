"""A tiny BERT folder and tiny task files in the published formats, whose labels can be learned from single words."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.tiny_bert import tiny_tokenizer

MNLI_HEADER = ("index", "genre", "sentence1", "sentence2", "label1", "gold_label")
DIAGNOSTIC_HEADER = (
    "Lexical Semantics",
    "Predicate-Argument Structure",
    "Logic",
    "Knowledge",
    "Domain",
    "Premise",
    "Hypothesis",
    "Label",
)


def tiny_bert(folder: Path, positions: int = 128, dropout: float = 0.1, seed: int = 0) -> Path:
    """A BERT of two layers, 32 wide, with random weights and a tokenizer, as an export is."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(folder))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    torch.manual_seed(seed)
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


def write_tsv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Tabs, no quoting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Commas, quoted where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def write_squad(path: Path, contexts: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> Path:
    """SQuAD's JSON, one paragraph an article."""
    path.parent.mkdir(parents=True, exist_ok=True)
    articles = [
        {"title": f"t{number}", "paragraphs": [{"context": context, "qas": list(asked)}]}
        for number, (context, asked) in enumerate(contexts)
    ]
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


def sst2_folder(data: Path, train: int = 64, dev: int = 16) -> Path:
    """SST-2 in which red is good and blue is bad."""
    for name, count in (("train", train), ("dev", dev)):
        rows = [(f"the {('blue', 'red')[n % 2]} {('dog', 'cat', 'car')[n % 3]} was {n}", n % 2) for n in range(count)]
        write_tsv(data / "SST-2" / f"{name}.tsv", ("sentence", "label"), rows)
    return data


def mnli_folder(data: Path, count: int = 12) -> Path:
    """MNLI with both development sets and the labelled diagnostic set."""
    labels = ("entailment", "neutral", "contradiction")
    rows = [
        (n, "fiction", f"a cat is {n}", f"the cat is {('red', 'two', 'old')[n % 3]}", "-", labels[n % 3])
        for n in range(count)
    ]
    for name in ("train", "dev_matched", "dev_mismatched"):
        write_tsv(data / "MNLI" / f"{name}.tsv", MNLI_HEADER, rows)
    diagnostic = [
        ("", "", ("Negation", "Negation;Universal")[n % 2], "", "News", f"a dog is {n}", "a dog", labels[n % 3])
        for n in range(count)
    ]
    write_tsv(data / "MNLI" / "diagnostic-full.tsv", DIAGNOSTIC_HEADER, diagnostic)
    return data
