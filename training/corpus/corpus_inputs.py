"""Inputs of a text corpus: files (text, WikiText, gzip, Parquet) or a text column of curated shards.

Each input is inspected before any work (`inspect_files`, `inspect_shards`); everything that can be wrong with it at
that point is reported. `training.corpus.corpus_parts` cuts inputs into parts, and `training.corpus.tokenize_corpus`
turns them into tokens.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from runtime.errors import UserError, is_machine_fault, nearest
from runtime.settings import content_hash
from shards.dataset import Dataset
from shards.keys import shard_name
from shards.schema import TEXT
from training.corpus.format_detection import HEAD_BYTES, check_parquet, detect_format
from training.corpus.token_files import InputRecord
from training.corpus.tokenize_settings import ReadingSettings

_WIKITEXT: Final = re.compile(r"wiki-?text|wiki\.\w+\.(tokens|raw)", re.IGNORECASE)


def inspect_files(paths: Sequence[str | Path], settings: ReadingSettings) -> tuple[InputRecord, ...]:
    """Open each file briefly and describe it.

    Raises:
        UserError: a file does not exist, is a folder, can't be read, is named twice, has a format that is not
            supported, or lacks the column.
    """
    _refuse_duplicates("--corpus", [os.path.realpath(path) for path in paths])
    return tuple(_inspect_file(Path(path), settings) for path in paths)


def inspect_shards(roots: Sequence[str], settings: ReadingSettings) -> tuple[InputRecord, ...]:
    """Open DIRs that `curate run` wrote and choose the text layer.

    Raises:
        UserError: there is no such column, a DIR is named twice, or the text layer is ambiguous.
        ShardError: a DIR can't be read.
    """
    if not roots:
        return ()
    from training.data.sources.shard_tables import open_shards  # imports torch, which workers don't need

    column = settings.column or "grounded_text"
    columns = [field.name for field in TEXT if pa.types.is_string(field.type)]
    if column not in columns:
        raise UserError(f"--column {column}: shards have no text column of that name{nearest(column, columns)}")
    _refuse_duplicates("--shards", roots)
    open_shards(roots, {settings.layer: 1.0} if settings.layer else None, settings.selection)
    datasets = [Dataset(root, settings.layer or _only_layer(root), settings.selection) for root in roots]
    return tuple(_inspect_dir(dataset, column) for dataset in datasets)


def _refuse_duplicates(flag: str, names: Sequence[str]) -> None:
    """Refuse an input that is named twice: its text could be both trained on and held out."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{flag} {twice[0]}: is named twice; leave one out")


def _inspect_file(path: Path, settings: ReadingSettings) -> InputRecord:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        status = path.stat()
    except FileNotFoundError:
        raise UserError(f"--corpus {path}: there is no such file (the shell expands patterns: no quotes)") from None
    except IsADirectoryError:
        raise UserError(f"--corpus {path}: is a folder; name its files, or a DIR of shards with --shards") from None
    except PermissionError:
        raise UserError(f"--corpus {path}: can't be read; change its permissions") from None
    except OSError as error:  # a path below a file, a name too long, a loop of links
        if is_machine_fault(error):
            raise
        raise UserError(f"--corpus {path}: can't be opened ({error.strerror}); name a file") from None
    kind = detect_format(path, head, settings.format)
    column = None
    if kind == "parquet":
        column = settings.column or "text"
        check_parquet(path, column)
    return InputRecord(
        path=str(path.absolute()),
        kind=kind,
        size=status.st_size,
        mark=str(status.st_mtime_ns),
        wikitext=settings.format == "wikitext"
        or (settings.format == "auto" and bool(_WIKITEXT.search("/".join(path.absolute().parts[-2:])))),
        column=column,
    )


def _only_layer(root: str) -> str:
    from shards.reader import text_layers
    from shards.storage.store import Store

    return next(iter(text_layers(Store(root))))


def _inspect_dir(dataset: Dataset, column: str) -> InputRecord:
    entries, selection = dataset.store.list(f"text/{dataset.layer}"), dataset.selection
    tables = {number: entries[f"{shard_name(number)}.parquet"] for number in dataset.shards}
    return InputRecord(
        path=dataset.store.root,
        kind="shards",
        size=sum(table.size for table in tables.values()),
        mark=content_hash(
            [[number, table.size, table.token] for number, table in tables.items()],
            *([] if selection is None else [selection.digest]),
        ),
        wikitext=False,
        column=column,
        layer=dataset.layer,
        selection=None if selection is None else selection.name,
    )
