"""The page of runs: what became of the sources, and how fast the runs were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from curation.reporting.run_costs import PoolCosts, bytes_by_folder, cost_line, money, run_costs
from curation.view.browser.page_templates import rendered
from curation.view.browser.queries.source_outcomes import LoggedRun, PoolSpeed, logged_runs, outcomes
from curation.view.browser.viewed_dir import viewed


def runs_page(request: Request) -> Response:
    """Answer ``/runs``."""
    store, prices = viewed(request).store, viewed(request).prices
    found = outcomes(store)
    runs = [(run, [_plotted(run, pool) for pool in run.pools]) for run in logged_runs(store)]
    whole = run_costs(store)
    return rendered(
        request,
        "runs.html.jinja",
        outcomes=found,
        sources=sum(each.sources for each in found),
        runs=runs,
        whole=whole,
        sizes=bytes_by_folder(store),
        line=cost_line,
        paid=lambda costs: "" if prices is None else money(costs.money(prices), prices),
    )


@dataclass(frozen=True)
class _PlottedPool:
    """A pool with its lines in a picture of 200 by 40, and its costs."""

    pool: PoolSpeed
    share: str
    rate: str
    fastest: float
    """Its largest throughput, in units a second."""
    costs: PoolCosts | None
    counts: Sequence[tuple[str, Sequence[tuple[str, float]]]]
    """Its counts by kind (``claims``, ``status`` …); "" for those that have none."""


def _plotted(run: LoggedRun, pool: PoolSpeed) -> _PlottedPool:
    fastest = max((rate for _, rate in pool.rates), default=0.0)
    costs = next((each for each in run.costs.pools if each.pool == pool.name), None)
    share = _line(run, pool.points)
    rate = _line(run, [(seconds, rate / (fastest or 1.0)) for seconds, rate in pool.rates])
    return _PlottedPool(pool, share, rate, fastest, costs, _by_kind(pool.counts))


def _by_kind(counts: Mapping[str, float]) -> list[tuple[str, list[tuple[str, float]]]]:
    kinds: dict[str, list[tuple[str, float]]] = {"": []}
    for name, value in counts.items():
        kind, colon, rest = name.partition(":")
        if value:
            kinds.setdefault(kind if colon else "", []).append((rest if colon else name, value))
    return [(kind, found) for kind, found in kinds.items() if found]


def _line(run: LoggedRun, points: Sequence[tuple[float, float]]) -> str:
    """Return the points of a line in a picture of 200 by 40."""
    length = max(run.seconds, 0.001)
    return " ".join(f"{200 * min(seconds / length, 1):.1f},{39 - 37 * share:.1f}" for seconds, share in points)
