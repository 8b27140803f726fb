"""The trace of a run, ``DIR/log/<start>.trace.json``: one event for each stage of each shard, as Chrome's trace events.

Open it at https://ui.perfetto.dev (the file stays in the browser) or in ``chrome://tracing``. A node is a process, a
worker is a thread, with a further one for each shard that it works on at the same time; arrows lead from one stage of a
shard to the next. Events are appended as shards finish, so the trace of a run that was killed can be opened, too: both
viewers read a list without its end.

    https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU  (the format)
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from runtime.ray_runner.shard_set import ShardSet
from runtime.ray_runner.telemetry.work_span import WorkSpan

_MICROSECONDS: Final = 1e6


@dataclass(frozen=True)
class TracedSpan:
    """One stage of a shard, as a trace has it."""

    stage: str
    shard: int
    began: float
    """Seconds since the epoch."""
    seconds: float
    counts: Mapping[str, float]


class ShardTrace:
    """Writes the trace of one run; the file is made with the first event.

    Args:
        path: the file.
        run: name of the run; with the shard's number it is the id of a trace.
    """

    def __init__(self, path: Path, run: str) -> None:
        self._path = path
        self._run = run
        self._file: IO[str] | None = None
        self._nodes: dict[str, int] = {}
        self._lanes: dict[tuple[str, str], list[tuple[int, float]]] = {}
        """For each worker of each node, its lanes: the number of the thread, and the end of the last span in it."""
        self._threads = 0
        self._begun = ShardSet()
        """Shards of which an earlier stage has an event."""

    def add(self, stage: str, shard: int, span: WorkSpan, counts: Mapping[str, float]) -> None:
        """Append one stage of a shard; spans come in the order in which they end."""
        node, known = self._node(span.node)
        lane, is_new = self._lane(span)
        where = {"pid": node, "tid": lane}
        start = span.began * _MICROSECONDS
        if not known:
            self._write({"name": "process_name", "ph": "M", "pid": node, "args": {"name": span.node}})
        if is_new:
            name = f"{stage} {span.worker[:8]}"
            self._write({"name": "thread_name", "ph": "M", **where, "args": {"name": name}})
        trace = f"{self._run}/{shard}"
        facts = {"shard": shard, "trace": trace, "worker": span.worker, "node": span.node, **_rounded(counts)}
        length = span.seconds * _MICROSECONDS
        self._write({"name": stage, "cat": "shard", "ph": "X", "ts": start, "dur": length, **where, "args": facts})
        step = "s" if self._begun.add(shard) else "t"
        self._write({"name": "shard", "cat": "shard", "ph": step, "id": shard + 1, "ts": start + length / 2, **where})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _node(self, name: str) -> tuple[int, bool]:
        known = name in self._nodes
        return self._nodes.setdefault(name, len(self._nodes) + 1), known

    def _lane(self, span: WorkSpan) -> tuple[int, bool]:
        """Return the thread to draw a span in: spans of one thread must not overlap."""
        lanes = self._lanes.setdefault((span.node, span.worker), [])
        end = span.began + span.seconds
        for place, (lane, last_end) in enumerate(lanes):
            if last_end <= span.began:
                lanes[place] = (lane, end)
                return lane, False
        self._threads += 1
        lanes.append((self._threads, end))
        return self._threads, True

    def _write(self, event: Mapping[str, Any]) -> None:
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8")
            self._file.write("[\n")
        self._file.write(json.dumps(event, ensure_ascii=False) + ",\n")
        self._file.flush()


def read_trace(path: Path) -> list[TracedSpan]:
    """Return the spans of a trace in the order in which they ended; a line that is cut short is left out."""
    spans = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        with contextlib.suppress(ValueError):
            event = json.loads(line.rstrip(","))
            if event["ph"] == "X":
                counts = {name: value for name, value in event["args"].items() if isinstance(value, float | int)}
                start, length = event["ts"] / _MICROSECONDS, event["dur"] / _MICROSECONDS
                spans.append(TracedSpan(event["name"], event["args"]["shard"], start, length, counts))
    return spans


def _rounded(counts: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in counts.items()}
