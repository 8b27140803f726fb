"""Rows of the tables of hostile inputs, and how one is tried: in a process of its own kind, measured.

A table is a module below `tests/hostile` with `ROWS`. Its rows run one after another in a helper process, which is
ended when a row hangs or takes all memory, so that the next row is tried whatever the one before did.
"""

from __future__ import annotations

import gc
import importlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Row:
    """One hostile input."""

    what: str
    """The input, in words; unique in its table."""
    act: Callable[[Path], str]
    """Makes the input in an empty folder, hands it to the program, and returns the outcome (`outcome_of`)."""
    outcome: str
    """Pattern at the start of the outcome."""
    seconds: float = 4.0
    """Most processor time, making the input included."""
    megabytes: int = 150
    """Most growth of the process's memory, making the input included."""


class Tried(NamedTuple):
    """What a row did."""

    outcome: str
    seconds: float
    megabytes: float


def outcome_of(call: Callable[[], Any]) -> str:
    """Return ``read: RESULT``, or the kind and the message of an error that the program has for bad inputs.

    Any other error is a fault of the program and is raised.
    """
    from curation.media.subtitles.cues import SubtitleError
    from curation.sources.ledger import SourceFailed
    from runtime.errors import UserError
    from shards.errors import ShardError
    from shards.media.pictures import PictureError

    try:
        return f"read: {str(call())[:2000]}"
    except SourceFailed as failed:
        outcome = f"{failed.class_}: {failed}"
    except UserError as mistake:
        outcome = f"refused: {mistake}"
    except ShardError as damage:
        outcome = f"damaged: {damage}"
    except SubtitleError as error:
        outcome = f"no subtitles: {error}"
    except PictureError as error:
        outcome = f"no picture: {error}"
    assert "\n" not in outcome and len(outcome) < 1500, outcome
    return outcome


@dataclass
class Peak:
    """The growth of this process's memory within a block, known at its end."""

    megabytes: float = 0.0


@contextmanager
def memory_peak() -> Iterator[Peak]:
    """Measure the largest growth of this process's memory within a block."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, peak = _status("VmRSS"), Peak()
    yield peak
    peak.megabytes = (_status("VmHWM") - before) / 1024


def try_row(module: str, number: int) -> Tried:
    """Try a row of a table in this process."""
    row: Row = importlib.import_module(module).ROWS[number]
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        with memory_peak() as peak:
            began = time.process_time()
            outcome = row.act(Path(folder))
            seconds = time.process_time() - began
        return Tried(outcome, seconds, peak.megabytes)


def _status(field: str) -> int:
    """Return a field of this process's status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])
