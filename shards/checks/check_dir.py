"""`curate check`: whether a DIR is what the contract says, down to every byte and every row.

The committed state is judged. Tars and a ledger without their commit mark (a run was interrupted there) are no
problem: readers do not see them and the next run writes them again. Everything that names something else is
followed: rows to bytes, captions to keyframes, texts to clips, the ledger to sources, artifacts to what they were
made from.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact, table_digest
from shards.checks.check_features import feature_problems
from shards.checks.check_media import decode_problems, file_problems, keyframe_times, root_problems, still_problems
from shards.checks.check_rows import (
    Row,
    caption_problems,
    clip_problems,
    keyframe_problems,
    ledger_problems,
    text_problems,
)
from shards.errors import ShardError
from shards.index import INDEX_NAME, index_row
from shards.keys import SHARD_DIGITS, shard_name
from shards.manifest import MANIFEST, STAGE, read_manifest, read_stage
from shards.reader import caption_sets, feature_sets, read_artifact, read_table, shards_in, text_layers
from shards.storage.backend import ObjectInfo
from shards.storage.store import Store
from shards.writer import media_digest, schema_of

_MOST_PER_FILE = 20
_OF_LAYERS = ("captions", "text", "features")  # they hold a folder for each of their layers


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    where: str
    """Name of the file in the DIR."""
    what: str
    """One line for people."""


@dataclass(frozen=True)
class _Dir:
    """What is known of the DIR as a whole, looked up once."""

    store: Store
    files: Mapping[str, ObjectInfo]
    """Every file of the contract's folders, by name."""
    hashes: Mapping[str, str]
    """Content hash by folder."""
    layers: Sequence[str]
    """Folders of captions, then of texts, then of features."""
    sources: Mapping[int, Sequence[Row]] = field(default_factory=dict)
    """Rows of sources.parquet by shard."""

    def shards(self, folder: str) -> list[int]:
        """Shards that have a table in `folder`."""
        return shards_in({name.rpartition("/")[2]: entry for name, entry in self.files.items() if _in(folder, name)})


@dataclass
class _Shard:
    """What is known of one shard once it has been checked."""

    number: int
    problems: list[Problem] = field(default_factory=list)
    keys: pa.Array | None = None
    index: Mapping[str, Any] | None = None

    def add(self, where: str, found: Iterable[str]) -> None:
        """Note problems of one file, the first of many."""
        self.problems += [Problem(where, what) for what in _first(found)]


