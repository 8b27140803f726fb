"""Small tokenised corpora, made by the code of `train-vidlankd tokenize`."""

import random
from pathlib import Path
from typing import Any

from support.tiny_bert import WORDS, tiny_tokenizer

from training.corpus.tokenize_corpus import TokenizeSummary, tokenize
from training.corpus.tokenize_settings import TokenizeSettings


def sentences(count: int, words: int = 12, seed: int = 0) -> str:
    """Return `count` lines of `words` tokens: known words of one token each, and a full stop."""
    draw = random.Random(seed)
    return "".join(" ".join(draw.choices(WORDS, k=words - 1)) + " .\n" for _ in range(count))


def tiny_corpus(folder: Path, text: str, block: int = 14, words: tuple[str, ...] = WORDS) -> Path:
    """Tokenise `text` into `folder`/tokens, in blocks of `block` tokens and two specials."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text(text, encoding="utf-8")
    tokenise([folder / "text.txt"], folder / "tokens", tiny_tokenizer(folder / "vocabulary", words), block=block)
    return folder / "tokens"


def tokenise(
    files: list[Path], output: Path, tokenizer: Path, shards: list[str] | None = None, **settings: Any
) -> TokenizeSummary:
    """Tokenise files, in this process unless `workers` is given."""
    chosen = TokenizeSettings(**{"tokenizer": f"path://{tokenizer}", "workers": 0, **settings})
    return tokenize(files, output, chosen, shards=shards or [])
