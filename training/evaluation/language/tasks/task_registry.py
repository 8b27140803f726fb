"""The language tasks: what each asks, how its files are named, and which score stands for it.

`data` finds and reads the files by these entries; adding a task is one entry and one reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from training.evaluation.language.tasks import choice_readers, squad_reader
from training.evaluation.language.tasks.choice_readers import Reader

TaskName = Literal["sst2", "qnli", "qqp", "mnli", "diagnostics", "squad1", "squad2", "swag", "piqa", "tracie"]
"""Names for `--tasks`."""

TASKS: Final[tuple[TaskName, ...]] = get_args(TaskName)
"""All tasks, in the order of the paper."""

Kind = Literal["label", "choice", "span"]
"""`label`: a class of one text or two; `choice`: one of several endings; `span`: words of a context."""


@dataclass(frozen=True)
class Hub:
    """Where the hub keeps a task as Parquet."""

    repository: str
    config: str
    revision: str | None = None
    """None: the default branch. ``refs/convert/parquet`` is the hub's own conversion of a set kept in another form."""


@dataclass(frozen=True)
class Task:
    """One task."""

    name: TaskName
    title: str
    kind: Kind
    read: Reader
    folders: tuple[str, ...]
    """Names of its folder below the data folder, without regard to case."""
    main: str
    """The score that stands for the task in tables, and that a collapse is seen in."""
    labels: tuple[str, ...] = ()
    """Classes, for `label`."""
    train: tuple[str, ...] = ("train", "train*")
    """Patterns of the training file's name, the preferred first."""
    scored: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"dev": ("dev", "val", "valid", "validation", "dev*", "val*")}
    )
    """Patterns of the file's name for each split that is scored; the first split is the one that must be there."""
    suffixes: tuple[str, ...] = (".tsv", ".jsonl", ".json", ".csv", ".parquet")
    """Formats, the preferred first."""
    hub: Hub | None = None


_GLUE = "nyu-mll/glue"
_SQUAD = (".json", ".parquet")

ENTRIES: Final[dict[TaskName, Task]] = {
    task.name: task
    for task in (
        Task(
            "sst2",
            "SST-2",
            "label",
            choice_readers.read_sst2,
            ("SST-2", "SST2"),
            "accuracy",
            labels=choice_readers.SST2_LABELS,
            hub=Hub(_GLUE, "sst2"),
        ),
        Task(
            "qnli",
            "QNLI",
            "label",
            choice_readers.read_qnli,
            ("QNLI",),
            "accuracy",
            labels=choice_readers.QNLI_LABELS,
            hub=Hub(_GLUE, "qnli"),
        ),
        Task(
            "qqp",
            "QQP",
            "label",
            choice_readers.read_qqp,
            ("QQP",),
            "accuracy",
            labels=choice_readers.QQP_LABELS,
            hub=Hub(_GLUE, "qqp"),
        ),
        Task(
            "mnli",
            "MNLI",
            "label",
            choice_readers.read_mnli,
            ("MNLI",),
            "accuracy",
            labels=choice_readers.NLI_LABELS,
            scored={
                "matched": ("dev_matched*", "validation_matched*"),
                "mismatched": ("dev_mismatched*", "validation_mismatched*"),
            },
            hub=Hub(_GLUE, "mnli"),
        ),
        Task(
            "diagnostics",
            "GLUE diagnostics",
            "label",
            choice_readers.read_diagnostics,
            ("diagnostics", "diagnostic", "AX", "MNLI"),
            "mcc",
            labels=choice_readers.NLI_LABELS,
            train=(),
            scored={"diagnostic": ("diagnostic-full*",)},
            suffixes=(".tsv",),
        ),
        Task(
            "squad1",
            "SQuAD 1.1",
            "span",
            squad_reader.read_squad1,
            ("squad1", "squad", "squad1.1", "squad_v1"),
            "f1",
            train=("train-v1*", "train"),
            scored={"dev": ("dev-v1*", "dev", "validation")},
            suffixes=_SQUAD,
            hub=Hub("rajpurkar/squad", "plain_text"),
        ),
        Task(
            "squad2",
            "SQuAD 2.0",
            "span",
            squad_reader.read_squad2,
            ("squad2", "squad", "squad2.0", "squad_v2"),
            "f1",
            train=("train-v2*", "train"),
            scored={"dev": ("dev-v2*", "dev", "validation")},
            suffixes=_SQUAD,
            hub=Hub("rajpurkar/squad_v2", "squad_v2"),
        ),
        Task(
            "swag",
            "SWAG",
            "choice",
            choice_readers.read_swag,
            ("SWAG",),
            "accuracy",
            hub=Hub("allenai/swag", "regular"),
        ),
        Task(
            "piqa",
            "PIQA",
            "choice",
            choice_readers.read_piqa,
            ("PIQA",),
            "accuracy",
            hub=Hub("ybisk/piqa", "plain_text", "refs/convert/parquet"),
        ),
        Task(
            "tracie",
            "TRACIE",
            "label",
            choice_readers.read_tracie,
            ("TRACIE",),
            "accuracy",
            labels=choice_readers.TRACIE_LABELS,
            train=("train_uniform*", "train*"),
            scored={"dev": ("dev*", "val*", "test*")},
            suffixes=(".jsonl",),
        ),
    )
}
"""Every task by its name."""
