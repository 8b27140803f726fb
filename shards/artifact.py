"""The record of an artifact in its Parquet footer: inputs, settings, files.

`shards.writer` writes it, `shards.reader` reads it without touching the rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from shards.errors import ShardError

FOOTER_KEY = "artifact"


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


def table_digest(table: pa.Table) -> str:
    """Return sixteen hex digits over a table's names and values: equal rows give equal digests.

    The layout in memory (chunks, dictionary codes, bytes behind nulls) makes no difference.
    """
    rows = json.dumps([table.column_names, table.to_pylist()], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(rows.encode("utf-8", "surrogatepass")).hexdigest()[:16]
