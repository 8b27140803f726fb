"""Tokenisation of a corpus: text becomes one stream of tokens on disk (`training.corpus.token_files`).

    train-vidlankd tokenize --corpus wiki.txt --output wiki

Inputs are cut into parts. A worker tokenises a part and commits it by rename, its record last. A run that was stopped
keeps its complete parts. Parts follow from the input alone, so the tokens do not depend on the number of workers.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from pydantic import ValidationError

from runtime.errors import UserError
from runtime.progress_bar import progress_bar
from shards.storage.store import Store
from training.corpus.corpus_inputs import inspect_files, inspect_shards
from training.corpus.corpus_parts import split_into_parts
from training.corpus.part_tokenizer import PartTokenizer
from training.corpus.token_files import (
    PARTS,
    PLAN,
    RECORD,
    TOKENIZER,
    PartRecord,
    TokenizePlan,
    TokensRecord,
    TokenType,
    is_whole,
    read_record,
    token_type,
)
from training.corpus.tokenize_settings import TokenizeSettings
from training.corpus.tokenizer_pool import tokenize_parts
from training.models.vidlankd.text_tokenizer import TextTokenizer

_MB: Final = 1 << 20
_LOCK: Final = ".lock"


@dataclass(frozen=True)
class TokenizeSummary:
    """Result of a run."""

    record: TokensRecord
    kept: int
    """Number of parts that an earlier run had completed."""
    seconds: float

    def text(self) -> str:
        """Return the summary as one line."""
        counts = self.record.counts
        left_out = ", ".join(f"{counts[name]:,} {name}" for name in ("empty", "headings", "short") if counts.get(name))
        lines = f"{counts['lines']:,} lines" + (f" ({left_out} left out)" if left_out else "")
        before = f", {self.kept} from an earlier run" if self.kept else ""
        unk = counts.get("unk", 0)
        hint = f" · {unk:,} lines hold WikiText's <unk>, tokenised as letters; its raw files have none" if unk else ""
        return (
            f"{lines}, {counts['bytes'] / 1e6:,.1f} MB: {self.record.tokens:,} tokens, {self.record.blocks:,} blocks "
            f"of {self.record.block} in {len(self.record.parts)} parts{before} · {self.seconds:.1f} s{hint}"
        )


def tokenize(
    corpus: Sequence[str | Path], output: Path, settings: TokenizeSettings, *, shards: Sequence[str] = ()
) -> TokenizeSummary:
    """Turn text into a tokenised corpus, or finish one that an earlier run began.

    Args:
        corpus: text files, in order.
        output: folder of the tokenised corpus.
        settings: how text is read, tokenised and cut.
        shards: DIRs that `curate run` wrote; the texts of their kept training clips are read after the files.

    Raises:
        UserError: an input can't be used, bytes are in another encoding, there is no text at all, or the output holds
            something else.
        ShardError: a DIR can't be read.
        MachineError: a worker died.
        OSError: the disk is full, or permission is denied; complete parts are kept.
    """
    began = time.monotonic()
    inputs = (*inspect_files(corpus, settings), *inspect_shards(shards, settings))
    if not inputs:
        raise UserError("--corpus: name at least one text file, or a DIR with --shards")
    tokenizer = TextTokenizer.from_uri(settings.tokenizer)
    content = {name: value for name, value in settings.content().items() if name != "tokenizer"}
    plan = TokenizePlan(tokenizer=tokenizer.identity, settings=content, inputs=inputs)
    with _locked_output(output, plan) as store:
        if store.exists(RECORD):
            record = read_record(output)
            return TokenizeSummary(record, len(record.parts), time.monotonic() - began)
        (output / TOKENIZER).mkdir(exist_ok=True)
        tokenizer.save(output / TOKENIZER)
        dtype = token_type(tokenizer.vocab_size)
        done = _completed_parts(store, dtype)
        parts = _tokenize_all(plan, settings, PartTokenizer(store, settings, tokenizer, dtype), done)
        record = _record(plan, tokenizer, dtype, settings.block, parts)
        store.commit_bytes(record.model_dump_json(indent=1).encode(), RECORD)
    return TokenizeSummary(record, len(done), time.monotonic() - began)


@contextmanager
def _locked_output(output: Path, plan: TokenizePlan) -> Iterator[Store]:
    """Lock the output folder against other runs, and write the plan into it.

    Raises:
        UserError: another run is using it, or the folder holds something else or was begun with other settings.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"--output {output}: is a file, or is below one; name a folder") from None
    store = Store(output)
    try:
        with FileLock(output / _LOCK, timeout=0):
            _check_plan(output, store, plan)
            for folder in ("", PARTS):
                store.sweep(folder)
            store.commit_bytes(plan.model_dump_json(indent=1).encode(), PLAN)
            yield store
    except Timeout:
        raise UserError(f"--output {output}: another `train-vidlankd tokenize` is writing there; wait for it") from None


