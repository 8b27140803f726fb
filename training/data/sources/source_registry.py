"""The kinds of sources that `data.source` can name. A new kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from training.data.clip_source import ClipSource
from training.data.data_settings import DataSettings, SourceName, Split
from training.data.sources.shard_source import ShardSource, Terms
from training.data.sources.webdataset_source import WebdatasetSource

SOURCES: Final[Mapping[SourceName, Callable[[DataSettings, Terms, int, Split, int], ClipSource]]] = {
    "shards": ShardSource,
    "webdataset": WebdatasetSource,
}
"""A constructor by name; its arguments are those of `open_clip_source`."""


def open_clip_source(
    settings: DataSettings, terms: Terms, seed: int, split: Split = "train", roots_a_batch: int = 1
) -> ClipSource:
    """Open the shards that the settings name, with the kind of source that they name.

    Args:
        settings: of the data.
        terms: text columns by term of the loss.
        seed: seed of the run.
        split: `train` or `val`.
        roots_a_batch: roots in a global batch; the order is such that a batch holds many different videos.

    Raises:
        UserError: a setting does not fit the data; the message says which.
        ShardError: the data can't be read.
    """
    return SOURCES[settings.source](settings, terms, seed, split, roots_a_batch)
