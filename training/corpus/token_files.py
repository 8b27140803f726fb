"""A tokenised corpus on disk: one stream of tokens in parts, its record, and its blocks.

    OUTPUT/tokens.json          inputs, settings, and the parts in order; written last
    OUTPUT/plan.json            inputs and settings of the run; written first
    OUTPUT/tokenizer/           tokenizer.json, tokenizer_config.json
    OUTPUT/parts/00000.bin      uint16 (uint32 from 65,537 entries on), little-endian, no specials
    OUTPUT/parts/00000.json     record of the part; marks it complete

`training.corpus.tokenize_corpus` writes it. `TokenBlocks` maps it into memory and cuts the stream into blocks, which
`training.corpus.block_batches` turns into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.errors import UserError
from runtime.settings import content_hash
from shards.manifest import MANIFEST
from training.models.vidlankd.text_tokenizer import TextTokenizer

RECORD: Final = "tokens.json"
PLAN: Final = "plan.json"
PARTS: Final = "parts"
TOKENIZER: Final = "tokenizer"

_OPEN_PARTS: Final = 128  # each mapped file takes one file descriptor

TokenType = Literal["uint16", "uint32"]


class _StoredRecord(BaseModel):
    """Base of the records of this module: frozen, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PartRecord(_StoredRecord):
    """One part of the stream."""

    name: str
    """File name below `parts/`."""
    tokens: int
    sha256: str
    counts: dict[str, int]
    """Bytes and lines read, and lines left out by reason."""


class InputRecord(_StoredRecord):
    """One input, described at the time it was read."""

    path: str
    kind: str
    """`text`, `gzip`, `parquet` or `shards`."""
    size: int
    """Bytes."""
    mark: str
    """Modification mark: it changes when the input is rewritten."""
    wikitext: bool
    """True if headings are left out."""
    column: str | None = None
    layer: str | None = None
    selection: str | None = None


class TokenizePlan(_StoredRecord):
    """Everything that decides the tokens; a run resumes in a folder only if its plan is equal."""

    tokenizer: str
    """Identity of the tokenizer."""
    settings: dict[str, Any]
    inputs: tuple[InputRecord, ...]


