"""Drift of the judges: what they accept of controls in a layer's latest shards, against its first ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from curation.grounding.injections.control_claims import CONTROL_KINDS, UNTOUCHED
from curation.grounding.measurement.control_figures import wilson_interval
from curation.grounding.measurement.control_settings import ControlSettings
from curation.grounding.measurement.shard_controls import ACCEPTED, MADE
from shards.reader import artifacts
from shards.storage.store import Store

_FALSE: Final = tuple(kind for kind in CONTROL_KINDS if kind != UNTOUCHED)
_GROUPS: Final = (("errors accepted", _FALSE), ("untouched claims accepted", (UNTOUCHED,)))


def layer_drift(store: Store, folder: str, settings: ControlSettings) -> list[str]:
    """Return a line for each figure of a text layer that has drifted; reads the footers of its tables.

    Args:
        store: the DIR.
        folder: of the layer, ``text/<layer>``.
        settings: how many shards are compared, and the drift that is told.
    """
    counts = [artifact.counts for _, artifact in sorted(artifacts(store, folder).items())]
    return list(drifts(counts, settings))


def drifts(counts: Sequence[Mapping[str, float]], settings: ControlSettings) -> Iterator[str]:
    """Yield a line for each figure that has changed by more than `max_drift`, and whose 95 % intervals are apart.

    Args:
        counts: figures of the shards, in order; shards without controls are passed over.
        settings: see `layer_drift`.
    """
    measured = [each for each in counts if any(name.startswith(MADE) for name in each)]
    first, rest = measured[: settings.first_shards], measured[settings.first_shards :]
    latest = rest[-settings.first_shards :]
    for name, kinds in _GROUPS:
        (hits, total), (hits_now, total_now) = _sum(first, kinds), _sum(latest, kinds)
        if not total or not total_now:
            continue
        before, now = hits / total, hits_now / total_now
        low, high = wilson_interval(hits, total)
        low_now, high_now = wilson_interval(hits_now, total_now)
        if abs(now - before) > settings.max_drift and (high < low_now or high_now < low):
            yield (
                f"the judges have drifted: {name} {100 * before:.0f} % in the first {len(first)} measured shards, "
                f"{100 * now:.0f} % in the latest {len(latest)} (rewrite.controls.max_drift={settings.max_drift:g}); "
                "look at them with curate audit DIR --injected"
            )


def _sum(counts: Sequence[Mapping[str, float]], kinds: Sequence[str]) -> tuple[int, int]:
    accepted = sum(each.get(f"{ACCEPTED}{kind}", 0) for each in counts for kind in kinds)
    return int(accepted), int(sum(each.get(f"{MADE}{kind}", 0) for each in counts for kind in kinds))
