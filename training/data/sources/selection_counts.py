"""The figures of the selections that training clips come from, for messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shards.reader import read_artifact
from training.data.sources.shard_tables import ShardRef


def kept_line(shards: Sequence[ShardRef]) -> str:
    """Return in brackets how many clips the selections of some DIRs keep, and why not the others; "" without figures.

    Raises:
        ShardError: a selection is unreadable.
    """
    datasets = [dataset for shard in shards for dataset in shard.datasets.values()]
    files = {one.store.path(one.selection.file): one for one in datasets if one.selection is not None}
    counts: Counter[str] = Counter()
    for one in files.values():
        assert one.selection is not None
        counts.update(read_artifact(one.store, one.selection.file).counts)
    if "clips" not in counts:
        return ""
    reasons = Counter({name.partition(":")[2]: n for name, n in counts.items() if name.startswith("dropped:")})
    left_out = ", ".join(f"{reason} {int(n)}" for reason, n in reasons.most_common())
    return f" (kept: {int(counts['kept'])} of {int(counts['clips'])} clips; left out: {left_out or 'none'})"