def check(
    store: Store,
    *,
    decode: bool = True,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> list[Problem]:
    """Check a whole DIR.

    Args:
        store: the DIR.
        decode: also decode every frame of every root and every still; without it sizes, hashes, rows and trees only.
        progress: called with (shards done, shards in all).
        threads: shards checked and roots decoded at a time; the machine's cores without it.

    Returns:
        What is wrong, file by file; empty where all is well. Of one file at most twenty things are listed.
    """
    problems: list[Problem] = []
    folder = _survey(store, problems)
    shards = folder.shards("media")
    threads = threads or os.cpu_count() or 2
    results: list[_Shard] = []
    with ThreadPoolExecutor(threads) as workers, ThreadPoolExecutor(threads) as decoders:
        for result in workers.map(lambda shard: _check_shard(folder, shard, decoders if decode else None), shards):
            results.append(result)
            if progress is not None:
                progress(len(results), len(shards))
    for result in results:
        problems += result.problems
    problems += _repeated_keys(results)
    problems += _index_problems(store, results)
    problems += _without_media(folder, set(shards))
    return problems


def _survey(store: Store, problems: list[Problem]) -> _Dir:
    """Look up what concerns the DIR as a whole, noting what is wrong with it."""
    try:
        if read_manifest(store) is None:
            problems.append(Problem(MANIFEST, "is missing"))
    except ShardError as error:
        problems.append(Problem(MANIFEST, str(error)))
    named = {"captions": caption_sets(store), "text": text_layers(store), "features": feature_sets(store)}
    layers = [f"{folder}/{name}" for folder, names in named.items() for name in names]
    folders = ("media", "keyframes", "ledger", *named, *layers)
    files = {f"{folder}/{name}": entry for folder in folders for name, entry in store.list(folder).items()}
    for name in files:
        if not _belongs(*name.rsplit("/", 1)):
            problems.append(Problem(name, "does not belong here"))
    hashes = dict(_hashes(store, [folder for folder in ("media", *layers) if store.list(folder)], problems))
    return _Dir(store, files, hashes, layers, _sources(store, problems))


def _hashes(store: Store, folders: Iterable[str], problems: list[Problem]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        try:
            mark = read_stage(store, folder)
        except ShardError as error:
            problems.append(Problem(f"{folder}/{STAGE}", str(error)))
            continue
        if mark is None:
            problems.append(Problem(f"{folder}/{STAGE}", "is missing"))
        else:
            yield folder, mark.content_hash


def _in(folder: str, name: str) -> bool:
    return name.rpartition("/")[0] == folder


def _check_shard(folder: _Dir, number: int, decoders: ThreadPoolExecutor | None) -> _Shard:
    shard, store = _Shard(number), folder.store
    stem = shard_name(number)
    name, tar, stills = f"media/{stem}.parquet", f"media/{stem}.tar", f"keyframes/{stem}.tar"
    table, artifact = _table(folder, name, shard)
    if table is None or artifact is None:
        return shard
    if media_digest(table, artifact.files) != artifact.digest:
        shard.add(name, ["its rows have changed since it was committed (digest differs)"])
    for where, what in file_problems(store, artifact.files, folder.files):
        shard.add(where, [what])
    if set(artifact.files) != {tar, stills}:
        shard.add(name, [f"names the files {sorted(artifact.files)} instead of its two tars"])
    else:
        shard.index = index_row(number, table, artifact)
    shard.keys = table["key"].combine_chunks()
    clips = table.to_pylist()
    roots = {row["key"]: row for row in clips if row["parent_key"] is None}
    shard.add(name, clip_problems(clips, number, folder.sources.get(number, ())))
    shard.add(tar, root_problems(store, tar, roots))
    times, wrong = keyframe_times(store, stills)
    shard.add(stills, [*wrong, *keyframe_problems(roots, times)])
    if decoders is not None:
        shard.add(tar, decode_problems(store, tar, roots, decoders))
        shard.add(stills, still_problems(store, stills))
    _check_ledger(folder, shard, clips)
    _check_layers(folder, shard, clips, roots, times, artifact.digest)
    return shard


def _check_ledger(folder: _Dir, shard: _Shard, clips: Sequence[Row]) -> None:
    name = f"ledger/{shard_name(shard.number)}.parquet"
    if name not in folder.files:
        shard.add(name, ["is missing"])
        return
    table, artifact = _table(folder, name, shard)
    if table is None or artifact is None:
        return
    shard.add(name, _digest_problems(table, artifact))
    shard.add(name, ledger_problems(table.to_pylist(), folder.sources.get(shard.number, ()), clips))


def _check_layers(
    folder: _Dir,
    shard: _Shard,
    clips: Sequence[Row],
    roots: Mapping[str, Row],
    times: Mapping[str, set[int]],
    media: str,
) -> None:
    """Captions, texts and features of one shard, and whether they were made from what is there now."""
    stem = shard_name(shard.number)
    digests = {f"media/{stem}.parquet": media}
    for where in folder.layers:
        name = f"{where}/{stem}.parquet"
        if name not in folder.files:
            continue  # not made yet: `curate status` and the next run know
        table, artifact = _table(folder, name, shard)
        if table is None or artifact is None:
            continue
        digests[name] = artifact.digest
        shard.add(name, _digest_problems(table, artifact))
        shard.add(name, _origin_problems(artifact, digests))
        rows = table.to_pylist()
        if where.startswith("features/"):
            for changed, what in file_problems(folder.store, artifact.files, folder.files):
                shard.add(changed, [what])
            shard.add(name, feature_problems(folder.store, f"{where}/{stem}.npy", rows, roots))
        else:
            is_text = where.startswith("text/")
            shard.add(name, text_problems(rows, clips) if is_text else caption_problems(rows, roots, times))


def _table(folder: _Dir, name: str, shard: _Shard) -> tuple[pa.Table | None, Artifact | None]:
    """A table and its record; what can't be read, or has another schema or hash, is noted."""
    try:
        artifact, table = read_artifact(folder.store, name), read_table(folder.store, name)
    except (ShardError, OSError) as error:
        shard.add(name, [str(error).removeprefix(f"{name}: ")])
        return None, None
    if not table.schema.remove_metadata().equals(schema_of(name)):
        shard.add(name, ["its columns are not those of the schema"])
        return None, None
    if folder.hashes.get(name.rpartition("/")[0], artifact.content_hash) != artifact.content_hash:
        shard.add(name, [f"was made with other settings ({artifact.content_hash}) than its folder's"])
    return table, artifact


def _digest_problems(table: pa.Table, artifact: Artifact) -> Iterator[str]:
    if table_digest(table) != artifact.digest:
        yield "its rows have changed since it was committed (digest differs)"


def _origin_problems(artifact: Artifact, digests: Mapping[str, str]) -> Iterator[str]:
    for name, digest in artifact.inputs.items():
        if name in digests and digests[name] != digest:
            yield f"was made from another {name} than the one that is there; run curate again"


def _belongs(folder: str, name: str) -> bool:
    if name == STAGE:
        return folder not in _OF_LAYERS
    path = PurePosixPath(name)
    suffixes = {"media": (".tar", ".parquet"), "keyframes": (".tar",), **dict.fromkeys(_OF_LAYERS, ())}
    is_shard = len(path.stem) >= SHARD_DIGITS and path.stem.isdecimal() and path.stem == shard_name(int(path.stem))
    of_layer = (".npy", ".parquet") if folder.startswith("features/") else (".parquet",)
    return is_shard and path.suffix in suffixes.get(folder, of_layer)


def _sources(store: Store, problems: list[Problem]) -> dict[int, list[Row]]:
    """Rows of sources.parquet by shard; an unreadable table is noted."""
    name = "sources.parquet"
    try:
        table = read_table(store, name)
        artifact = read_artifact(store, name)
    except (ShardError, OSError) as error:
        text = "is missing" if isinstance(error, FileNotFoundError) else str(error).removeprefix(f"{name}: ")
        problems.append(Problem(name, text))
        return {}
    if not table.schema.remove_metadata().equals(schema_of(name)):
        problems.append(Problem(name, "its columns are not those of the schema"))
        return {}
    problems += [Problem(name, what) for what in _digest_problems(table, artifact)]
    rows: dict[int, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        rows[row["shard"]].append(row)
    return rows


def _repeated_keys(shards: Sequence[_Shard]) -> Iterator[Problem]:
    """Keys that stand in more than one shard (within a shard `clip_problems` sees them)."""
    held = [(shard.number, shard.keys) for shard in shards if shard.keys is not None]
    if not held:
        return
    keys = pa.concat_arrays([pc.unique(keys) for _, keys in held])
    counts = pc.value_counts(keys)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if not len(repeated):
        return
    for number, keys in held:
        for key in keys.filter(pc.is_in(keys, value_set=repeated)).to_pylist()[:_MOST_PER_FILE]:
            yield Problem(f"media/{shard_name(number)}.parquet", f"clip {key}: stands in another shard too")


def _index_problems(store: Store, shards: Sequence[_Shard]) -> Iterator[Problem]:
    expected = {shard.number: shard.index for shard in shards if shard.index is not None}
    try:
        table = read_table(store, INDEX_NAME)
    except FileNotFoundError:
        if shards:
            yield Problem(INDEX_NAME, "is missing; run curate again")
        return
    except ShardError as error:
        yield Problem(INDEX_NAME, str(error).removeprefix(f"{INDEX_NAME}: "))
        return
    if not table.schema.remove_metadata().equals(schema_of(INDEX_NAME)):
        yield Problem(INDEX_NAME, "its columns are not those of the schema; run curate again")
        return
    rows = {row["shard"]: row for row in table.to_pylist()}
    wrong = sorted(shard for shard in expected.keys() | rows.keys() if rows.get(shard) != expected.get(shard))
    if wrong:
        numbers = ", ".join(str(shard) for shard in wrong[:5])
        yield Problem(INDEX_NAME, f"does not agree with the media of shard {numbers}; run curate again")


def _without_media(folder: _Dir, media: set[int]) -> Iterator[Problem]:
    """Captions, texts and features of shards that have no committed media: rows without bytes."""
    for where in folder.layers:
        for shard in sorted(set(folder.shards(where)) - media):
            yield Problem(f"{where}/{shard_name(shard)}.parquet", "its shard has no committed media; run curate again")


def _first(found: Iterable[str]) -> list[str]:
    lines = list(found)
    more = len(lines) - _MOST_PER_FILE
    if more <= 0:
        return lines
    counts = Counter(line.partition(": ")[2] for line in lines).most_common(1)
    return [*lines[:_MOST_PER_FILE], f"and {more} more like these (most often: {counts[0][0]})"]
