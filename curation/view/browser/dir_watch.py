"""Notices that a DIR has changed while it is viewed: new shards, another selection, new scores.

A request makes it look, at most once in `LOOK_SECONDS`, in a thread of its own: it lists the folders of the clips, and
has them read anew if a file is new, gone or rewritten. Nothing is opened while nothing changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final

from curation.view.browser.media.root_files import RootFiles
from curation.view.browser.queries.clip_tables import ClipTables
from runtime.log import get_logger
from shards.errors import ShardError
from shards.scores.score_set import FOLDER, score_sets
from shards.selections.marked_texts import find_selection
from shards.selections.selection import table_name

log = get_logger(__name__)

LOOK_SECONDS: Final = 20.0
"""Least time between two listings."""


class DirWatch:
    """Keeps the tables of a viewer up to date with its DIR; safe to use from several threads."""

    def __init__(self, tables: ClipTables, roots: RootFiles, selection: str | None) -> None:
        """Note what the DIR holds now.

        Args:
            tables: the clips to read anew.
            roots: byte ranges to forget when shards have changed.
            selection: name of the selection; None: that of the layer.
        """
        self._tables = tables
        self._roots = roots
        self._selection = selection
        self._seen = self._listing()
        self._next = time.monotonic() + LOOK_SECONDS
        self._looking = threading.Lock()

    def look(self) -> threading.Thread | None:
        """Look for changes in a thread, unless it was done a moment ago or is being done; return the thread."""
        if time.monotonic() < self._next or not self._looking.acquire(blocking=False):
            return None
        thread = threading.Thread(target=self._look, name="dir watch", daemon=True)
        thread.start()
        return thread

    def _look(self) -> None:
        try:
            found = self._listing()
            if found != self._seen:
                selection = find_selection(self._tables.store, self._tables.layer, self._selection)
                self._tables.refresh(selection)
                self._roots.forget()
                self._seen = found
        except (ShardError, OSError) as error:  # a run may be replacing a folder: the next look finds it whole
            log.warning("the DIR can't be read anew yet: %s", error)
        finally:
            self._next = time.monotonic() + LOOK_SECONDS
            self._looking.release()

    def _listing(self) -> Mapping[str, str]:
        """Return the token of each file that the clips are read from; it changes when the file is rewritten."""
        store, layer = self._tables.store, self._tables.layer
        folders = [f"text/{layer}", *(f"{FOLDER}/{name}" for name in score_sets(store))]
        found = {f"{folder}/{name}": entry.token for folder in folders for name, entry in store.list(folder).items()}
        chosen = table_name(self._selection or layer)
        folder, _, name = chosen.rpartition("/")
        entry = store.list(folder).get(name)
        return found if entry is None else found | {chosen: entry.token}
