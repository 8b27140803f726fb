"""The members of other people's webdataset tars, gathered into samples by their names.

A sample is all members of one tar with equal names up to the first dot, in any order: an index can address them
wherever they are. Names whose own part has dots (``talk 1.2.mp4``) are told from names with a compound extension
(``000.seg.png`` beside ``000.mp4``) by the other members. Files that an operating system added are passed over.
"""

from __future__ import annotations

import tarfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Final

from shards.errors import ShardError

VIDEO_EXTENSIONS: Final = ("mp4", "webm", "mkv", "mov", "avi")
"""Extensions of videos, the preferred first."""
TEXT_EXTENSIONS: Final = ("txt", "json")
"""Extensions of the members whose content is read."""
_KNOWN: Final = frozenset([*VIDEO_EXTENSIONS, *TEXT_EXTENSIONS])

Sample = Mapping[str, "SampleFile"]
"""The members of one sample by their extension."""


@dataclass(frozen=True)
class SampleFile:
    """One file of a tar."""

    name: str
    offset: int
    """First byte of its content in the tar."""
    size: int
    data: bytes | None = None
    """Its content, if its extension is one of `TEXT_EXTENSIONS`."""


def read_members(file: IO[bytes], size: int, url: str, counts: Counter[str]) -> Iterator[SampleFile]:
    """Yield the files of a tar in its order; refuse a tar that is cut short.

    Args:
        file: the tar.
        size: bytes of the tar.
        url: name of the tar for messages.
        counts: members that are no files of the dataset are added to it by reason.

    Raises:
        ShardError: the tar is damaged, compressed, cut short, or has a member that can't be addressed by its bytes.
    """
    files: dict[str, tarfile.TarInfo] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                content = files.get(member.linkname) if member.islnk() else member
                if content is None or not (content.isfile() or member.isdir()):
                    counts["links"] += 1
                    continue
                if content.offset_data + content.size > size:
                    raise ShardError(f"{url}: {member.name} runs past the end of the tar; it was cut short")
                if content.issparse():
                    raise ShardError(f"{url}: {member.name} is stored sparsely; pack the tar without --sparse")
                if member.isdir():
                    continue
                files[member.name] = content
                if _is_hidden(member.name):
                    counts["hidden files"] += 1
                    continue
                is_text = member.name.lower().endswith(tuple(f".{extension}" for extension in TEXT_EXTENSIONS))
                data = _read(file, content) if is_text else None
                yield SampleFile(member.name, content.offset_data, content.size, data)
            if 0 < size - tar.offset < tarfile.BLOCKSIZE:
                raise ShardError(f"{url}: ends within a header at byte {size}; it was cut short")
    except tarfile.ReadError as error:
        raise ShardError(f"{url}: damaged, cut short or compressed ({error}); a plain tar is needed") from None


def gather_samples(members: Iterable[SampleFile], url: str) -> Mapping[str, Sample]:
    """Return the samples of a tar by their key, in the order of their first members.

    Raises:
        ShardError: two members have the same name, so that it is not known which belong together.
    """
    members = list(members)
    split = [_split_at_first_dot(member.name) for member in members]
    keys = {key for key, extension in split if extension in _KNOWN}
    samples: dict[str, dict[str, SampleFile]] = {}
    for member, (key, extension) in zip(members, split, strict=True):
        if key not in keys and extension.rpartition(".")[2] in _KNOWN:
            inner, _, extension = extension.rpartition(".")
            key = f"{key}.{inner}"
        sample = samples.setdefault(key, {})
        if extension in sample:
            raise ShardError(
                f"{url}: {member.name} is there twice, or in two spellings; which files belong together is not known: "
                "pack the tar with distinct names"
            )
        sample[extension] = member
    return samples


def _is_hidden(name: str) -> bool:
    """Return True for what macOS adds to tars (``._000.txt``, ``.DS_Store``, ``__MACOSX/``), and other hidden files."""
    path = PurePosixPath(name)
    return path.name.startswith(".") or "__MACOSX" in path.parts


def _split_at_first_dot(name: str) -> tuple[str, str]:
    """Split the name of a member into the key of its sample, in composed letters, and its extension in lower case."""
    path = PurePosixPath(unicodedata.normalize("NFC", name))
    stem, _, extension = path.name.partition(".")
    return str(path.with_name(stem)), extension.lower()


def _read(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    position = file.tell()
    file.seek(member.offset_data)
    data = file.read(member.size)
    file.seek(position)
    return data
