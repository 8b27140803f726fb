"""The state that all pages share: the DIR, its layer and selection, clip tables, videos and stills, templates."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from curation.view.browser.media.root_files import RootFiles
from curation.view.browser.queries.clip_tables import ClipTables
from curation.view.inspect_clips import pick_layer
from shards.selections.marked_texts import find_selection
from shards.selections.selection import Selection
from shards.storage.store import Store


@dataclass(frozen=True)
class ViewedDir:
    """A DIR that is open for viewing."""

    store: Store
    layer: str
    selection: Selection | None
    tables: ClipTables
    roots: RootFiles

    @classmethod
    def open(cls, root: str, layer: str | None, selection: str | None) -> ViewedDir:
        """Open a DIR; tables are read in the background.

        Raises:
            UserError: no such folder or layer, or several layers and none was named.
            ShardError: no such selection.
        """
        store = Store(root)
        chosen = pick_layer(store, layer)
        marks = find_selection(store, chosen, selection)
        return cls(store, chosen, marks, ClipTables(store, chosen, marks), RootFiles(store))


def viewed(request: Request) -> ViewedDir:
    """Return the DIR that a request is about."""
    found: ViewedDir = request.app.state.viewed
    return found
