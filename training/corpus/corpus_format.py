"""What a file of a corpus is, by its first bytes, and whether it can be read: text, gzip of text, or Parquet.

Files that would be read as text and are none (archives, UTF-16, JSON, tables without a text column) are refused here,
before any work, with the way to something that can be read.
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import Final, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.errors import UserError, is_machine_fault, nearest, one_line

DAMAGED_PARQUET: Final = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What the Parquet library raises on a damaged file; goes through `raise_damaged`."""
DAMAGED_GZIP: Final = (EOFError, gzip.BadGzipFile, zlib.error)
"""What the gzip library raises on a damaged file; goes through `raise_damaged`."""

HEAD: Final = 512
"""Bytes at the beginning of a file that tell what it is."""

_PACKED: Final = {b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_TAR: Final = (257, b"ustar")  # where, and what
_JSON: Final = re.compile(rb'(\xef\xbb\xbf)?\s*\[?\s*\{\s*"[^"\n]*"\s*:')


def kind_of(path: Path, head: bytes, format: str) -> str:
    """`parquet`, `gzip` or `text`.

    Args:
        path: of the file; of gzip its beginning is unpacked.
        head: its first `HEAD` bytes.
        format: what the user says it is, or `auto`.

    Raises:
        UserError: none of these, not `format`, or gzip that is damaged.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    if format == "parquet":
        raise UserError(f"--corpus {path}: --format parquet, but this is no Parquet file; leave --format out")
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise UserError(f"--corpus {path}: is packed with {name}; unpack it first (gzip is read as it is)")
    packed = head.startswith(b"\x1f\x8b")
    _check_text(path, _unpacked(path) if packed else head, format)
    return "gzip" if packed else "text"


def check_parquet(path: Path, column: str) -> None:
    """See that a Parquet file has a text column of that name.

    Raises:
        UserError: it has none, or is damaged.
    """
    try:
        kinds = {field.name: field.type for field in pq.read_schema(path)}
    except DAMAGED_PARQUET as error:
        raise_damaged(error, str(path), "no whole Parquet file")
    texts = [name for name, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
    if column in texts:
        return
    if column in kinds:
        raise UserError(f"--corpus {path}: column {column!r} holds {kinds[column]}, not text; write it as strings")
    if not texts:
        raise UserError(f"--corpus {path}: none of its columns ({', '.join(kinds)}) holds text; name another file")
    raise UserError(f"--corpus {path}: no text column {column!r}{nearest(column, texts)}; set --column")


def raise_damaged(error: Exception, path: str, what: str) -> NoReturn:
    """Turn what a library raised for a damaged file into one line.

    Raises:
        UserError: says `what` is wrong with the file.
        Exception: `error` itself, where the machine is at fault.
    """
    if is_machine_fault(error):
        raise error
    said = one_line(error)
    raise UserError(f"--corpus {path}: {what} ({said}); fetch it again") from None


def _unpacked(path: Path) -> bytes:
    """The first bytes of what a gzip file holds."""
    try:
        with gzip.open(path) as file:
            return file.read(HEAD)
    except DAMAGED_GZIP as error:
        raise_damaged(error, str(path), "cut or damaged gzip")


def _check_text(path: Path, begin: bytes, format: str) -> None:
    """Refuse what begins as something else than text does."""
    if begin.startswith(_UTF16):
        raise UserError(f"--corpus {path}: looks like UTF-16; convert it first (iconv -f UTF-16 -t UTF-8)")
    if begin.startswith(_TAR[1], _TAR[0]):
        raise UserError(f"--corpus {path}: is a tar archive; unpack it first and name its files")
    if format == "auto" and _JSON.match(begin):
        raise UserError(
            f"--corpus {path}: looks like JSON, whose keys and escapes would be read as text; write its texts as "
            "Parquet or plain text, or read it as it stands with --format text"
        )
