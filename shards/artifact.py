"""The record of an artifact in its Parquet footer: inputs, settings, files.

`shards.writer` writes it, `shards.reader` reads it without touching the rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import pyarrow as pa

from shards.errors import ShardError
from shards.plain_rows import plain_rows

FOOTER_KEY = "artifact"
_ROWS_AT_A_TIME: Final = 4096


@dataclass(frozen=True)
class FileFact:
    """Size and hash of a committed file."""

    size: int
    """Bytes."""
    sha256: str
    """64 hex digits."""


@dataclass(frozen=True)
class Artifact:
    """One committed result of one stage for one shard.

    It is up to date if `content_hash` is the folder's and every digest in `inputs` is still that of the artifact
    named there.
    """

    stage: str
    content_hash: str
    """Hash of all settings that change the content."""
    digest: str = ""
    """Digest of this artifact's own content; filled in when it is committed."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name of each artifact it was made from (``media/0000000.parquet``), and its digest at that time."""
    files: Mapping[str, FileFact] = field(default_factory=dict)
    """Files that belong to it besides the table, by their name in the DIR."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Figures for people and for `curate status`: clips, seconds, tokens."""

    def to_json(self) -> str:
        """Return the form that is kept in a Parquet footer."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Artifact:
        """Read what `to_json` wrote.

        Raises:
            ShardError: `text` is no artifact record.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["files"] = {name: FileFact(**fact) for name, fact in values.get("files", {}).items()}
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ShardError(f"unreadable artifact record in a table's footer ({error})") from None


class RowsDigest:
    """The digest of a table that is handed over piece by piece: equal rows give equal digests.

    The layout in memory (chunks, dictionary codes, bytes behind nulls) makes no difference.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Begin with the names of the columns."""
        self._hash = hashlib.sha256(f"[{_plain_json(list(names))},[".encode())
        self._is_empty = True

    def update(self, table: pa.Table) -> None:
        """Add the rows of a piece; few at a time are Python values."""
        for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
            rows = plain_rows(batch) or _plain_json(batch.to_pylist())[1:-1]
            if rows:
                self._hash.update((rows if self._is_empty else f",{rows}").encode("utf-8", "surrogatepass"))
                self._is_empty = False

    def digest(self) -> str:
        """Return sixteen hex digits over all rows so far."""
        whole = self._hash.copy()
        whole.update(b"]]")
        return whole.hexdigest()[:16]


def table_digest(table: pa.Table) -> str:
    """Return sixteen hex digits over a table's names and values; see `RowsDigest`."""
    digest = RowsDigest(table.column_names)
    digest.update(table)
    return digest.digest()


def _plain_json(values: Sequence[Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
