"""TRACIE: a story entails that one event starts or ends before another, or not. Queries of a story form a group.

Its authors' files (`data/uniform-prior/tracie_train_uniform_prior.txt` and `tracie_test.txt`, which is labelled) hold a
line for each query: ``event: QUERY story: STORY<tab>answer: positive`` or ``negative``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runtime.errors import UserError
from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.tasks.language_task import LanguageTask
from training.evaluation.language.tasks.table_rows import TableRow, labelled_text, make_split, read_rows
from training.evaluation.language.tasks.task_examples import Split

LABELS: Final = ("entailment", "contradiction")

_LINE: Final = re.compile(
    r"event:\s*(?P<query>.*?)\s*story:\s*(?P<story>[^\t]*?)\s*(?:\tanswer:\s*(?P<answer>\S*)\s*)?"
)
_ANSWERS: Final = {"positive": "entailment", "negative": "contradiction"}


def read_tracie(path: Path) -> Split:
    """Read the queries and stories of a file and their labels; ``.txt`` has its authors' format."""
    rows = _lines(path) if path.suffix == ".txt" else read_rows(path, ("query", "story", "label"))
    return make_split(
        path, rows, lambda row: labelled_text(row, "query", "story", row.label("label", LABELS), group="story")
    )


def _lines(path: Path) -> Iterator[TableRow]:
    """Yield the rows of a file in the authors' format; a line without an answer has no label."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                if not (text := line.strip("\n")).strip():
                    continue
                if (found := _LINE.fullmatch(text)) is None:
                    raise UserError(f"{path}, line {number}: not `event: … story: …<tab>answer: positive` or negative")
                answer = found["answer"]
                values = {"query": f"event: {found['query']}", "story": found["story"]}
                yield TableRow({**values, "label": _ANSWERS.get(answer, answer)}, path, number)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); fetch the file again") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None


TRACIE: Final = LanguageTask(
    "tracie",
    "TRACIE",
    "label",
    read_tracie,
    ("TRACIE",),
    recipe=FineTuningRecipe(lr=5e-5, batch_size=16, epochs=10, holdout=0.2),
    labels=LABELS,
    train=("train_uniform*", "train*", "tracie_train_uniform*", "tracie_train*"),
    scored={"dev": ("dev*", "val*", "test*", "tracie_dev*", "tracie_test*")},
    suffixes=(".jsonl", ".txt"),
)
"""No script was released for TRACIE: the recipe is ours."""
