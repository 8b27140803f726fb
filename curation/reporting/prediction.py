"""The prediction of what a run will take, as `curate plan --probe` makes it and `curate status` compares it.

curate plan --probe -> cache (or DIR/log/prediction.json) -> the next run -> DIR/log/prediction.json -> curate status
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from curation.reporting.run_costs import RunPrices, run_costs
from curation.reporting.run_logs import LOG
from runtime.models.model_uri import cache_folder
from runtime.settings import content_hash
from shards.manifest import MANIFEST
from shards.reader import media_shards
from shards.storage.store import Store

PREDICTION: Final = f"{LOG}/prediction.json"


@dataclass(frozen=True)
class Estimate:
    """One figure of a prediction."""

    value: float
    """By the mean of the probe's shards."""
    low: float
    """If every shard were like the probe's cheapest one."""
    high: float
    """If every shard were like the probe's dearest one."""

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate times a factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.value + other.value, self.low + other.low, self.high + other.high)

    @classmethod
    def total(cls, estimates: Iterable[Estimate]) -> Estimate:
        """Return the sum of estimates; 0 for none."""
        return sum(estimates, cls(0.0, 0.0, 0.0))


@dataclass(frozen=True)
class PredictedFigures:
    """What all waiting sources will take."""

    hours: Estimate
    """Wall time, the start of Ray and of the engines included."""
    cpu_hours: Estimate
    """Hours for which workers are held, times the CPUs that each reserves."""
    gpu_hours: Estimate
    gigabytes: Estimate
    """10^9 bytes stored."""
    prompt_tokens: Estimate
    completion_tokens: Estimate
    requests: Estimate
    """Requests to sites."""
    gigabytes_in: Estimate
    """10^9 bytes received from sites."""

    def money(self, prices: RunPrices) -> Estimate:
        """Return what the run costs at some prices, without storage."""
        return Estimate.total(getattr(self, name).scaled(price) for name, price in prices.by_figure().items())


@dataclass(frozen=True)
class Prediction:
    """The prediction of a run, and what it was made for."""

    made: str
    """ISO time, UTC."""
    pipeline: str
    nodes: int
    """Machines like that of the probe."""
    probe_shards: int
    sources: int
    """Sources that were waiting."""
    shards: int
    """Shards of media that they fill."""
    video_hours: float | None
    bottleneck: str
    """What limits the pace."""
    figures: PredictedFigures
    shards_before: int = 0
    """Shards of media that the DIR held."""
    bytes_before: int = 0
    """Bytes that the DIR held."""

    @property
    def since(self) -> datetime:
        """Time at which it was made."""
        return datetime.fromisoformat(self.made)

    def to_json(self) -> bytes:
        """Return it as a file."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def of_json(cls, data: bytes) -> Prediction | None:
        """Read a file; None if it is not one of this version."""
        try:
            read: dict[str, Any] = json.loads(data)
            figures = {name: Estimate(**read["figures"][name]) for name in (f.name for f in fields(PredictedFigures))}
            return cls(**{**read, "figures": PredictedFigures(**figures)})
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True)
class ActualFigures:
    """What the runs since a prediction have taken."""

    shards: int
    """Shards of media made since."""
    runs: int
    figures: Mapping[str, float | None]
    """By the names of `PredictedFigures`; None: the logs don't state it."""


def now() -> str:
    """Return the present time as `Prediction.made` has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def keep_prediction(store: Store, prediction: Prediction) -> None:
    """Keep a prediction in the DIR; if no run has made the DIR yet, in the cache until one does."""
    if store.exists(MANIFEST):
        store.commit_bytes(prediction.to_json(), PREDICTION)
        return
    path = _waiting(store)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(prediction.to_json())


def adopt_prediction(store: Store) -> None:
    """Move a prediction that was made before the DIR into it; the caller holds the lock."""
    path = _waiting(store)
    if path.exists():
        store.commit_bytes(path.read_bytes(), PREDICTION)
        path.unlink(missing_ok=True)


def read_prediction(store: Store) -> Prediction | None:
    """Return the prediction in a DIR; None if there is none."""
    return Prediction.of_json(store.read_bytes(PREDICTION)) if store.exists(PREDICTION) else None


def outcome(store: Store, prediction: Prediction, stored: int) -> ActualFigures:
    """Return what the runs of a DIR have taken since a prediction.

    Args:
        store: the DIR.
        prediction: made before the runs.
        stored: bytes that the DIR holds now.
    """
    costs = run_costs(store, prediction.since)
    figures = costs.figures | {"gigabytes": max(stored - prediction.bytes_before, 0) / 1e9}
    return ActualFigures(max(len(media_shards(store)) - prediction.shards_before, 0), costs.runs, figures)


def _waiting(store: Store) -> Path:
    return cache_folder() / "predictions" / f"{content_hash(store.root)}.json"
