"""The benchmarks that the data of a run was cleaned of, for the record of the trained model."""

from __future__ import annotations

from shards.selections.clean_of import clean_benchmarks
from training.data.data_settings import DataSettings
from training.data.sources.shard_tables import open_shards


def clean_of(settings: DataSettings) -> frozenset[str] | None:
    """Return the benchmarks that every selection of the training data was cleaned of; None if that is unknown.

    It is unknown for tars of other tools, and for layers without a selection.

    Raises:
        UserError: as `training.data.sources.shard_tables.open_shards`.
        ShardError: the same.
    """
    if settings.source != "shards":
        return None
    shards = open_shards(settings.shards, settings.layers, settings.selection).shards
    datasets = {(dataset.store.root, dataset.layer): dataset for one in shards for dataset in one.datasets.values()}
    found = [
        None if one.selection is None else clean_benchmarks(one.store, one.selection.name) for one in datasets.values()
    ]
    known = [one for one in found if one is not None]
    return frozenset.intersection(*known) if known and len(known) == len(found) else None
