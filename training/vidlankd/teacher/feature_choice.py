"""Opens the feature set that a teacher is trained on; nothing here imports torch."""

from __future__ import annotations

from runtime.errors import UserError
from training.features.feature_store import FeatureStore
from training.vidlankd.vidlankd_settings import ClipTextSettings


def open_features(settings: ClipTextSettings) -> FeatureStore:
    """Open the feature set that the settings name, or the only one there is.

    Raises:
        UserError: there are no shards, no features or no such set, there are several and none is named, or every root
            of the set failed.
        ShardError: a DIR can't be read.
    """
    if not settings.shards:
        raise UserError("--shards: name at least one folder that `curate run` wrote")
    store = FeatureStore.open(settings.shards, settings.features or _only_set(settings.shards[0]))
    if not store.holds_rows():
        raise UserError(
            f"features {store.name!r}: no root of {', '.join(settings.shards)} has any, all failed; `train-vidlankd "
            "features` reports why: extract a new set under another --name"
        )
    return store


def _only_set(directory: str) -> str:
    """Return the name of the only feature set of a DIR."""
    names = FeatureStore.feature_sets(directory)
    if len(names) > 1:
        raise UserError(f"--shards {directory}: several feature sets ({', '.join(names)}); name one: --features")
    if not names:
        raise UserError(f"--shards {directory}: no features yet; run train-vidlankd features --shards {directory}")
    return names[0]
