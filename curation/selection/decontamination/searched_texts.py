"""The texts of clips that may hold a caption of a benchmark: of the text layers, and of their videos' pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from curation.selection.deduplication.clip_list import ClipList
from shards.keys import shard_name
from shards.media.video_facts import read_videos
from shards.reader import read_table
from shards.storage.store import Store

_COLUMNS: Final = ("grounded_text", "caption", "subtitle")
_PAGE: Final = ("video_title", "video_description")


def clip_texts(store: Store, clips: ClipList, layers: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield number of the clip, name of the text, and text, shard after shard; texts of a video count for its roots.

    Raises:
        ShardError: a table is unreadable.
    """
    for place, shard in enumerate(clips.shards):
        low, high = int(clips.first[place]), int(clips.first[place + 1])
        keys = clips.table["key"].slice(low, high - low).to_pylist()
        numbers = dict(zip(keys, range(low, high), strict=True))
        for layer in layers:
            name = f"text/{layer}/{shard_name(shard)}.parquet"
            if store.exists(name):
                for row in read_table(store, name, ["key", *_COLUMNS]).to_pylist():
                    yield from _texts(numbers.get(row["key"]), {column: row[column] for column in _COLUMNS})
        for row in read_videos(store, shard).to_pylist():
            page = {column: row[column] for column in _PAGE} | _carried(row["carried"])
            yield from _texts(numbers.get(row["root_key"]), page)


def _texts(number: int | None, texts: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    if number is not None:
        yield from ((number, name, text) for name, text in texts.items() if isinstance(text, str) and text)


def _carried(text: str | None) -> dict[str, Any]:
    """Return the texts that the manifest carried along."""
    try:
        values = json.loads(text) if text else {}
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
