"""Records of what was measured, as JSON lines, and what is computed from them: growth between sizes, and a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

PHASES: Final = (
    "plan", "begin", "run", "finish", "plan again", "status", "select", "dedup", "open for training",
)  # fmt: skip
"""In the order in which they are measured."""


@dataclass(frozen=True)
class Measured:
    """One phase at one size."""

    code: str
    """Name of the state of the code, such as ``before``."""
    sources: int
    shards: int
    phase: str
    wall_seconds: float
    cpu_seconds: float
    """Of the driver's process."""
    mib: float
    """Peak of the driver's resident memory during the phase, above what it had when its modules were loaded."""
    load: float
    """Load of the machine over the last minute, at the end of the phase."""
    requests: Mapping[str, int] = field(default_factory=dict)
    """Calls of the store by kind, in the driver."""
    worker_requests: Mapping[str, int] = field(default_factory=dict)
    """Calls of the store by kind, in the workers."""
    runner: str = "ray"
    """``ray``, or ``local`` for stages that ran in the driver's process: then its seconds hold those of the stages."""

    @property
    def key(self) -> tuple[str, int, str]:
        """The identity of a measurement: what has it is not measured again."""
        return self.code, self.sources, self.phase


def read(path: Path) -> list[Measured]:
    """Return the records of a file; none if there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Measured(**json.loads(line)) for line in lines]


def append(path: Path, record: Measured) -> None:
    """Add one record to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def of_code(records: Iterable[Measured], code: str) -> dict[tuple[str, int], Measured]:
    """Return the records of one state of the code by phase and size; the last one of each counts."""
    return {(record.phase, record.sources): record for record in records if record.code == code}


def growth(small: Measured, large: Measured, name: str = "cpu_seconds") -> float | None:
    """Return the exponent e of cost = a * sources^e between two sizes.

    None if a cost is too small to tell, or for runs of which one was on Ray and the other was not.
    """
    low, high = getattr(small, name), getattr(large, name)
    if low < 0.05 or high < 0.05 or (small.phase == "run" and small.runner != large.runner):
        return None
    return math.log(high / low) / math.log(large.sources / small.sources)


def table(records: Sequence[Measured], code: str) -> str:
    """Return a Markdown table: a row a phase and size, with growth from the size before."""
    found = of_code(records, code)
    lines = [
        "| phase | sources | shards | s | CPU-s | growth of CPU-s | MiB | requests of the driver | of the workers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for phase in PHASES:
        before: Measured | None = None
        for size in sorted(size for name, size in found if name == phase):
            one = found[phase, size]
            lines.append(_row(one, None if before is None else growth(before, one)))
            before = one
    return "\n".join(lines)


def _row(one: Measured, exponent: float | None) -> str:
    where = " (no Ray)" if one.runner == "local" and one.phase == "run" else ""
    cells = [
        f"{one.phase}{where}",
        f"{one.sources:,}",
        f"{one.shards:,}",
        f"{one.wall_seconds:.2f}",
        f"{one.cpu_seconds:.2f}",
        "" if exponent is None else f"n^{exponent:.2f}",
        f"{one.mib:.0f}",
        f"{total_requests(one.requests):,}",
        f"{total_requests(one.worker_requests):,}" if one.worker_requests else "",
    ]
    return f"| {' | '.join(cells)} |"


def total_requests(requests: Mapping[str, int]) -> int:
    """Return how many requests an object store would count: a listing is one for each of its pages."""
    return sum(count for name, count in requests.items() if name != "list")
