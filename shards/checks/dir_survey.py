"""The facts about a DIR as a whole that `shards.checks.check_dir` looks up once: files, hashes, layers, sources."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact, table_digest
from shards.errors import ShardError
from shards.keys import SHARD_DIGITS, shard_name
from shards.manifest import MANIFEST, STAGE, read_manifest, read_stage
from shards.reader import caption_sets, feature_sets, read_artifact, read_table, shards_in, text_layers
from shards.scores.score_set import score_sets
from shards.selections.findings import FINDING_KINDS
from shards.selections.selection import FOLDER as SELECTIONS
from shards.sources.source_parts import SOURCES_FOLDER, SourceParts, shards_of_part
from shards.storage.backend import ObjectInfo
from shards.storage.store import Store
from shards.stored_rows import StoredSource
from shards.writer import schema_of

MOST_PER_FILE: Final = 20
"""Problems of one file that are listed."""
WHOLE_TABLES: Final = (SELECTIONS, *FINDING_KINDS)
"""Folders whose tables are over all shards."""
_WITH_LAYERS: Final = ("captions", "text", "scores", "features")
"""Folders that hold a folder for each of their layers."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a DIR."""

    where: str
    """Name of the file in the DIR."""
    what: str
    """One line for people."""


@dataclass(frozen=True)
class DirSurvey:
    """A DIR before its shards are checked."""

    store: Store
    files: Mapping[str, ObjectInfo]
    """Every file of the contract's folders, by name."""
    hashes: Mapping[str, str]
    """Content hash by folder."""
    layers: Sequence[str]
    """Folders of captions, then of texts, then of scores, then of features."""
    sources: Mapping[int, Sequence[StoredSource]] = field(default_factory=dict)
    """Rows of the table of sources by shard."""

    def shards(self, folder: str) -> list[int]:
        """Return the shards that have a table in `folder`."""
        return shards_in(
            {name.rpartition("/")[2]: info for name, info in self.files.items() if folder_of(name) == folder}
        )


def survey(store: Store) -> tuple[DirSurvey, list[Problem]]:
    """Return the facts about a DIR as a whole, and the problems seen on the way."""
    problems = list(_manifest_problems(store))
    named = {
        "captions": caption_sets(store),
        "text": text_layers(store),
        "scores": score_sets(store),
        "features": feature_sets(store),
    }
    layers = [f"{folder}/{name}" for folder, names in named.items() for name in names]
    folders = (SOURCES_FOLDER, "media", "keyframes", "ledger", "videos", *WHOLE_TABLES, *named, *layers)
    files = {f"{folder}/{name}": info for folder in folders for name, info in store.list(folder).items()}
    problems += [Problem(name, "does not belong here") for name in files if not _belongs(*name.rsplit("/", 1))]
    marked = [folder for folder in ("media", *layers) if store.list(folder)]
    hashes = {folder: hash_ for folder in marked if (hash_ := _content_hash(store, folder, problems)) is not None}
    return DirSurvey(store, files, hashes, layers, _sources(store, problems)), problems


def folder_of(name: str) -> str:
    """Return the folder of a file of the DIR, without the file's own name."""
    return name.rpartition("/")[0]


def digest_problems(table: pa.Table, artifact: Artifact) -> Iterator[str]:
    """Yield a line if the rows of a table are not those that were committed."""
    if table_digest(table) != artifact.digest:
        yield "its rows have changed since it was committed (digest differs)"


def input_problems(artifact: Artifact, digests: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each input of an artifact that has another digest now."""
    for name, digest in artifact.inputs.items():
        if name in digests and digests[name] != digest:
            yield f"was made from another {name} than the present one; run curate again"


def without_name(error: Exception, name: str) -> str:
    """Return an error about the file `name` as one line that does not repeat the name."""
    return "is missing" if isinstance(error, FileNotFoundError) else str(error).removeprefix(f"{name}: ")


def first_lines(lines: Iterable[str]) -> list[str]:
    """Return the first `MOST_PER_FILE` lines, and one more that counts the rest."""
    found = list(lines)
    more = len(found) - MOST_PER_FILE
    if more <= 0:
        return found
    ((most_often, _),) = Counter(line.partition(": ")[2] for line in found).most_common(1)
    return [*found[:MOST_PER_FILE], f"and {more} more like these (most often: {most_often})"]


def _manifest_problems(store: Store) -> Iterator[Problem]:
    try:
        if read_manifest(store) is None:
            yield Problem(MANIFEST, "is missing")
    except ShardError as error:
        yield Problem(MANIFEST, without_name(error, store.path(MANIFEST)))


def _content_hash(store: Store, folder: str, problems: list[Problem]) -> str | None:
    """Return the content hash of a folder; a missing or damaged record is added to `problems`."""
    try:
        mark = read_stage(store, folder)
    except ShardError as error:
        name = f"{folder}/{STAGE}"
        problems.append(Problem(name, without_name(error, store.path(name))))
        return None
    if mark is None:
        problems.append(Problem(f"{folder}/{STAGE}", "is missing"))
        return None
    return mark.content_hash


def _belongs(folder: str, name: str) -> bool:
    """Return True if the contract has a file of that name in that folder."""
    if name == STAGE:
        return folder not in _WITH_LAYERS
    path = PurePosixPath(name)
    if folder == SOURCES_FOLDER:
        return shards_of_part(name) is not None
    if folder in WHOLE_TABLES:
        return path.suffix == ".parquet"
    suffixes = {"media": (".tar", ".parquet"), "keyframes": (".tar",), **dict.fromkeys(_WITH_LAYERS, ())}
    if folder.startswith("scores/") and path.suffix == ".npy":
        path = PurePosixPath(f"{path.name.partition('.')[0]}.npy")  # <shard>.<column>.npy
    is_shard = len(path.stem) >= SHARD_DIGITS and path.stem.isdecimal() and path.stem == shard_name(int(path.stem))
    in_layer = (".npy", ".parquet") if folder.startswith(("features/", "scores/")) else (".parquet",)
    return is_shard and path.suffix in suffixes.get(folder, in_layer)


def _sources(store: Store, problems: list[Problem]) -> dict[int, list[StoredSource]]:
    """Return the rows of the table of sources by shard; faults of its parts are added to `problems`."""
    names = SourceParts(store).names
    if not names:
        problems.append(Problem(SOURCES_FOLDER, "is missing"))
    rows: dict[int, list[StoredSource]] = defaultdict(list)
    for name in names:
        for row in _part(store, name, problems):
            rows[row["shard"]].append(row)
    return rows


def _part(store: Store, name: str, problems: list[Problem]) -> list[StoredSource]:
    """Return the rows of one part; none if it can't be read."""
    try:
        table = read_table(store, name)
        artifact = read_artifact(store, name)
    except (ShardError, OSError) as error:
        problems.append(Problem(name, without_name(error, name)))
        return []
    if not table.schema.remove_metadata().equals(schema_of(name)):
        problems.append(Problem(name, "its columns are not those of the schema"))
        return []
    problems += [Problem(name, what) for what in digest_problems(table, artifact)]
    named, found = shards_of_part(name.rpartition("/")[2]), pc.min_max(table["shard"]).as_py()
    if named is not None and named != (found["min"], found["max"]):
        problems.append(Problem(name, f"has the shards {found['min']} to {found['max']}"))
    rows: list[StoredSource] = table.to_pylist()
    return rows
