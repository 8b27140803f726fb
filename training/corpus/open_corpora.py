"""Opens the tokenised corpora of a run, and checks that they fit together; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.errors import UserError
from training.corpus.corpus_settings import TextSettings
from training.corpus.token_files import TokenBlocks


def open_corpora(settings: TextSettings) -> tuple[list[TokenBlocks], list[TokenBlocks] | None]:
    """Return the corpora to train on, and those to score on; None: the end of each corpus is scored on.

    Raises:
        UserError: no corpus is named, one can't be used or is empty, or their tokenizers or block lengths differ.
    """
    corpora = _open_all(settings.corpus, "--corpus")
    valid = _open_all((settings.valid,), "--valid") if settings.valid is not None else None
    _check_compatible([*corpora, *(valid or [])])
    return corpora, valid


def _open_all(folders: Mapping[str, float] | Sequence[str], flag: str) -> list[TokenBlocks]:
    corpora = [TokenBlocks.open(folder) for folder in folders]
    if not corpora:
        raise UserError(f"{flag}: name at least one folder that `train-vidlankd tokenize` wrote")
    for corpus in corpora:
        if not len(corpus):
            raise UserError(f"{flag} {corpus.folder}: holds no tokens; tokenize a file that has text")
    return corpora


def _check_compatible(corpora: Sequence[TokenBlocks]) -> None:
    """Refuse corpora with different tokenizers or block lengths."""
    one = corpora[0]
    for other in corpora[1:]:
        if other.tokenizer.identity != one.tokenizer.identity:
            raise UserError(
                f"corpora {one.folder} and {other.folder} have different tokenizers ({one.tokenizer.identity} and "
                f"{other.tokenizer.identity}); tokenize both with one"
            )
        if other.length != one.length:
            raise UserError(
                f"corpora {one.folder} and {other.folder} have blocks of {one.length - 2} and {other.length - 2} "
                "tokens; tokenize both with one --block"
            )
