"""The metrics of a run: losses, speed, share of time that is spent waiting for data, skipped rows.

The loop adds each step to a `ThroughputMeter`. Every few steps it takes a `Reading`, prints its `text` and passes its
`record` to a `MetricsWriter`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch.utils.tensorboard.writer import SummaryWriter

from shards.storage.files import write_file
from training.engine.checkpoints.run_folder import METRICS
from training.engine.metrics.tracker import Tracker
from training.engine.training_task import StepReport

_PEAKS: Final[tuple[tuple[str, float], ...]] = (
    ("B200", 2250e12),
    ("H200 NVL", 835e12),
    ("H200", 989e12),
    ("GH200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("H800", 989e12),
    ("A100", 312e12),
    ("A800", 312e12),
    ("A10", 125e12),
    ("A30", 165e12),
    ("A40", 149.7e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("L4", 121e12),
    ("RTX 4090", 165.2e12),
    ("RTX 3090", 71e12),
    ("V100 PCIe", 112e12),
    ("V100", 125e12),
    ("T4", 65e12),
)
"""Dense tensor-core peaks in bfloat16 (float16 for GPUs without it) with float32 sums, from the makers' data sheets.
The first name that is part of the device's name counts."""


def peak_flops(device: torch.device) -> tuple[float | None, str]:
    """Return the peak floating point operations per second of `device`, and the source of the number.

    Returns:
        The dense bfloat16 peak of a GPU in the table, with its name there; None and the reason for any other device.
    """
    if device.type != "cuda":
        return None, f"unknown for {device.type}"
    return _peak_by_name(torch.cuda.get_device_name(device))


@dataclass(frozen=True)
class StepMetrics:
    """The measurements of one training step."""

    report: StepReport | None
    """Losses and facts, equal on all ranks; None: the step was left out, because they were not finite."""
    used: int
    """Rows of the global batch that were used."""
    seconds: float
    """Wall time from the end of the step before to the end of this one."""
    wait_seconds: float
    """The part of `seconds` that this rank waited for data."""
    flops: float
    """Floating point operations of this rank's model, recomputation not counted."""
    learning_rate: float
    gradient_norm: float
    """Before clipping; NaN if the step was left out."""
    skips: Mapping[str, int] = field(default_factory=dict)
    """Rows that could not be used, by reason."""


@dataclass(frozen=True)
class Reading:
    """Means over the steps since the previous reading; counts of skips since the start of the process."""

    step: int
    """Training steps done."""
    steps: int
    """Steps that the means are over."""
    losses: Mapping[str, float]
    facts: Mapping[str, float]
    learning_rate: float
    """Learning rate of the last step."""
    gradient_norm: float
    unit: str
    """Unit of a batch's rows: ``clips`` or ``blocks``."""
    per_second: float
    """Rows per second, over all ranks."""
    seconds_per_step: float
    wait_share: float
    """Share of the time that this rank waited for data, 0 to 1."""
    tflops: float
    """Achieved tera floating point operations per second of this rank."""
    mfu: float | None
    """`tflops` over the device's peak, 0 to 1; None if the peak is unknown."""
    skips: Mapping[str, int]
    not_finite: int = 0
    """Steps since the start of the process that were left out because a loss or gradient was not finite."""

    def record(self) -> dict[str, float]:
        """Return the numbers under flat names, such as ``loss/caption``, ``skips/corrupt``, ``clips_per_second``."""
        values = {f"loss/{name}": value for name, value in self.losses.items()}
        values |= {
            "learning_rate": self.learning_rate,
            "gradient_norm": self.gradient_norm,
            f"{self.unit}_per_second": self.per_second,
            "seconds_per_step": self.seconds_per_step,
            "wait_share": self.wait_share,
            "tflops": self.tflops,
        }
        if self.mfu is not None:
            values["mfu"] = self.mfu
        if self.not_finite:
            values["steps_not_finite"] = float(self.not_finite)
        return values | dict(self.facts) | {f"skips/{reason}": float(n) for reason, n in self.skips.items()}

    def text(self) -> str:
        """Return the log line; facts with a "/" in their name are only in the record."""
        speed = f"{self.tflops:.3g} TFLOP/s" if self.mfu is None else f"MFU {self.mfu:.1%}"
        skipped = ", ".join(f"{reason} {n}" for reason, n in sorted(self.skips.items())) or "none"
        losses = " ".join(f"{name} {value:.4f}" for name, value in self.losses.items())
        parts = [
            f"step {self.step}",
            f"loss {losses or 'not finite'}",
            f"{self.per_second:.4g} {self.unit}/s",
            speed,
            f"data wait {self.wait_share:.0%}",
            f"lr {self.learning_rate:.3g}",
            f"grad {self.gradient_norm:.3g}",
            *(f"{name} {value:.4g}" for name, value in self.facts.items() if "/" not in name),
            f"skipped {skipped}",
            *([f"steps not finite {self.not_finite}"] if self.not_finite else []),
        ]
        return " · ".join(parts)


