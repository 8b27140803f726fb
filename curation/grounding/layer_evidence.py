"""The evidence of a text layer's clips, put together again from the tables that the layer was made from.

    text/<layer>/<shard>.parquet + captions/<name>/<shard>.parquet + media/<shard>.parquet -> rows with their evidence

A layer stores only the ids of the items that a claim cites. Layers of every schema version are read; what media and
captions don't hold any more is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from curation.captions.frame_captions import FrameCaption
from curation.captions.observation import Observation, observed_between
from curation.grounding.evidence import SPAN_SECONDS, Evidence, gather_evidence
from curation.grounding.pixels.clip_pictures import ClipPictures
from curation.grounding.pixels.stored_pictures import pictures_of_shard
from curation.media.speech.transcript import Word, words_within
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.manifest import read_stage
from shards.media.observations import observations_of
from shards.reader import read_artifact, read_table
from shards.storage.store import Store
from shards.stored_rows import StoredText


@dataclass(frozen=True)
class LayerRow:
    """One clip of a layer."""

    stored: StoredText
    evidence: tuple[Evidence, ...]
    """All that was there to be cited."""


@dataclass(frozen=True)
class LayerShard:
    """Clips of one shard of a layer."""

    name: str
    """Of the text table."""
    artifact: Artifact
    rows: tuple[LayerRow, ...]


def read_layer_shard(
    store: Store, layer: str, shard: int, keys: Collection[str] | None = None, *, with_pictures: bool = False
) -> LayerShard:
    """Read clips of a shard with their evidence.

    Args:
        store: the DIR.
        layer: name of the text layer.
        shard: its number.
        keys: of the clips; None for all.
        with_pictures: let the evidence know the clips' pictures, for judges that look.

    Raises:
        ShardError: a table is unreadable.
    """
    name = f"text/{layer}/{shard_name(shard)}.parquet"
    artifact = read_artifact(store, name)
    stored = [row for row in read_table(store, name).to_pylist() if keys is None or row["key"] in keys]
    roots = {row["root_key"] for row in stored}
    observations, words = _observations(store, artifact.inputs, roots), _words(store, artifact.inputs, roots)
    seconds = _span_seconds(store, layer)
    pictures = _pictures(store, artifact.inputs, shard) if with_pictures else {}
    rows = []
    for row in stored:
        root = row["root_key"]
        evidence = _evidence(row, observations.get(root, ()), words.get(root, ()), seconds, pictures.get(row["key"]))
        rows.append(LayerRow(row, evidence))
    return LayerShard(name, artifact, tuple(rows))


def _span_seconds(store: Store, layer: str) -> float:
    """Return the length of the spans of words that the claims of a layer cite: ids of evidence depend on it."""
    mark = read_stage(store, f"text/{layer}")
    return float((mark.settings if mark else {}).get("span_seconds", SPAN_SECONDS))


def _evidence(
    row: StoredText,
    observations: Sequence[Observation],
    words: Sequence[Word],
    span_seconds: float,
    pictures: ClipPictures | None,
) -> tuple[Evidence, ...]:
    frames = [FrameCaption(frame["time"], frame["text"]) for frame in row["frame_captions"] or () if frame["text"]]
    seen = [each for each in observed_between(observations, row["start"], row["end"]) if each.kind != "frame"]
    return gather_evidence(frames, words_within(words, row["start"], row["end"]), span_seconds, seen, pictures)


def _pictures(store: Store, inputs: Mapping[str, str], shard: int) -> dict[str, ClipPictures]:
    clips = [row for name in _still_there(store, inputs, "media/") for row in read_table(store, name).to_pylist()]
    return pictures_of_shard(store, shard, clips)


def _observations(store: Store, inputs: Mapping[str, str], roots: Collection[str]) -> dict[str, list[Observation]]:
    """Return what was observed in roots, from the caption set that the layer was made from; none if it is gone."""
    found: dict[str, list[Observation]] = defaultdict(list)
    for name in _still_there(store, inputs, "captions/"):
        for row in observations_of(read_table(store, name)):
            if row["root_key"] in roots:
                found[row["root_key"]].append(Observation.from_row(row))
    return found


def _words(store: Store, inputs: Mapping[str, str], roots: Collection[str]) -> dict[str, list[Word]]:
    found: dict[str, list[Word]] = {}
    for name in _still_there(store, inputs, "media/"):
        for row in read_table(store, name, ["key", "words"]).to_pylist():
            if row["key"] in roots:
                found[row["key"]] = [Word(**word) for word in row["words"] or ()]
    return found


def _still_there(store: Store, inputs: Mapping[str, str], folder: str) -> Iterator[str]:
    return (name for name in inputs if name.startswith(folder) and store.exists(name))
