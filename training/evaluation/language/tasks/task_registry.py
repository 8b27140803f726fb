"""Registry of the language tasks. A new one is a module with its `LanguageTask` and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from training.evaluation.language.tasks import mnli, piqa, qnli, qqp, squad, sst2, swag, tracie
from training.evaluation.language.tasks.language_task import LanguageTask

_ALL: Final = (
    sst2.SST2,
    qnli.QNLI,
    qqp.QQP,
    mnli.MNLI,
    mnli.DIAGNOSTICS,
    squad.SQUAD1,
    squad.SQUAD2,
    swag.SWAG,
    piqa.PIQA,
    tracie.TRACIE,
)

LANGUAGE_TASKS: Final[dict[str, LanguageTask]] = {task.name: task for task in _ALL}
"""Every task by name, in the order of the paper."""

TASK_NAMES: Final = tuple(LANGUAGE_TASKS)

if TYPE_CHECKING:
    TaskName = str
else:
    TaskName = Literal[TASK_NAMES]
    """Name of a task in settings, which refuse any other and list these in their help."""


def training_task(name: str) -> LanguageTask:
    """Return the task on which the model is fine-tuned that a task is scored with."""
    return LANGUAGE_TASKS[LANGUAGE_TASKS[name].trained_on or name]