class ThroughputMeter:
    """Collects steps and averages them."""

    def __init__(self, peak: float | None, unit: str = "clips") -> None:
        """Start without steps.

        Args:
            peak: peak floating point operations per second of the device; None if it is unknown.
            unit: unit of a batch's rows.
        """
        self._peak = peak
        self._unit = unit
        self._steps: list[StepMetrics] = []
        self._skips: Counter[str] = Counter()
        self._not_finite = 0

    def add(self, step: StepMetrics) -> None:
        """Add one step."""
        self._steps.append(step)
        self._skips.update(step.skips)
        self._not_finite += step.report is None

    def read(self, step: int) -> Reading:
        """Return the means over the steps since the last reading, of which there must be at least one.

        Args:
            step: training steps done so far, those before the resume included.
        """
        steps, self._steps = self._steps, []
        assert steps, "nothing was added since the last reading"
        seconds = max(sum(s.seconds for s in steps), 1e-9)
        rate = sum(s.flops for s in steps) / seconds
        taken = [s for s in steps if s.report is not None]
        reports = [s.report for s in taken if s.report is not None]
        return Reading(
            step=step,
            steps=len(steps),
            losses=_means([report.losses for report in reports]),
            facts=_means([report.facts for report in reports]),
            learning_rate=steps[-1].learning_rate,
            gradient_norm=_mean([s.gradient_norm for s in taken]) if taken else math.nan,
            unit=self._unit,
            per_second=sum(s.used for s in steps) / seconds,
            seconds_per_step=seconds / len(steps),
            wait_share=sum(s.wait_seconds for s in steps) / seconds,
            tflops=rate / 1e12,
            mfu=None if self._peak is None else rate / self._peak,
            skips=dict(self._skips),
            not_finite=self._not_finite,
        )


class MetricsWriter:
    """Writes a run's metrics as JSON lines, as TensorBoard events, and to a tracker if there is one.

    Use it as a context, or call `close`.
    """

    def __init__(
        self, folder: Path, resume_step: int = 0, enabled: bool = True, tracker: Tracker | None = None
    ) -> None:
        """Open the files; lines that an earlier process wrote for steps after `resume_step` are removed.

        Args:
            folder: the run's folder, for `metrics.jsonl` and the event files.
            resume_step: steps done when this process starts; 0 for a new run.
            enabled: False on all ranks but the main one: nothing is opened or written.
            tracker: service that gets the same values; closed with the files.
        """
        self._tracker = tracker
        self._path = folder / METRICS
        self._events = None
        if enabled:
            folder.mkdir(parents=True, exist_ok=True)
            _cut_after(self._path, resume_step)
            self._lines = self._path.open("a", encoding="utf-8")
            self._events = SummaryWriter(str(folder), purge_step=resume_step + 1)

    def write(self, step: int, values: Mapping[str, float], kind: str = "train") -> None:
        """Add one line ``{"step": …, "kind": …, name: value, …}`` and one event for each value, named ``kind/name``.

        A number that is not finite is null in JSON.
        """
        if self._events is None:
            return
        plain = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._lines.write(json.dumps({"step": step, "kind": kind, **plain}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{kind}/{name}", value, step)
        if self._tracker is not None:
            self._tracker.write(step, values, kind)

    def close(self) -> None:
        """Flush and close the files, and the tracker."""
        if self._events is not None:
            self._lines.close()
            self._events.close()
            self._events = None
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def is_recorded(folder: Path, step: int, kind: str) -> bool:
    """Return True if the metrics in `folder` have a line of this step and kind."""
    path = folder / METRICS
    if not path.exists():
        return False
    lines = path.read_text(encoding="utf-8").splitlines()
    return any(_step_of(line) == step and json.loads(line).get("kind") == kind for line in lines)


def _peak_by_name(device_name: str) -> tuple[float | None, str]:
    words = f" {device_name.replace('-', ' ')} "
    for name, peak in _PEAKS:
        if f" {name.lower()} " in words.lower():
            return peak, f"{peak / 1e12:g} TFLOP/s, the dense bfloat16 peak of {name}"
    return None, f"unknown for {device_name}"


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean by name, over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _mean([row[name] for row in rows if name in row]) for name in names}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _cut_after(path: Path, step: int) -> None:
    """Keep only whole lines up to `step` in the file; it is replaced at once or not at all."""
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
    write_file(path, "".join(line + "\n" for line in kept).encode())


def _step_of(line: str) -> float:
    """Return the step of a line; infinity for a line that a crash cut short."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf
