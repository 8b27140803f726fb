"""`curate check`: compare a DIR with the contract, down to every byte and every row.

The committed state is checked. Tars and a ledger without their commit mark (a run was interrupted there) are no
problem: readers do not see them and the next run writes them again. Every reference is followed: rows to bytes,
captions to keyframes, texts to clips, the ledger to sources, artifacts to their inputs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact
from shards.checks.check_clips import clip_problems
from shards.checks.check_features import feature_problems
from shards.checks.check_media import decode_problems, file_problems, keyframe_times, root_problems, still_problems
from shards.checks.check_removal import removal_problems
from shards.checks.check_rows import caption_problems, keyframe_problems, ledger_problems, text_problems
from shards.checks.check_scores import are_scores, score_problems
from shards.checks.check_selections import selection_problems
from shards.checks.dir_survey import (
    MOST_PER_FILE,
    DirSurvey,
    Problem,
    digest_problems,
    first_lines,
    folder_of,
    input_problems,
    survey,
    without_name,
)
from shards.errors import ShardError
from shards.index import INDEX_NAME, index_row
from shards.keys import shard_name
from shards.media.observations import observations_of
from shards.reader import read_artifact, read_table
from shards.schema import READ_VERSIONS
from shards.storage.store import Store
from shards.stored_rows import IndexRow, StoredClip
from shards.writer import media_digest, schema_of


@dataclass
class _CheckedShard:
    """The result of checking one shard."""

    number: int
    problems: list[Problem] = field(default_factory=list)
    keys: pa.Array | None = None
    """Keys of its clips; None if they can't be read."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of each of its artifacts, by name."""
    index: IndexRow | None = None
    """The row that the index should have; None if it can't be computed."""

    def add(self, where: str, lines: Iterable[str]) -> None:
        """Add problems of one file, the first of many."""
        self.problems += [Problem(where, what) for what in first_lines(lines)]


@dataclass(frozen=True)
class _MediaFacts:
    """The media of a shard, with which its layers are compared."""

    clips: Sequence[StoredClip]
    roots: Mapping[str, StoredClip]
    """Root clips by key."""
    keyframes: Mapping[str, set[int]]
    """Times (ms) of the keyframes by root."""
    digest: str
    """Digest of the media artifact."""


def check(
    store: Store,
    *,
    decode: bool = True,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
    selection: str | None = None,
) -> list[Problem]:
    """Check a whole DIR.

    Args:
        store: the DIR.
        decode: also decode every frame of every root and every still; without it only sizes, hashes, rows and trees
            are checked.
        progress: called with (shards done, shards in all).
        threads: shards checked and roots decoded at a time; the machine's cores without it.
        selection: name of the only selection to check; None: all.

    Returns:
        The problems, file by file; empty if the DIR is intact. Of one file at most twenty problems are listed.
    """
    folder, problems = survey(store)
    shards = folder.shards("media")
    threads = threads or os.cpu_count() or 2
    results: list[_CheckedShard] = []
    with ThreadPoolExecutor(threads) as workers, ThreadPoolExecutor(threads) as decoders:
        for result in workers.map(lambda shard: _check_shard(folder, shard, decoders if decode else None), shards):
            results.append(result)
            if progress is not None:
                progress(len(results), len(shards))
    for result in results:
        problems += result.problems
    problems += _repeated_keys(results)
    keys = {shard.number: shard.keys for shard in results if shard.keys is not None}
    digests = {name: digest for shard in results for name, digest in shard.digests.items()}
    problems += selection_problems(folder, keys, digests, selection)
    problems += _index_problems(store, results)
    problems += _layers_without_media(folder, set(shards))
    problems += removal_problems(store)
    return problems


def _check_shard(folder: DirSurvey, number: int, decoders: ThreadPoolExecutor | None) -> _CheckedShard:
    shard, store = _CheckedShard(number), folder.store
    stem = shard_name(number)
    name, tar, stills = f"media/{stem}.parquet", f"media/{stem}.tar", f"keyframes/{stem}.tar"
    table, artifact = _read(folder, name, shard)
    if table is None or artifact is None:
        return shard
    _check_media_record(folder, shard, table, artifact)
    shard.keys = table["key"].combine_chunks()
    clips: list[StoredClip] = table.to_pylist()
    roots = {row["key"]: row for row in clips if row["parent_key"] is None}
    shard.add(name, clip_problems(clips, number, folder.sources.get(number, ())))
    shard.add(tar, root_problems(store, tar, roots))
    times, wrong = keyframe_times(store, stills)
    shard.add(stills, [*wrong, *keyframe_problems(roots, times)])
    if decoders is not None:
        shard.add(tar, decode_problems(store, tar, roots, decoders))
        shard.add(stills, still_problems(store, stills))
    _check_ledger(folder, shard, clips)
    _check_videos(folder, shard, roots)
    _check_layers(folder, shard, _MediaFacts(clips, roots, times, artifact.digest))
    return shard


def _check_media_record(folder: DirSurvey, shard: _CheckedShard, table: pa.Table, artifact: Artifact) -> None:
    """Compare the record in the footer of a shard's clips with the rows and with the tars that it names."""
    stem = shard_name(shard.number)
    name = f"media/{stem}.parquet"
    if media_digest(table, artifact.files) != artifact.digest:
        shard.add(name, ["its rows have changed since it was committed (digest differs)"])
    for where, what in file_problems(folder.store, artifact.files, folder.files):
        shard.add(where, [what])
    if set(artifact.files) != {f"media/{stem}.tar", f"keyframes/{stem}.tar"}:
        shard.add(name, [f"names the files {sorted(artifact.files)} instead of its two tars"])
    else:
        shard.index = index_row(shard.number, table, artifact)


def _check_ledger(folder: DirSurvey, shard: _CheckedShard, clips: Sequence[StoredClip]) -> None:
    name = f"ledger/{shard_name(shard.number)}.parquet"
    if name not in folder.files:
        shard.add(name, ["is missing"])
        return
    table, artifact = _read(folder, name, shard)
    if table is None or artifact is None:
        return
    shard.add(name, digest_problems(table, artifact))
    shard.add(name, ledger_problems(table.to_pylist(), folder.sources.get(shard.number, ()), clips))


def _check_videos(folder: DirSurvey, shard: _CheckedShard, roots: Mapping[str, StoredClip]) -> None:
    """Check that the table of videos has one row for each root; a shard of an older version has no such table."""
    name = f"videos/{shard_name(shard.number)}.parquet"
    table, artifact = _read(folder, name, shard) if name in folder.files else (None, None)
    if table is None or artifact is None:
        return
    shard.add(name, digest_problems(table, artifact))
    keys = table["root_key"].to_pylist()
    shard.add(name, [f"{key}: has no row" for key in roots.keys() - keys])
    shard.add(name, [f"{key}: is no root of the shard" for key in sorted({*keys} - roots.keys())])
    shard.add(name, [f"{key}: has {count} rows" for key, count in Counter(keys).items() if count > 1])


def _check_layers(folder: DirSurvey, shard: _CheckedShard, media: _MediaFacts) -> None:
    """Check captions, texts, scores and features of one shard, and that they were made from the present media."""
    stem = shard_name(shard.number)
    digests = shard.digests
    digests[f"media/{stem}.parquet"] = media.digest
    for layer in folder.layers:
        name = f"{layer}/{stem}.parquet"
        if name not in folder.files:
            continue  # not made yet; `curate status` shows it and the next run makes it
        table, artifact = _read(folder, name, shard)
        if table is None or artifact is None:
            continue
        digests[name] = artifact.digest
        shard.add(name, input_problems(artifact, digests))
        if layer.startswith("scores/"):
            for changed, what in file_problems(folder.store, artifact.files, folder.files):
                shard.add(changed, [what])
            shard.add(name, score_problems(folder.store, table, artifact, media.clips, shard.number))
            continue
        shard.add(name, digest_problems(table, artifact))
        rows = table.to_pylist()
        if layer.startswith("features/"):
            for changed, what in file_problems(folder.store, artifact.files, folder.files):
                shard.add(changed, [what])
            shard.add(name, feature_problems(folder.store, f"{layer}/{stem}.npy", rows, media.roots))
        elif layer.startswith("text/"):
            shard.add(name, text_problems(rows, media.clips))
        else:
            shard.add(name, caption_problems(observations_of(table), media.roots, media.keyframes))


def _read(folder: DirSurvey, name: str, shard: _CheckedShard) -> tuple[pa.Table | None, Artifact | None]:
    """Return a table and its record; an unreadable table, another schema or another hash is added to the problems."""
    try:
        artifact, table = read_artifact(folder.store, name), read_table(folder.store, name)
    except (ShardError, OSError) as error:
        shard.add(name, [without_name(error, name)])
        return None, None
    if not _keeps_to_schema(name, table.schema):
        shard.add(name, ["its columns are not those of the schema"])
        return None, None
    if folder.hashes.get(folder_of(name), artifact.content_hash) != artifact.content_hash:
        shard.add(name, [f"was made with other settings ({artifact.content_hash}) than its folder's"])
    return table, artifact


def _keeps_to_schema(name: str, schema: pa.Schema) -> bool:
    """Return True for the columns of the present schema, or those of one that is still read."""
    if name.startswith("scores/"):
        return are_scores(schema)
    return any(schema.remove_metadata().equals(schema_of(name, version)) for version in READ_VERSIONS)


def _repeated_keys(shards: Sequence[_CheckedShard]) -> Iterator[Problem]:
    """Yield a problem for each key that is in more than one shard (`clip_problems` sees those within a shard)."""
    held = [(shard.number, shard.keys) for shard in shards if shard.keys is not None]
    if not held:
        return
    keys = pa.concat_arrays([pc.unique(keys) for _, keys in held])
    counts = pc.value_counts(keys)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if not len(repeated):
        return
    for number, keys in held:
        for key in keys.filter(pc.is_in(keys, value_set=repeated)).to_pylist()[:MOST_PER_FILE]:
            yield Problem(f"media/{shard_name(number)}.parquet", f"clip {key}: is in another shard, too")


def _index_problems(store: Store, shards: Sequence[_CheckedShard]) -> Iterator[Problem]:
    expected = {shard.number: shard.index for shard in shards if shard.index is not None}
    try:
        table = read_table(store, INDEX_NAME)
    except FileNotFoundError:
        if shards:
            yield Problem(INDEX_NAME, "is missing; run curate again")
        return
    except ShardError as error:
        yield Problem(INDEX_NAME, without_name(error, INDEX_NAME))
        return
    if not table.schema.remove_metadata().equals(schema_of(INDEX_NAME)):
        yield Problem(INDEX_NAME, "its columns are not those of the schema; run curate again")
        return
    rows = {row["shard"]: IndexRow(**row) for row in table.to_pylist()}
    wrong = sorted(shard for shard in expected.keys() | rows.keys() if rows.get(shard) != expected.get(shard))
    if wrong:
        numbers = ", ".join(map(str, wrong[:5]))
        yield Problem(INDEX_NAME, f"does not agree with the media of shard {numbers}; run curate again")


def _layers_without_media(folder: DirSurvey, media: set[int]) -> Iterator[Problem]:
    """Yield a problem for captions, texts, scores and features of each shard that has no committed media."""
    for layer in folder.layers:
        for shard in sorted(set(folder.shards(layer)) - media):
            yield Problem(f"{layer}/{shard_name(shard)}.parquet", "its shard has no committed media; run curate again")