def _check_plan(output: Path, store: Store, plan: TokenizePlan) -> None:
    if not store.exists(PLAN):
        if unknown := sorted(path.name for path in output.iterdir() if path.name != _LOCK):
            raise UserError(f"--output {output}: holds {unknown[0]}, and no corpus; name a new folder")
        return
    try:
        before = TokenizePlan.model_validate_json(store.read_bytes(PLAN))
    except ValidationError:
        raise UserError(f"--output {output}: {PLAN} can't be read; name a new folder") from None
    if changed := _difference(before, plan):
        raise UserError(f"--output {output}: was begun with {changed}; name a new folder, or remove this one")


def _difference(before: TokenizePlan, now: TokenizePlan) -> str | None:
    """Describe how an earlier plan differs; None if it is equal."""
    if before.tokenizer != now.tokenizer:
        return f"another tokenizer ({before.tokenizer}, not {now.tokenizer})"
    for name, value in now.settings.items():
        if before.settings.get(name) != value:
            return f"{name}={before.settings.get(name)}, not {value}"
    if [one.path for one in before.inputs] != [one.path for one in now.inputs]:
        return f"other inputs ({', '.join(Path(one.path).name for one in before.inputs)})"
    changed = [one.path for one, other in zip(now.inputs, before.inputs, strict=True) if one != other]
    return f"an earlier version of {changed[0]}" if changed else None


def _completed_parts(store: Store, dtype: TokenType) -> dict[int, PartRecord]:
    """Return the complete parts of an earlier run, by number; those with an unreadable or wrong record are left out."""
    completed: dict[int, PartRecord] = {}
    for name in store.list(PARTS):
        number, _, kind = name.partition(".")
        if not (number.isdecimal() and kind == "json"):
            continue
        try:
            part = PartRecord.model_validate_json(store.read_bytes(f"{PARTS}/{name}"))
        except ValidationError:
            continue
        if part.name == f"{number}.bin" and is_whole(Path(store.root), part, dtype):
            completed[int(number)] = part
    return completed


def _tokenize_all(
    plan: TokenizePlan, settings: TokenizeSettings, part_tokenizer: PartTokenizer, done: Mapping[int, PartRecord]
) -> list[PartRecord]:
    """Return the record of every part, in order, and tokenise those that are not complete."""
    total = sum(source.size for source in plan.inputs)
    part_bytes = int((settings.part_mb or min(max(total / 64 / _MB, 1), 32)) * _MB)
    parts = enumerate(itertools.chain.from_iterable(split_into_parts(source, part_bytes) for source in plan.inputs))
    workers = len(os.sched_getaffinity(0)) if settings.workers is None else settings.workers
    workers = min(workers, -(-total // part_bytes))
    records: list[PartRecord] = []
    read = 0
    with progress_bar("tokenizing (MB)") as advance:
        for weight, record in tokenize_parts(part_tokenizer, parts, workers, done):
            records.append(record)
            read += weight
            advance(read // _MB, total // _MB)
    return records


def _record(
    plan: TokenizePlan, tokenizer: TextTokenizer, dtype: TokenType, block: int, parts: Sequence[PartRecord]
) -> TokensRecord:
    """Add up the parts; refuse a corpus without tokens."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    tokens = sum(part.tokens for part in parts)
    if not tokens:
        first = plan.inputs[0].path
        raise UserError(
            f"--corpus {first}: no text in {counts['lines']} lines of {len(plan.inputs)} inputs; name others"
        )
    return TokensRecord(
        plan=plan,
        vocab_size=tokenizer.vocab_size,
        dtype=dtype,
        block=block,
        tokens=tokens,
        counts=dict(counts),
        parts=tuple(parts),
    )