class TokensRecord(_StoredRecord):
    """Record of a complete corpus."""

    format: Literal[1] = 1
    plan: TokenizePlan
    vocab_size: int
    dtype: TokenType
    block: int
    """Tokens of a block, without specials."""
    tokens: int
    counts: dict[str, int]
    parts: tuple[PartRecord, ...]

    @property
    def identity(self) -> str:
        """Hash of the tokens and of how they are cut into blocks; not of their origin."""
        return content_hash(self.plan.tokenizer, self.block, [part.sha256 for part in self.parts if part.tokens])

    @property
    def blocks(self) -> int:
        """Number of blocks in the stream; the last one may be padded."""
        return -(-self.tokens // self.block)


class TokenBlocks:
    """Blocks of one tokenised corpus; cheap to open, and can be pickled."""

    def __init__(self, folder: Path) -> None:
        """Open a corpus.

        Raises:
            UserError: there is no complete corpus, a part is truncated, or the tokenizer is not the one it was made
                with.
        """
        self.folder = folder
        self._record = read_record(folder)
        self.tokenizer = TextTokenizer.from_folder(folder / TOKENIZER)
        if self.tokenizer.identity != self._record.plan.tokenizer:
            raise UserError(
                f"corpus {folder}: {TOKENIZER}/ is not the tokenizer it was made with ({self.tokenizer.identity}, not "
                f"{self._record.plan.tokenizer}); tokenize into a new folder"
            )
        self._ends = np.cumsum([part.tokens for part in self._record.parts], dtype=np.int64)
        self._mapped = lru_cache(_OPEN_PARTS)(self._map)

    @classmethod
    def open(cls, folder: str | Path) -> TokenBlocks:
        """Open the corpus in `folder`; raises as the constructor does."""
        return cls(Path(folder))

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenBlocks, (self.folder,)

    def __len__(self) -> int:
        return self._record.blocks

    @property
    def identity(self) -> str:
        """Hash of the tokenizer, the tokens and the length of a block."""
        return self._record.identity

    @property
    def length(self) -> int:
        """Tokens of a row, [CLS] and [SEP] included."""
        return self._record.block + 2

    def rows(self, numbers: Sequence[int]) -> NDArray[np.int64]:
        """Return blocks by number, int64 [B, L]: [CLS], the tokens, [SEP]; the last block of the corpus is padded.

        Raises:
            IndexError: there is no such block.
        """
        ids_BL = np.full((len(numbers), self.length), self.tokenizer.pad, np.int64)
        ids_BL[:, 0] = self.tokenizer.cls
        for row, number in enumerate(numbers):
            if not 0 <= number < len(self):
                raise IndexError(f"corpus {self.folder}: no block {number} among {len(self)}")
            begin = number * self._record.block
            tokens = self._span(begin, min(begin + self._record.block, self._record.tokens))
            ids_BL[row, 1 : len(tokens) + 1] = tokens
            ids_BL[row, len(tokens) + 1] = self.tokenizer.sep
        return ids_BL

    def _span(self, begin: int, end: int) -> NDArray[Any]:
        """Return tokens of the stream, across the borders of parts."""
        pieces: list[NDArray[Any]] = []
        while begin < end:
            part = int(np.searchsorted(self._ends, begin, side="right"))
            first = int(self._ends[part]) - self._record.parts[part].tokens
            stop = min(end, int(self._ends[part]))
            pieces.append(self._mapped(part)[begin - first : stop - first])
            begin = stop
        return np.concatenate(pieces)

    def _map(self, part: int) -> NDArray[Any]:
        file = self.folder / PARTS / self._record.parts[part].name
        return np.memmap(file, np.dtype(self._record.dtype).newbyteorder("<"), "r")


def token_type(vocab_size: int) -> TokenType:
    """Return the narrowest type that holds every id."""
    return "uint16" if vocab_size <= 1 << 16 else "uint32"


def to_bytes(ids: NDArray[Any], dtype: TokenType) -> bytes:
    """Encode tokens as they are stored in a part."""
    return np.ascontiguousarray(ids, np.dtype(dtype).newbyteorder("<")).tobytes()


def read_record(folder: Path) -> TokensRecord:
    """Return the record of a corpus, after checking that every part exists and has its size.

    Raises:
        UserError: there is no such corpus, it is incomplete or of another format, or a part is missing or truncated.
    """
    file = folder / RECORD
    try:
        record = TokensRecord.model_validate_json(file.read_bytes())
    except NotADirectoryError:
        raise UserError(
            f"corpus {folder}: is a file; tokenize it with `train-vidlankd tokenize --corpus {folder} --output "
            "DIR`, and name DIR"
        ) from None
    except FileNotFoundError:
        raise UserError(f"corpus {folder}: {_missing(folder)}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise UserError(
            f"corpus {folder}: {RECORD} can't be used ({where}: {first['msg']}); tokenize into a new folder"
        ) from None
    if broken := [part.name for part in record.parts if not is_whole(folder, part, record.dtype)]:
        raise UserError(
            f"corpus {folder}: {PARTS}/{broken[0]} is missing or truncated; remove {RECORD} there and run "
            "`train-vidlankd tokenize` again"
        )
    return record


def _missing(folder: Path) -> str:
    """Return why a folder without a record is no corpus, and the remedy."""
    tokenize = f"`train-vidlankd tokenize --corpus FILE --output {folder}`"
    if not folder.exists():
        return f"there is no such folder; check the path, or make it with {tokenize}"
    if (folder / PARTS).is_dir():
        return f"no {RECORD} there; it was not finished; run {tokenize} again with the same files"
    if (folder / MANIFEST).is_file():
        return f"is a DIR of shards; tokenize its texts with `train-vidlankd tokenize --shards {folder} --output DIR`"
    return f"no {RECORD} there; name a folder that `train-vidlankd tokenize` wrote, or make another with its --output"


def is_whole(folder: Path, part: PartRecord, dtype: TokenType) -> bool:
    """Return True if a part's file exists and has its size."""
    path = folder / PARTS / part.name
    return path.is_file() and path.stat().st_size == part.tokens * np.dtype(dtype).itemsize
