"""What lies where in other people's webdataset tars: one pass over each, kept as a Parquet file beside other caches.

`webdataset` itself reads tars from front to back; to shuffle, to share among ranks and to resume exactly, samples have
to be found by number. A sample is a run of members whose names agree up to the first dot.
"""

from __future__ import annotations

import json
import re
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.settings import content_hash
from shards.errors import ShardError
from shards.storage.object_store import remote_filesystem
from training.data.media_cache import is_remote, read_with_retries, store_of

Sample = dict[str, Any]
"""A row of an index."""
TXT = "txt"
"""Name under which the text of a sample's ``.txt`` is found."""

_VIDEO = ("mp4", "webm", "mkv", "mov", "avi")
_LAYOUT = 2  # raised when the files kept would look different
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
_GLOB = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class TarFacts:
    """A tar with its index."""

    url: str
    index: Path
    digest: str
    """Of its name, its size, its members and their texts."""
    size: int
    """Bytes."""


def expand(pattern: str) -> list[str]:
    """The tars that a path or URL with braces (``{000..127}``, ``{a,b}``) and globs means; a folder means its tars.

    Raises:
        UserError: none.
        ShardError: the URL's protocol is unknown, or the package that speaks it is not installed.
    """
    found: list[str] = []
    for name in _braces(pattern.removeprefix("file://")):
        if is_remote(name):
            found += _expand_remote(name)
        elif Path(name).is_dir():
            found += sorted(str(path) for path in Path(name).glob("*.tar"))
        elif _GLOB.search(name):
            found += sorted(glob(name))  # noqa: PTH207  pathlib's takes neither absolute patterns nor `..`
        else:
            found.append(name)
    if not found:
        raise UserError(f"--shards {pattern}: no tar of that name")
    return found


def index_tar(url: str, folder: Path) -> TarFacts:
    """Index a tar, or find the index made before.

    Args:
        url: path or fsspec URL.
        folder: where indexes are kept.

    Raises:
        UserError: there is no such tar.
        ShardError: it is compressed, damaged or cut short, or behind a protocol that is not spoken here.
    """
    try:
        with _open(url) as file:
            size = int(file.seek(0, 2))
            index = folder / f"{content_hash(url, size, _token(url), _LAYOUT)}.parquet"
            if not index.is_file():
                file.seek(0)
                _keep(list(_samples(file, size, url)), index)
    except FileNotFoundError:
        raise UserError(f"--shards {url}: no such tar") from None
    except ShardError:
        raise
    except (OSError, ValueError) as error:  # the latter: a web server that gives no parts of files
        if is_machine_fault(error):
            raise MachineError(f"--shards {url}: {error}") from None
        said = one_line(error).partition(". ")[0]
        raise UserError(f"--shards {url}: can't be read ({said}); copy it to a folder or another store") from None
    members = pq.read_schema(index).metadata[_DIGEST].decode()
    return TarFacts(url, index, content_hash(PurePosixPath(url).name, size, members), size)


def read_samples(tar: TarFacts) -> list[Sample]:
    """The samples of an indexed tar in their order: key, offset, size, texts (by name), numbers (by name)."""
    rows: list[dict[str, Any]] = pq.read_table(tar.index).to_pylist()
    return [row | {name: json.loads(row[name]) for name in ("texts", "numbers")} for row in rows]


def _braces(pattern: str) -> Iterator[str]:
    """Written here: the package that webdataset takes for it is not kept any more."""
    match = _BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    span = re.fullmatch(r"(\d+)\.\.(\d+)", match[1])
    if span:
        first, last = int(span[1]), int(span[2])
        choices = [f"{number:0{len(span[1])}d}" for number in range(first, last + 1)]
    else:
        choices = match[1].split(",")
    for choice in choices:
        yield from _braces(pattern[: match.start()] + choice + pattern[match.end() :])


def _expand_remote(name: str) -> list[str]:
    filesystem, path = remote_filesystem(name)
    if _GLOB.search(name):
        hits = filesystem.glob(path)
    elif not PurePosixPath(path).suffix and filesystem.isdir(path):
        hits = filesystem.glob(f"{path}/*.tar")
    else:
        hits = [path]
    return [str(filesystem.unstrip_protocol(hit)) for hit in hits]


def _open(url: str) -> IO[bytes]:
    if not is_remote(url):
        return Path(url).open("rb")
    filesystem, path = remote_filesystem(url)
    return cast("IO[bytes]", filesystem.open(path, "rb"))


def _token(url: str) -> str:
    """What changes when a tar is written anew under its name: padded as tars are, often to the size it had."""
    store, name = store_of(url)
    return read_with_retries(lambda: store.entry(name)).token


def _keep(samples: list[Sample], index: Path) -> None:
    table = pa.Table.from_pylist(samples, schema=_INDEX)
    table = table.replace_schema_metadata({_DIGEST: content_hash(samples)})
    index.parent.mkdir(parents=True, exist_ok=True)
    part = index.with_name(f".{uuid.uuid4().hex}.part")
    pq.write_table(table, part)
    part.replace(index)


def _samples(file: IO[bytes], size: int, url: str) -> Iterator[Sample]:
    """One row a sample that has a video."""
    members = ((_split(member.name), member) for member in _members(file, size, url))
    for key, group in groupby(members, key=lambda item: item[0][0]):
        parts = {extension: member for (_, extension), member in group}
        video = next((parts[extension] for extension in _VIDEO if extension in parts), None)
        if video is None:
            continue
        texts = {TXT: _read(file, parts[TXT]).decode("utf-8", "replace")} if TXT in parts else {}
        fields = _json(_read(file, parts["json"]), f"{url}: {key}.json") if "json" in parts else {}
        texts = {name: value for name, value in fields.items() if isinstance(value, str)} | texts
        stripped = {name: text.strip() for name, text in texts.items()}
        numbers = {name: value for name, value in fields.items() if type(value) in (int, float)}
        row = {"key": key, "offset": video.offset_data, "size": video.size}
        yield row | {"texts": json.dumps(stripped), "numbers": json.dumps(numbers)}


def _members(file: IO[bytes], size: int, url: str) -> Iterator[tarfile.TarInfo]:
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


def _split(name: str) -> tuple[str, str]:
    """A member's sample and what it is of it."""
    path = PurePosixPath(name)
    stem, _, extension = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, extension.lower()


def _read(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    position = file.tell()
    file.seek(member.offset_data)
    data = file.read(member.size)
    file.seek(position)
    return data


def _json(data: bytes, where: str) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise ShardError(f"{where}: no readable JSON ({error})") from None
    return fields if isinstance(fields, dict) else {}
