"""The tables of a DIR that a card describes for programs: texts, selection, videos and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from curation.view.card.card_facts import CardFacts
from curation.view.card.output.hub_head import DataConfig, DataSplit
from shards.errors import ShardError, one_line
from shards.selections.selection import table_name
from shards.storage.store import Store

SPLIT: Final = "full"
"""Split of all tables: rows of training and of validation are in the same files, told apart by the column `split`."""


@dataclass(frozen=True)
class PublishedTable:
    """Parquet files of one schema."""

    name: str
    """Letters, digits, ``_`` and ``-``."""
    description: str
    path: str
    """Path or glob, relative to the DIR."""
    schema: pa.Schema
    is_file: bool = False
    """True for one file over all shards, False for one file a shard."""


def published_tables(store: Store, facts: CardFacts) -> list[PublishedTable]:
    """Return the tables of the layer of a card that there are, the texts first.

    Raises:
        ShardError: a table is unreadable.
    """
    layer, selection = facts.layer, facts.selection
    wanted = [("clips", f"Texts of the layer {layer}: one row a clip.", f"text/{layer}")]
    wanted += [("videos", "What is known of the video of each root clip: one row a root.", "videos")]
    wanted += [
        (f"scores_{each.name}", f"Scores {each.name}: one row a clip.", f"scores/{each.name}") for each in facts.scores
    ]
    found = [table for name, text, folder in wanted if (table := _of_folder(store, name, text, folder)) is not None]
    if selection is not None:
        file = table_name(selection)
        text = f"Selection {selection}: which clips are kept, why not, and their split; one row a clip."
        found.insert(1, PublishedTable("selection", text, file, _schema(store, file), is_file=True))
    return found


def configs_of(tables: Sequence[PublishedTable]) -> list[DataConfig]:
    """Return tables as what the hub's loader opens; the first is the default."""
    return [
        DataConfig(table.name, [DataSplit(SPLIT, table.path)], is_default=place == 0)
        for place, table in enumerate(tables)
    ]


def _of_folder(store: Store, name: str, description: str, folder: str) -> PublishedTable | None:
    names = sorted(file for file in store.list(folder) if file.endswith(".parquet"))
    if not names:
        return None
    return PublishedTable(name, description, f"{folder}/*.parquet", _schema(store, f"{folder}/{names[0]}"))


def _schema(store: Store, name: str) -> pa.Schema:
    try:
        with store.open(name) as file:
            return pq.read_schema(file).remove_metadata()
    except pa.ArrowException as error:
        raise ShardError(f"{name}: not a readable Parquet file ({one_line(error)})") from None
