"""Files of scores: checked to be writable before hours of work, written as JSON after them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.errors import UserError
from shards.storage.files import write_file


def check_writable(path: Path) -> None:
    """Make the folder of `path` and check that the file can be written; an existing file keeps its contents.

    Raises:
        UserError: the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        path.open("a").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise UserError(f"--output {path}: can't be written ({error.strerror})") from None


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON; the file is replaced at once.

    Raises:
        UserError: the file can't be written.
    """
    check_writable(path)
    write_file(path, (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())
