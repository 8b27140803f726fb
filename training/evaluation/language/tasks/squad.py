"""SQuAD 1.1 and 2.0 as questions, from the official JSON or the hub's Parquet.

In 1.1 every question has an answer; in 2.0 some have none, and the right reply to those is nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from runtime.errors import UserError, one_line
from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.tasks.language_task import HubDataset, LanguageTask
from training.evaluation.language.tasks.table_rows import TableRow, read_rows
from training.evaluation.language.tasks.task_examples import MISPLACED, AnswerSpan, Question, Split


def read_squad1(path: Path) -> Split:
    """Read a file of SQuAD 1.1.

    Raises:
        UserError: another format, or a question without an answer.
    """
    return _read(path, must_answer=True)


def read_squad2(path: Path) -> Split:
    """Read a file of SQuAD 2.0.

    Raises:
        UserError: another format.
    """
    return _read(path, must_answer=False)


def _read(path: Path, must_answer: bool) -> Split:
    questions = tuple(_parquet(path) if path.suffix == ".parquet" else _official(path))
    if not questions:
        raise UserError(f"{path}: holds no question")
    for question in questions:
        if must_answer and not question.answers:
            raise UserError(
                f"{path}, question {question.key}: no answers, which SQuAD 1.1 does not have; the file is of SQuAD "
                "2.0 (task squad2), or a test split without labels"
            )
    misplaced = sum(any(answer.start == MISPLACED for answer in question.answers) for question in questions)
    if misplaced > len(questions) // 10:
        raise UserError(
            f"{path}: {misplaced} of {len(questions)} answers are not at their answer_start, which counts "
            "characters (not bytes) of the context"
        )
    note = f"{path.name}: {misplaced} answers that are not at their answer_start are scored but not trained on"
    return Split(questions, (path.name,), (note,) if misplaced else ())


def _official(path: Path) -> Iterator[Question]:
    """Yield the questions of the official JSON: articles, their paragraphs, their questions."""
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not SQuAD's JSON with its key 'data' ({one_line(error, named=True)})") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    if not isinstance(articles, list):
        raise UserError(f"{path}: not SQuAD's JSON: its key 'data' holds no list of articles")
    for number, article in enumerate(articles):
        try:
            for paragraph in article["paragraphs"]:
                context = str(paragraph["context"])
                for asked in paragraph["qas"]:
                    given = [(answer["text"], answer["answer_start"]) for answer in asked["answers"]]
                    yield _question(str(asked["id"]), context, str(asked["question"]), given)
        except (KeyError, TypeError) as error:
            raise UserError(f"{path}, article {number}: {error!s} is missing or of another form") from None


def _parquet(path: Path) -> Iterator[Question]:
    for row in read_rows(path, ("id", "context", "question", "answers")):
        yield _question(row.text("id"), row.text("context"), row.text("question"), _pairs(row))


def _pairs(row: TableRow) -> list[tuple[str, int]]:
    answers: Any = row.values["answers"]
    try:
        pairs = list(zip(answers["text"], answers["answer_start"], strict=True))
    except (KeyError, TypeError, ValueError):
        raise row.fault("column 'answers' must hold 'text' and 'answer_start', equally long") from None
    for text, start in pairs:
        if not isinstance(text, str) or not isinstance(start, int):
            raise row.fault(f"column 'answers' holds {text!r} at {start!r}, not a text at a number")
    return pairs


def _question(key: str, context: str, question: str, given: list[tuple[str, int]]) -> Question:
    return Question(key, context, question, tuple(_answer(context, *each) for each in given), group=context)


def _answer(context: str, text: str, start: int) -> AnswerSpan:
    """Return an answer without surrounding white space (part of no token); `MISPLACED` if it is not at `start`."""
    words = text.strip()
    in_place = words and context[start : start + len(text)] == text
    return AnswerSpan(words, start + len(text) - len(text.lstrip()) if in_place else MISPLACED)


def _recipe(lr: float) -> FineTuningRecipe:
    return FineTuningRecipe(lr=lr, batch_size=12, epochs=2, max_length=384, stride=128, warmup=0.0)


SQUAD1: Final = LanguageTask(
    "squad1",
    "SQuAD 1.1",
    "span",
    read_squad1,
    ("squad1", "squad", "squad1.1", "squad_v1"),
    metric="answers",
    main="f1",
    recipe=_recipe(3e-5),
    train=("train-v1*", "train"),
    scored={"dev": ("dev-v1*", "dev", "validation")},
    suffixes=(".json", ".parquet"),
    hub=HubDataset("rajpurkar/squad", "plain_text"),
)

SQUAD2: Final = LanguageTask(
    "squad2",
    "SQuAD 2.0",
    "span",
    read_squad2,
    ("squad2", "squad", "squad2.0", "squad_v2"),
    metric="answers_or_none",
    main="f1",
    recipe=_recipe(5e-5),
    train=("train-v2*", "train"),
    scored={"dev": ("dev-v2*", "dev", "validation")},
    suffixes=(".json", ".parquet"),
    hub=HubDataset("rajpurkar/squad_v2", "squad_v2"),
)
