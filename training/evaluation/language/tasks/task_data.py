"""Find a task's files by name in a folder, or fetch them from the hub, and read them as examples.

    data = read_task("piqa", LanguageSettings(data="tasks/"))

Published test splits have no labels and are never used. If there is only one labelled file, it is divided.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from runtime.errors import UserError
from training.evaluation.language.language_settings import HUB, LanguageSettings
from training.evaluation.language.tasks.language_task import LanguageTask
from training.evaluation.language.tasks.table_rows import is_unlabelled
from training.evaluation.language.tasks.task_examples import Split, divide
from training.evaluation.language.tasks.task_hub import fetch_task
from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS, TaskName

_ABSENT: Final = Split((), ())
_SHOWN: Final = 5
"""Number of file names that a message lists."""
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}$")
"""End of the name of a shard of Parquet."""


@dataclass(frozen=True)
class TaskSplits:
    """Examples that a task is trained on and scored by."""

    train: Split
    """Empty for a task that is only scored."""
    scored: dict[str, Split]
    """Splits by name; the first represents the task."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on all splits, without duplicates."""
        notes = (note for split in (self.train, *self.scored.values()) for note in split.notes)
        return tuple(dict.fromkeys(notes))


def check_sources(names: Sequence[TaskName], settings: LanguageSettings) -> None:
    """Check that the files of each task have a source, before any is fetched.

    Raises:
        UserError: the hub does not have some of the tasks; the message names all of these.
    """
    lacking = [
        name
        for name in names
        if settings.data == HUB and LANGUAGE_TASKS[name].hub is None and name not in settings.folders
    ]
    if lacking:
        titles = " and ".join(LANGUAGE_TASKS[name].title for name in lacking)
        raise UserError(
            f"data={HUB}: the hub has no labelled copy of {titles}; set "
            f"{' and '.join(f'folders.{name}' for name in lacking)} to folders with the published files, or leave "
            "these out of tasks"
        )


def read_task(name: TaskName, settings: LanguageSettings) -> TaskSplits:
    """Find and read a task.

    Raises:
        UserError: the files do not exist, have another format, or lack labels.
    """
    task = LANGUAGE_TASKS[name]
    folder, files = _files(task, settings)
    train = _read(task, _matching(task, files, folder, task.train)) if task.train else _ABSENT
    scored = {
        split: examples
        for split, patterns in task.scored.items()
        if len(examples := _read(task, _matching(task, files, folder, patterns)))
    }
    if not (task.train and (not len(train) or not scored)):
        _check_complete(task, scored, folder)
        return _limited(train, scored, settings)
    only = next(iter(scored.values())) if scored else train if len(train) else _read(task, _lone(task, files))
    others = [path.name for path in files if path.name not in only.files]
    return _divided(task, only, others, folder, settings)


def _files(task: LanguageTask, settings: LanguageSettings) -> tuple[Path, list[Path]]:
    """Return a task's folder, and the files in it that have one of its formats."""
    own = settings.folders.get(task.name)
    if own is None and settings.data == HUB:
        folder = fetch_task(task)
        return folder, _below(task, folder)
    setting, root = (f"folders.{task.name}={own}", Path(own)) if own else (f"data={settings.data}", Path(settings.data))
    if not root.is_dir():
        raise UserError(f"{setting}: no such folder; name one with the tasks' files")
    if own:
        return root, _below(task, root)
    named = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    known = [(path, _below(task, path)) for alias in task.folders if (path := named.get(alias.lower()))]
    direct = sorted(path for path in root.iterdir() if path.is_file() and path.suffix in task.suffixes)
    folders = [*known, (root, direct)]
    return next((folder for folder in folders if _holds(task, *folder)), folders[0])


def _below(task: LanguageTask, folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in task.suffixes and path.is_file())


def _holds(task: LanguageTask, folder: Path, files: Sequence[Path]) -> bool:
    """Return True if a folder has a split of this task; two tasks may share a folder name (``squad``)."""
    patterns = (task.train, *task.scored.values())
    return any(_matching(task, files, folder, wanted) for wanted in patterns)


def _matching(task: LanguageTask, files: Sequence[Path], folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files of a split (may be several shards): with the first pattern and format that any has."""
    for pattern in patterns:
        for suffix in task.suffixes:
            matching = [path for path in files if path.suffix == suffix and fnmatchcase(_stem(path, folder), pattern)]
            if matching:
                return matching
    return []


def _stem(path: Path, folder: Path) -> str:
    """Return the name of a file's split: its stem, or its folder if files are numbered (``train/0000.parquet``)."""
    if path.stem.isdigit() and path.parent != folder:
        return path.parent.name
    return _SHARD.sub("", path.stem)


def _read(task: LanguageTask, files: Sequence[Path]) -> Split:
    """Return the examples of a split's files; files without labels are skipped."""
    files = [path for path in files if not (path.stem.startswith("test") and is_unlabelled(path))]
    if len(files) > 1 and any(path.suffix != ".parquet" for path in files):
        raise UserError(
            f"{task.title}: {' and '.join(str(path) for path in files)} have the same name; keep one, or name the "
            f"right folder as folders.{task.name}"
        )
    splits = [task.read(path) for path in files]
    return Split(
        tuple(example for split in splits for example in split.examples),
        tuple(name for split in splits for name in split.files),
        tuple(note for split in splits for note in split.notes),
    )


def _lone(task: LanguageTask, files: Sequence[Path]) -> list[Path]:
    """Return the one file that can hold the examples if no file is named for a split."""
    labelled = [path for path in files if not path.stem.startswith(("test", "sample", "prediction"))]
    return labelled if len(labelled) == 1 else []


def _check_complete(task: LanguageTask, scored: dict[str, Split], folder: Path) -> None:
    first = next(iter(task.scored))
    if first not in scored:
        wanted = ", ".join(f"{pattern}{suffix}" for pattern in task.scored[first] for suffix in task.suffixes)
        raise UserError(f"{task.title}: no labelled {first} split in {folder} (looked for {wanted})")


def _divided(
    task: LanguageTask, only: Split, others: Sequence[str], folder: Path, settings: LanguageSettings
) -> TaskSplits:
    """Divide the one labelled file into both splits; `others` are files beside it whose names match neither."""
    share = settings.recipe(task.name).holdout
    if not len(only):
        raise UserError(f"{task.title}: no labelled file in {folder}; name its folder as folders.{task.name}")
    if share is None:
        raise UserError(
            f"{task.title}: {folder} has only one labelled file ({', '.join(only.files)})"
            f"{_unlike(task, others)}; set recipes.{task.name}.holdout=0.2 to train on a part of it and score the rest"
        )
    try:
        train, scored = divide(only, share)
    except ValueError as error:
        raise UserError(f"{task.title}: {', '.join(only.files)}: {error}; give both splits") from None
    return _limited(train, {"holdout": scored}, settings)


def _unlike(task: LanguageTask, others: Sequence[str]) -> str:
    """Return the names that a task's files should have, if other files exist beside the one that was read."""
    if not others:
        return ""
    wanted = dict.fromkeys((*task.train, *(pattern for patterns in task.scored.values() for pattern in patterns)))
    some = ", ".join(others[:_SHOWN]) + (", …" if len(others) > _SHOWN else "")
    return f" of the names looked for ({', '.join(wanted)}); {some} beside it are none of these, or have no labels"


def _limited(train: Split, scored: dict[str, Split], settings: LanguageSettings) -> TaskSplits:
    return TaskSplits(
        train.sample(settings.max_train, "train"),
        {name: split.sample(settings.max_eval, name) for name, split in scored.items()},
    )
