"""The state that all pages share: the DIR, its layer and selection, clip tables, videos and stills, templates."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from curation.reporting.run_costs import RunPrices
from curation.view.browser.dir_watch import DirWatch
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
    tables: ClipTables
    roots: RootFiles
    watch: DirWatch
    """Reads shards that are new."""
    prices: RunPrices | None = None
    """Of hours and tokens; None: no money is shown."""

    @classmethod
    def open(cls, root: str, layer: str | None, selection: str | None, prices: RunPrices | None = None) -> ViewedDir:
        """Open a DIR; tables are read in the background.

        Raises:
            UserError: no such folder or layer, or several layers and none was named.
            ShardError: no such selection.
        """
        store = Store(root)
        chosen = pick_layer(store, layer)
        marks = find_selection(store, chosen, selection)
        tables, roots = ClipTables(store, chosen, marks), RootFiles(store)
        return cls(store, chosen, tables, roots, DirWatch(tables, roots, selection), prices)

    @property
    def selection(self) -> Selection | None:
        """The selection that marks the clips, as it was read last."""
        return self.tables.selection


def viewed(request: Request) -> ViewedDir:
    """Return the DIR that a request is about; what is new in it is read in the background."""
    found: ViewedDir = request.app.state.viewed
    found.watch.look()
    return found
