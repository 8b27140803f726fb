"""A selection, ``selections/<name>.parquet``: for every clip of all shards whether to keep it, why not, and its split.

Curation's stage `select` writes it. Readers of a text layer take the marks from here (`shards.selections.marked_texts`)
one shard at a time, so that memory does not grow with the number of clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.artifact import Artifact
from shards.errors import ShardError, one_line
from shards.reader import read_artifact, read_note
from shards.schema import SELECTION
from shards.selections.selection_footer import selection_footer
from shards.storage.store import Store

FOLDER: Final = "selections"
STAGE: Final = "select"
"""Stage in the artifact record of a selection; the tables of other stages may be in the same folder."""
RECIPE: Final = "recipe"
"""Key of the note in the footer of a selection that `curate select` made: the recipe that repeats it, as YAML."""
MARKS: Final = ("keep", "filter_reason", "split")
"""The columns by which a selection chooses clips."""


def selections(store: Store) -> list[str]:
    """Return the names of the selections of a DIR, sorted; tables of other stages are left out."""
    names = sorted(PurePosixPath(name).stem for name in store.list(FOLDER) if name.endswith(".parquet"))
    return [name for name in names if _stage_of(store, name) == STAGE]


def recipe_of(store: Store, name: str) -> str | None:
    """Return the recipe of a selection as YAML; None for one that a run made.

    Raises:
        ShardError: its table is unreadable.
        FileNotFoundError: there is no such selection.
    """
    return read_note(store, table_name(name), RECIPE)


def shards_of(artifact: Artifact) -> frozenset[int]:
    """Return the shards whose texts a selection was made from."""
    paths = map(PurePosixPath, artifact.inputs)
    return frozenset(int(path.stem) for path in paths if path.parts[0] == "text" and path.stem.isdecimal())


def table_name(name: str) -> str:
    """Return the name of a selection's table in the DIR."""
    return f"{FOLDER}/{name}.parquet"


@dataclass(frozen=True)
class Selection:
    """One selection of a DIR, open for reading; can be pickled into worker processes."""

    store: Store
    name: str
    digest: str
    """Digest of its rows: another choice of clips has another digest."""
    shards: frozenset[int]
    """Shards whose clips it has marked."""

    @classmethod
    def open(cls, store: Store, name: str) -> Selection:
        """Open a selection; no row is read.

        Raises:
            ShardError: its table is unreadable, or is that of another stage.
            FileNotFoundError: there is no such table.
        """
        artifact = read_artifact(store, table_name(name))
        if artifact.stage != STAGE:
            raise ShardError(f"{table_name(name)}: is a table of the stage {artifact.stage}, not a selection")
        return cls(store, name, artifact.digest, shards_of(artifact))

    @property
    def file(self) -> str:
        """Name of its table in the DIR."""
        return table_name(self.name)

    @property
    def remedy(self) -> str:
        """The remedy for a selection that lacks clips or shards, for messages."""
        return f"bring it up to date with `curate run PIPELINE --output {self.store.root} --stages {STAGE}`"

    def rows(self, shard: int) -> pa.Table:
        """Return the rows of a shard (`shards.schema.SELECTION`); raises as `rows_of`."""
        (table,) = self.rows_of([shard])
        return table

    def rows_of(self, shards: Iterable[int]) -> Iterator[pa.Table]:
        """Yield the rows of each shard; of shards in order, each part of the table is read once.

        Raises:
            ShardError: its table is unreadable, or was made again since it was opened.
            FileNotFoundError: its table is gone.
        """
        with self.store.open(self.file) as opened:
            try:
                footer = selection_footer(self.store, self.file)
                if footer.digest != self.digest:
                    raise ShardError(f"{self.file}: was made again while it was read; start this command again")
                if missing := [name for name in SELECTION.names if name not in footer.columns]:
                    raise ShardError(f"{self.file}: lacks the column {missing[0]!r}; {self.remedy}")
                file = pq.ParquetFile(opened, metadata=footer.metadata)
                held: dict[int, pa.Table] = {}
                for shard in shards:
                    held = {
                        group: held[group] if group in held else _group(file, group) for group in footer.groups(shard)
                    }
                    table = pa.concat_tables(held.values()) if held else SELECTION.empty_table()
                    yield table.filter(pc.equal(table["shard"], shard))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise ShardError(f"{self.file}: not a readable Parquet file ({one_line(error)})") from None


def _stage_of(store: Store, name: str) -> str | None:
    try:
        return read_artifact(store, table_name(name)).stage
    except (FileNotFoundError, ShardError):
        return None


def _group(file: pq.ParquetFile, group: int) -> pa.Table:
    return file.read_row_group(group, columns=SELECTION.names, use_threads=False)
