"""Indexes of other people's webdataset tars: each tar is read once, and its index kept as a Parquet file in a cache.

`webdataset` reads tars from front to back. To shuffle, to share samples among ranks and to resume exactly, samples
must be addressable by number. A sample is a run of members with equal names up to the first dot.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Self, TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.settings import content_hash
from shards.errors import ShardError
from shards.storage.files import new_file
from shards.storage.object_store import remote_filesystem
from training.data.media_cache import is_remote, read_with_retries, store_of

TXT: Final = "txt"
"""Name of the text in a sample's ``.txt``."""

_VIDEO = ("mp4", "webm", "mkv", "mov", "avi")
_INDEX_VERSION = 2  # increase it when the format of the index files changes
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
                _write_index(list(_index_rows(file, size, url)), index)
    except FileNotFoundError:
        raise UserError(f"--shards {url}: no such tar") from None
    except ShardError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a web server that does not send byte ranges
        if is_machine_fault(error):
            raise MachineError(f"--shards {url}: {error}") from None
        said = one_line(error).partition(". ")[0]
        raise UserError(f"--shards {url}: can't be read ({said}); copy it to a folder or another store") from None
    members = pq.read_schema(index).metadata[_DIGEST].decode()
    return IndexedTar(url, index, content_hash(PurePosixPath(url).name, size, members), size)


def read_samples(tar: IndexedTar) -> list[TarSample]:
    """Return the samples of an indexed tar in the order of the tar."""
    return [TarSample.of(row) for row in pq.read_table(tar.index).to_pylist()]


def _open(url: str) -> IO[bytes]:
    if not is_remote(url):
        return Path(url).open("rb")
    filesystem, path = remote_filesystem(url)
    return cast("IO[bytes]", filesystem.open(path, "rb"))


def _token(url: str) -> str:
    """Return a token that changes when a tar is rewritten; its size may stay equal, because tars are padded."""
    store, name = store_of(url)
    return read_with_retries(lambda: store.entry(name)).token


def _write_index(rows: list[_IndexRow], index: Path) -> None:
    table = pa.Table.from_pylist(rows, schema=_INDEX)
    table = table.replace_schema_metadata({_DIGEST: content_hash(rows)})
    with new_file(index) as partial:
        pq.write_table(table, partial)


def _index_rows(file: IO[bytes], size: int, url: str) -> Iterator[_IndexRow]:
    """Yield one row for each sample that has a video."""
    members = ((_sample_and_extension(member.name), member) for member in _members(file, size, url))
    for key, group in groupby(members, key=lambda item: item[0][0]):
        parts = {extension: member for (_, extension), member in group}
        video = next((parts[extension] for extension in _VIDEO if extension in parts), None)
        if video is None:
            continue
        texts = {TXT: _read(file, parts[TXT]).decode("utf-8", "replace")} if TXT in parts else {}
        fields = _json_fields(_read(file, parts["json"]), f"{url}: {key}.json") if "json" in parts else {}
        texts = {name: value for name, value in fields.items() if isinstance(value, str)} | texts
        stripped = {name: text.strip() for name, text in texts.items()}
        numbers = {name: value for name, value in fields.items() if type(value) in (int, float)}
        yield _IndexRow(
            key=key,
            offset=video.offset_data,
            size=video.size,
            texts=json.dumps(stripped),
            numbers=json.dumps(numbers),
        )


def _members(file: IO[bytes], size: int, url: str) -> Iterator[tarfile.TarInfo]:
    """Yield the files of a tar; refuse a tar that is cut short."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.offset_data + member.size > size:
                    raise ShardError(f"{url}: {member.name} runs past the end of the tar; it was cut short")
                if member.isfile():
                    yield member
            if 0 < size - tar.offset < tarfile.BLOCKSIZE:
                raise ShardError(f"{url}: ends within a header at byte {size}; it was cut short")
    except tarfile.ReadError as error:
        raise ShardError(f"{url}: damaged, cut short or compressed ({error}); a plain tar is needed") from None


def _sample_and_extension(name: str) -> tuple[str, str]:
    """Split the name of a member into the key of its sample and its extension."""
    path = PurePosixPath(name)
    stem, _, extension = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, extension.lower()


def _read(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    position = file.tell()
    file.seek(member.offset_data)
    data = file.read(member.size)
    file.seek(position)
    return data


def _json_fields(data: bytes, name: str) -> dict[str, Any]:
    """Return the fields of a JSON object; none if the JSON is something else."""
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise ShardError(f"{name}: no readable JSON ({error})") from None
    return fields if isinstance(fields, dict) else {}
