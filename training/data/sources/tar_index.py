"""Indexes of other people's webdataset tars: each tar is read once, and its index kept as a Parquet file in a cache.

`webdataset` reads tars from front to back. To shuffle, to share samples among ranks and to resume exactly, samples
must be addressable by number. `training.data.sources.tar_members` gathers the members into samples.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Self, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.settings import content_hash
from shards.errors import ShardError
from shards.storage.files import new_file
from training.data.media_cache import is_remote, store_of
from training.data.sources.tar_members import VIDEO_EXTENSIONS, SampleFile, gather_samples, read_members

TXT: Final = "txt"
"""Name of the text in a sample's ``.txt``."""

_INDEX_VERSION = 4  # increase it when the format of the index files changes
_INDEX = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # of the video's first byte in the tar
        pa.field("size", pa.int64(), nullable=False),
        pa.field("texts", pa.string(), nullable=False),  # JSON object: the .txt and the json's fields that are text
        pa.field("numbers", pa.string(), nullable=False),  # JSON object: the json's fields that are numbers
    ]
)
_DIGEST = b"digest"
_LEFT_OUT = b"left_out"


class _IndexRow(TypedDict):
    """One row of an index file; the columns are those of `_INDEX`."""

    key: str
    offset: int
    size: int
    texts: str
    numbers: str


@dataclass(frozen=True)
class TarSample:
    """One sample of a tar that has a video."""

    key: str
    offset: int
    """First byte of the video in the tar."""
    size: int
    """Bytes of the video."""
    texts: Mapping[str, str]
    """The ``.txt``, and the fields of the json that are text, by name."""
    numbers: Mapping[str, float]
    """Fields of the json that are numbers, by name."""

    @classmethod
    def of(cls, row: _IndexRow) -> Self:
        """Parse a row of an index file."""
        return cls(row["key"], row["offset"], row["size"], json.loads(row["texts"]), json.loads(row["numbers"]))


@dataclass(frozen=True)
class IndexedTar:
    """A tar with its index."""

    url: str
    index: Path
    digest: str
    """Hash over the tar's name, size, members and texts."""
    size: int
    """Bytes."""
    left_out: Mapping[str, int]
    """Members and samples that are not used, by reason."""


def index_tar(url: str, folder: Path) -> IndexedTar:
    """Index a tar, or find the index that was made before.

    Args:
        url: path or fsspec URL.
        folder: cache of indexes.

    Raises:
        UserError: there is no such tar, or it can't be read.
        ShardError: the tar is compressed, damaged or cut short, or its protocol is not supported.
        MachineError: this machine is at fault.
    """
    try:
        with _open(url) as file:
            size = int(file.seek(0, 2))
            index = folder / f"{content_hash(url, size, _token(url), _INDEX_VERSION)}.parquet"
            if not index.is_file():
                file.seek(0)
                counts: Counter[str] = Counter()
                rows = list(_index_rows(file, size, url, counts))
                _write_index(rows, {reason: count for reason, count in counts.items() if count}, index)
    except FileNotFoundError:
        raise UserError(f"--shards {url}: no such tar") from None
    except (ShardError, UserError):
        raise
    except (OSError, ValueError) as error:  # ValueError: a web server that does not send byte ranges
        if is_machine_fault(error):
            raise MachineError(f"--shards {url}: {error}") from None
        said = one_line(error).partition(". ")[0]
        raise UserError(f"--shards {url}: can't be read ({said}); copy it to a folder or another store") from None
    metadata = pq.read_schema(index).metadata
    digest = content_hash(PurePosixPath(url).name, size, metadata[_DIGEST].decode())
    return IndexedTar(url, index, digest, size, json.loads(metadata[_LEFT_OUT]))


def read_samples(tar: IndexedTar) -> list[TarSample]:
    """Return the samples of an indexed tar in the order of the tar."""
    return [TarSample.of(row) for row in pq.read_table(tar.index).to_pylist()]


def _open(url: str) -> IO[bytes]:
    if not is_remote(url):
        if Path(url).exists() and not Path(url).is_file():  # opening a pipe waits for ever
            raise UserError(f"--shards {url}: not a file")
        return Path(url).open("rb")
    store, name = store_of(url)
    return store.open(name)


def _token(url: str) -> str:
    """Return a token that changes when a tar is rewritten; its size may stay equal, because tars are padded."""
    store, name = store_of(url)
    return store.entry(name).token


def _write_index(rows: list[_IndexRow], left_out: Mapping[str, int], index: Path) -> None:
    table = pa.Table.from_pylist(rows, schema=_INDEX)
    table = table.replace_schema_metadata({_DIGEST: content_hash(rows), _LEFT_OUT: json.dumps(left_out)})
    with new_file(index) as partial:
        pq.write_table(table, partial)


def _index_rows(file: IO[bytes], size: int, url: str, counts: Counter[str]) -> Iterator[_IndexRow]:
    """Yield one row for each sample that has a video, and count the others."""
    for key, sample in gather_samples(read_members(file, size, url, counts), url).items():
        video = next((sample[extension] for extension in VIDEO_EXTENSIONS if extension in sample), None)
        others = (name for name in sample if name.rpartition(".")[2] in VIDEO_EXTENSIONS)
        counts["further videos of a sample"] += max(0, sum(1 for _ in others) - 1) if video else 0
        if video is None:
            counts["samples without a video"] += 1
            continue
        fields = _json_fields(_content(sample["json"])) if "json" in sample else {}
        if fields is None:
            counts["samples whose json can't be read"] += 1
            continue
        texts = {TXT: _content(sample[TXT]).decode("utf-8", "replace")} if TXT in sample else {}
        texts = {name: value for name, value in fields.items() if isinstance(value, str)} | texts
        stripped = {name: _sound(text) for name, text in texts.items()}
        numbers = {name: number for name, value in fields.items() if (number := _number(value)) is not None}
        yield _IndexRow(
            key=key.encode("utf-8", "backslashreplace").decode("utf-8"),  # names in tars may be any bytes
            offset=video.offset,
            size=video.size,
            texts=json.dumps(stripped),
            numbers=json.dumps(numbers),
        )


def _content(member: SampleFile) -> bytes:
    assert member.data is not None, f"{member.name}: the members with texts are read with the tar"
    return member.data


def _sound(text: str) -> str:
    """Return a text without white space around it and without halves of characters, which no tokenizer takes."""
    return text.encode("utf-8", "ignore").decode("utf-8").strip()


def _json_fields(data: bytes) -> dict[str, Any] | None:
    """Return the fields of a JSON object; none if the JSON is something else, None if it can't be read."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else {}


def _number(value: Any) -> float | None:
    """Return a field of a JSON object if it is a number that a 64-bit float can hold."""
    if type(value) not in (int, float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None
