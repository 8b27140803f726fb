"""The page of duplicates: the clips of each group side by side, with the one that stays."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from curation.view.browser.page_templates import rendered
from curation.view.browser.queries.duplicate_groups import GROUPS, count_groups, duplicate_groups, duplicate_tables
from curation.view.browser.viewed_dir import viewed
from runtime.errors import UserError, nearest


def duplicates_page(request: Request) -> Response:
    """Answer ``/duplicates?table=NAME&page=N``.

    Raises:
        UserError: there is no such table or page.
    """
    tables = viewed(request).tables
    names = duplicate_tables(tables.store)
    name, page = request.query_params.get("table", names[0] if names else ""), request.query_params.get("page", "1")
    if name not in names and (names or name):
        raise UserError(f"table = {name!r}: there is no such table of duplicates{nearest(name, names)}")
    if not page.isdecimal() or not 1 <= int(page[:9]) <= 1_000_000:
        raise UserError(f"page = {page!r}: must be a whole number of 1 or more")
    groups = duplicate_groups(tables, name, int(page)) if names else []
    count = count_groups(tables, name) if names else 0
    return rendered(
        request,
        "duplicates.html.jinja",
        names=names,
        name=name,
        groups=groups,
        count=count,
        page=int(page),
        page_count=max(-(-count // GROUPS), 1),
    )
