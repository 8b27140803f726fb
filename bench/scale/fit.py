"""Turns the committed measurements into the driver's costs and the measured assumptions of a prediction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.scale.__main__ import MEASUREMENTS
from bench.scale.assumptions import Assumption
from bench.scale.model import DriverCosts, Line, PowerLaw
from bench.scale.records import Measured, growth, of_code, read, total_requests
from bench.scale.stage_costs import COSTS

ALONE: Final = ("plan", "begin", "finish")
AFTER: Final = ("plan again", "status", "select", "dedup", "open for training")
_SCORES: Final = 5.5e-3
"""CPU-seconds of a second of video: motion, nsfw and blur (`python -m bench.scores`, bench/RESULTS.md)."""


def measured_assumptions(path: Path = COSTS) -> dict[str, Assumption]:
    """Return the assumptions that `bench.scale.stage_costs` measured, and the CPU time of scores."""
    costs = json.loads(path.read_text(encoding="utf-8"))
    command = f"`bench.scale.stage_costs`, {costs['videos']} real videos in 480p"
    rows = {
        "CPU-seconds of a second of media": (costs["cpu_seconds_a_second"], "s"),
        "bytes of a second of stored video": (costs["media_bytes_a_second"], "B"),
        "bytes of a keyframe": (costs["keyframe_bytes"], "B"),
        "bytes of a clip in the tables of media": (costs["clip_table_bytes_a_clip"], "B"),
    }
    found = {name: Assumption(name, value, unit, "measured here", command) for name, (value, unit) in rows.items()}
    scores = "CPU-seconds of a second of scores"
    return found | {scores: Assumption(scores, _SCORES, "s", "measured here", "`bench.scores`: motion, nsfw, blur")}


def driver_costs(code: str, path: Path = MEASUREMENTS) -> DriverCosts:
    """Return the driver's costs in one state of the code, fitted to the two largest sizes of each phase."""
    records = [record for record in read(path) if record.code == code]
    last = _of_phase(records, "run")[-1]
    return DriverCosts(
        alone_seconds={phase: _law(_of_phase(records, phase), "cpu_seconds") for phase in ALONE},
        after_seconds={phase: _law(_of_phase(records, phase), "cpu_seconds") for phase in AFTER},
        memory_mib={phase: _line(_of_phase(records, phase)) for phase in (*ALONE, "run", *AFTER)},
        requests_a_shard={kind: n / last.shards for kind, n in last.worker_requests.items() if kind != "list"},
        driver_requests=_requests(records),
    )


def _of_phase(records: Sequence[Measured], phase: str) -> list[Measured]:
    """Return the records of a phase by size."""
    named = [record for record in records if record.phase == phase]
    return sorted(of_code(named, named[0].code).values(), key=lambda record: record.sources)


def _law(records: Sequence[Measured], name: str) -> PowerLaw:
    """Return the power law through the two largest sizes; linear growth where the smaller one is too small to tell."""
    large = records[-1]
    exponent = growth(records[-2], large, name) if len(records) > 1 else None
    return PowerLaw(large.sources, max(getattr(large, name), 0.0), 1.0 if exponent is None else exponent)


def _line(records: Sequence[Measured]) -> Line:
    """Return the memory of a phase by the two largest sizes; it never shrinks."""
    large = records[-1]
    if len(records) == 1:
        return Line(large.mib, 0.0)
    slope = max((large.mib - records[-2].mib) / (large.sources - records[-2].sources), 0.0)
    return Line(large.mib - slope * large.sources, slope)


def _requests(records: Sequence[Measured]) -> PowerLaw:
    """Return the requests of a whole run, linear in the number of sources, by the largest size of each phase."""
    phases = [_of_phase(records, phase)[-1] for phase in (*ALONE, "run")]
    return PowerLaw(1.0, sum(total_requests(record.requests) / record.sources for record in phases), 1.0)
