"""What an artifact is made from, as kept in its Parquet footer: enough to tell whether it is up to date.

`shards.writer` puts it there, `shards.reader` reads it back without touching the rows.
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
    """What a file must look like to be the one that was committed."""

    size: int
    """Bytes."""
    sha256: str
    """64 hex digits."""


@dataclass(frozen=True)
class Artifact:
    """One committed result of one stage for one shard.

    It is up to date when `content_hash` is the folder's and every digest in `inputs` is still that of the
    artifact named there.
    """

    stage: str
    content_hash: str
    """Hash of all settings that change the content."""
    digest: str = ""
    """Of this artifact's own content; filled in when it is committed."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name of each artifact it was made from (``media/0000000.parquet``), and its digest then."""
    files: Mapping[str, FileFact] = field(default_factory=dict)
    """Name in the DIR of each file that belongs to it beside the table."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Figures for people and for `curate status`: clips, seconds, tokens."""

    def to_json(self) -> str:
        """The form kept in a Parquet footer."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Artifact:
        """Read what `to_json` wrote.

        Raises:
            ShardError: it is something else.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["files"] = {name: FileFact(**fact) for name, fact in values.get("files", {}).items()}
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ShardError(f"unreadable artifact record in a table's footer ({error})") from None


def table_digest(table: pa.Table) -> str:
    """Sixteen hex digits over a table's names and values: equal rows give equal digests.

    How the values are held (chunks, dictionary codes, bytes behind nulls) makes no difference.
    """
    rows = json.dumps([table.column_names, table.to_pylist()], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(rows.encode("utf-8", "surrogatepass")).hexdigest()[:16]
