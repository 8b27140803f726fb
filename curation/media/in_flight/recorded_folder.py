"""A finished folder of scratch: its files and one JSON record, moved to its name when it is complete.

The record states what the files were made from and their sizes. A folder that was made from something else, or that a
power cut has damaged, counts as missing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from runtime.text.sound_text import sound_value

RECORD: Final = "record.json"
"""Name of the record in its folder."""
MadeFrom = Mapping[str, Any]
"""Plain values that say what a folder was made from; one with other values is of no use."""
T = TypeVar("T")


def finish_folder(work: Path, target: Path, record: Any, made_from: MadeFrom) -> None:
    """Move a folder to its name, with only those of its files that `record` names.

    Args:
        work: the folder; all paths in `record` are below it.
        target: its name, on the same file system; what has this name now is replaced.
        record: a dataclass of plain values and paths.
        made_from: see `MadeFrom`.

    Raises:
        OSError: disk full, or no permission.
    """
    named: dict[str, int] = {}
    whole = work.resolve()

    def relative(value: object) -> str:
        assert isinstance(value, Path), f"{type(value).__name__} in a record"
        name = value.resolve().relative_to(whole).as_posix()
        named[name] = value.stat().st_size
        return name

    values = json.loads(json.dumps(sound_value(asdict(record)), default=relative))
    text = json.dumps({"made_from": made_from, "record": values, "sizes": named})
    for path in work.rglob("*"):
        if path.is_file() and path.relative_to(work).as_posix() not in named:
            path.unlink()
    (work / RECORD).write_text(text, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    work.rename(target)


def read_folder(folder: Path, type_: TypeAdapter[T], made_from: MadeFrom) -> T | None:
    """Return the record of a finished folder, with paths as they were named: relative to the folder.

    Args:
        folder: as `finish_folder` has named it.
        type_: type of the record.
        made_from: see `MadeFrom`.

    Returns:
        None if there is no such folder, or it is damaged, or it was made from something else.
    """
    try:
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if values["made_from"] != json.loads(json.dumps(made_from)):
            return None
        if any(_inside(folder, name).stat().st_size != size for name, size in values["sizes"].items()):
            return None
        return type_.validate_python(values["record"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _inside(folder: Path, name: str) -> Path:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name} is outside of {folder}")
    return folder / path
