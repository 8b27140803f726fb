"""The shards that a stage has to make: their artifact is missing, or one of its inputs has changed.

Pure functions over artifact records, for every stage that writes a folder of a DIR: curation's and the extraction of
features.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shards.artifact import Artifact
from shards.keys import shard_name


@dataclass(frozen=True)
class Work:
    """The shards of one stage by state, each in order."""

    done: tuple[int, ...]
    todo: tuple[int, ...]
    stale: tuple[int, ...] = ()
    """Those of `todo` whose artifact is there, but made from other settings or inputs."""


def inputs_of(made: Mapping[str, Mapping[int, Artifact]], shard: int) -> dict[str, str]:
    """Return the present digest of each artifact that an artifact of `shard` is made from.

    Args:
        made: artifacts by folder of the DIR, then by shard.
        shard: its number.
    """
    return {
        f"{folder}/{shard_name(shard)}.parquet": artifacts[shard].digest
        for folder, artifacts in made.items()
        if shard in artifacts
    }


def work_of(
    shards: Sequence[int],
    made: Mapping[int, Artifact],
    hash_: str,
    inputs: Mapping[int, Mapping[str, str]],
    redone: Collection[int] = (),
) -> Work:
    """Split `shards` into those whose artifact is up to date and those that have to be made.

    Args:
        shards: all shards of the stage, in order.
        made: artifacts of its folder, by shard.
        hash_: content hash of the present settings.
        inputs: `inputs_of` each shard.
        redone: shards whose inputs are made again in this run.
    """
    done, todo, stale = [], [], []
    for shard in shards:
        artifact = made.get(shard)
        current = artifact is not None and artifact.content_hash == hash_
        if current and shard not in redone and dict(artifact.inputs if artifact else {}) == inputs.get(shard, {}):
            done.append(shard)
            continue
        todo.append(shard)
        if artifact is not None:
            stale.append(shard)
    return Work(tuple(done), tuple(todo), tuple(stale))
