"""The page of runs: what became of the sources, and how fast the runs were."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from curation.view.browser.page_templates import rendered
from curation.view.browser.queries.source_outcomes import LoggedRun, logged_runs, outcomes
from curation.view.browser.viewed_dir import viewed


def runs_page(request: Request) -> Response:
    """Answer ``/runs``."""
    store = viewed(request).store
    found = outcomes(store)
    runs = [(run, [(pool, _line(run, pool.points)) for pool in run.pools]) for run in logged_runs(store)]
    return rendered(request, "runs.html.jinja", outcomes=found, sources=sum(each.sources for each in found), runs=runs)


def _line(run: LoggedRun, points: Sequence[tuple[float, float]]) -> str:
    """Return the points of a line in a picture of 200 by 40."""
    length = max(run.seconds, 0.001)
    return " ".join(f"{200 * min(seconds / length, 1):.1f},{40 - 38 * share:.1f}" for seconds, share in points)
