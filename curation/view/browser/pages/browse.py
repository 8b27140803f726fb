"""The browse page: clips as a grid of stills, with filters, counts and histograms."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from curation.view.browser.page_templates import rendered
from curation.view.browser.queries.clip_filters import KEEPS, SORTS, ClipFilters
from curation.view.browser.queries.clip_pages import PAGE, choices, histograms, page_of_clips, totals
from curation.view.browser.viewed_dir import viewed
from shards.schema import LEVELS, REWRITE_STATUSES


def browse_page(request: Request) -> Response:
    """Answer ``/browse`` with the filters that the address states.

    Raises:
        UserError: a filter has a value that can't be.
    """
    tables = viewed(request).tables
    filters = ClipFilters.read(request.query_params.multi_items())
    all_ = totals(tables, filters)
    pages = max(-(-all_.clips // PAGE), 1)
    return rendered(
        request,
        "browse.html.jinja",
        filters=filters,
        clips=page_of_clips(tables, filters),
        totals=all_,
        page_count=pages,
        first=(filters.page - 1) * PAGE,
        histograms=histograms(tables, filters),
        choices=choices(tables),
        levels=LEVELS,
        statuses=REWRITE_STATUSES,
        keeps=KEEPS,
        sorts=SORTS,
        columns=tables.ranges,
    )
