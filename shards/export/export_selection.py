"""The clips of a text layer that an export takes and their text, as the user asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from shards.errors import ShardError
from shards.schema import TEXT
from shards.selections.clip_columns import ClipColumns
from shards.selections.clip_condition import ClipCondition
from shards.storage.store import Store

Unit = Literal["clip", "root"]
NullText = Literal["keep", "skip"]
TEXT_WORDS: Final = {"grounded": "grounded_text", "caption": "caption", "subtitle": "subtitle"}
"""Column of the text by the word of ``--text``; columns can be named, too."""
_STRINGS: Final = tuple(field.name for field in TEXT if pa.types.is_string(field.type))


@dataclass(frozen=True)
class ExportSelection:
    """The clips to export, and their text."""

    layer: str
    unit: Unit = "clip"
    where: str | None = None
    """A condition in DuckDB's SQL over the columns of the layer, media, videos (``video_…``), the manifest, scores."""
    keep_only: bool = True
    """Leave out clips that the filters dropped."""
    text: str = "grounded"
    """Text of a sample: a word of `TEXT_WORDS`, or a text column of the layer."""
    null_text: NullText = "keep"
    """A clip without that text: ``keep`` writes it without text (no `.txt`), ``skip`` leaves it out."""
    selection: str | None = None
    """Name of the selection that says which clips to keep; None: that of the layer."""
    public: bool = False
    """Name no folder of this machine, and no tokens of URLs (`shards.export.public_rows`)."""

    @property
    def text_column(self) -> str:
        """Column of the layer that holds the text."""
        return TEXT_WORDS.get(self.text, self.text)

    def condition(self, store: Store, shards: Sequence[int]) -> ClipCondition | None:
        """Return the condition of `where`, if there is one, after a look at `text`; before any work is done.

        Args:
            store: the DIR.
            shards: those of the layer.

        Raises:
            ShardError: `text` is no text column, or `where` is no condition over the columns.
        """
        if self.text_column not in _STRINGS:
            raise ShardError(
                f"--text {self.text}: no text column (choose {', '.join(TEXT_WORDS)}, or one of {', '.join(_STRINGS)})"
            )
        if self.where is None:
            return None
        return ClipCondition(ClipColumns.open(store, self.layer, next(iter(shards), None)), self.where)
