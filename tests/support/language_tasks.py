"""A tiny BERT folder and tiny task files in the published formats, whose labels can be learned from single words."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.tiny_bert import tiny_tokenizer

from training.evaluation.language.language_settings import LanguageSettings
from training.evaluation.language.tasks.task_examples import AnswerSpan, Question

FAST = {"lr": 3e-3, "batch_size": 16, "epochs": 6, "max_length": 32}
"""Changes to a recipe with which a tiny BERT learns a tiny task in seconds."""

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
    """Write a BERT of two layers, 32 wide, with random weights and a tokenizer, like an export."""
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
    """Write a table with tabs and without quoting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write a table with commas, quoted if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def write_squad(path: Path, contexts: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> Path:
    """Write SQuAD's JSON with one paragraph per article."""
    path.parent.mkdir(parents=True, exist_ok=True)
    articles = [
        {"title": f"t{number}", "paragraphs": [{"context": context, "qas": list(asked)}]}
        for number, (context, asked) in enumerate(contexts)
    ]
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


def sst2_folder(data: Path, train: int = 64, dev: int = 16) -> Path:
    """Write an SST-2 in which red is positive and blue is negative."""
    for name, count in (("train", train), ("dev", dev)):
        rows = [(f"the {('blue', 'red')[n % 2]} {('dog', 'cat', 'car')[n % 3]} was {n}", n % 2) for n in range(count)]
        write_tsv(data / "SST-2" / f"{name}.tsv", ("sentence", "label"), rows)
    return data


def mnli_folder(data: Path, count: int = 12) -> Path:
    """Write an MNLI with both development sets and the labelled diagnostic set."""
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


def fast_settings(data: Path, *tasks: str, **more: Any) -> LanguageSettings:
    """Return settings of an evaluation on the CPU with one seed and the recipe `FAST`."""
    values = {"tasks": tasks, "data": str(data), "seeds": [0], "every": FAST, "compute": {"device": "cpu"}, **more}
    return LanguageSettings.model_validate(values)


def task_settings(data: Path, task: str, **more: object) -> LanguageSettings:
    """Return settings of one task whose files are in a folder."""
    return LanguageSettings.model_validate({"tasks": [task], "data": str(data), **more})


def evaluate_to_report(model: Path, settings: LanguageSettings, output: Path) -> dict[str, Any]:
    """Evaluate a model and return the report that was written."""
    from rich.console import Console

    from training.evaluation.language.evaluate_language import evaluate_language

    with Path("/dev/null").open("w") as nowhere:
        assert evaluate_language(str(model), settings, output, console=Console(file=nowhere)) == 0
    report: dict[str, Any] = json.loads(output.read_text())
    return report


def question_about(key: str, context: str, text: str | None) -> Question:
    """Return a question that `text` answers, or that the context does not answer."""
    answers = () if text is None else (AnswerSpan(text, context.index(text)),)
    return Question(key, context, "what colour is the ball?", answers, context)


def squad_question(key: str, *answers: tuple[str, int]) -> dict[str, object]:
    """Return a question of SQuAD's JSON with answers and their starts."""
    given = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": key, "question": "Who fell?", "answers": given, "is_impossible": not given}
