"""The command that shows what an export holds, by its format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from curation.reporting.next_command import relative_to_here

_FILES: Final = {"webdataset": "*.tar", "jsonl": "*.jsonl", "hf": "data/*.parquet", "lance": "*.lance"}
"""The files of an export to look into, by its format."""


def look_command(output: str, format_: str) -> list[str] | None:
    """Return the words of a command that shows what is in an export; None if it holds no sample.

    Args:
        output: the folder that was written, as the user named it.
        format_: one of the formats of `curate export`.
    """
    found = sorted(Path(output).glob(_FILES[format_]))
    if not found:
        return None
    file = str(found[0])
    if format_ in ("webdataset", "jsonl"):
        return ["tar", "-tf", file] if format_ == "webdataset" else ["head", "-n", "1", file]
    if format_ == "lance":
        return [_python(), "-c", f"import lance; print(lance.dataset({file!r}).schema)"]
    query = "describe from '" + file.replace("'", "''") + "'"
    return [_python(), "-c", f"import duckdb; duckdb.sql({query!r}).show(max_rows=200)"]


def _python() -> str:
    """Return the path of this interpreter, which has the libraries."""
    return relative_to_here(Path(sys.executable))
