"""A trace of a few training steps by torch.profiler, to see where their time goes.

The first steps of a run load libraries and compile, so they are not traced. Open the file with https://ui.perfetto.dev,
or `chrome://tracing`.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from runtime.log import get_logger
from training.engine.parallel.distributed import Ranks

FOLDER: Final = "profile"
"""Folder of the traces in that of the run."""

_SKIPPED: Final = 5
"""Steps before the traced ones; in the last of them the profiler itself warms up."""

_log = get_logger(__name__)


class StepProfiler:
    """Traces some steps of this rank; without effect if it is asked for none."""

    def __init__(self, folder: Path, steps: int, ranks: Ranks) -> None:
        """Prepare the trace.

        Args:
            folder: of the run.
            steps: how many steps to trace; 0: none.
            ranks: the process's own rank names its file.
        """
        self._path = folder / FOLDER / f"rank-{ranks.rank}.json.gz"
        self._profile: profile | None = None
        if steps:
            activities = [ProfilerActivity.CPU]
            if ranks.device.type == "cuda":
                activities.append(ProfilerActivity.CUDA)
            when = schedule(wait=_SKIPPED - 1, warmup=1, active=steps, repeat=1)
            self._profile = profile(activities=activities, schedule=when, on_trace_ready=self._write)

    def step(self) -> None:
        """Say that a training step has ended."""
        if self._profile is not None:
            self._profile.step()

    def __enter__(self) -> Self:
        if self._profile is not None:
            self._profile.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._profile is not None:
            self._profile.stop()  # writes what there is, if the run ends while it is traced
            if not self._path.exists():
                _log.warning("no step was traced: the run ended before its step %d", _SKIPPED + 1)

    def _write(self, traced: torch.profiler.profile) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        traced.export_chrome_trace(str(self._path))
        _log.warning("trace of this rank's steps: %s", self._path)
