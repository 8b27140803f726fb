"""The tokenizer of a text tower: CLIP's own, or one of Hugging Face that open_clip's configuration names.

A Hugging Face tokenizer is read from the files beside the weights where there are some, as open_clip does, and saved
with the model: an export needs no hub.

Shapes: B texts, L tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from runtime.errors import UserError, one_line
from runtime.models import hub

_FILE: Final = "tokenizer.json"
_CONFIG: Final = "tokenizer_config.json"

TOKENIZER_FILES: Final = (
    _FILE, _CONFIG, "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt",
    "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
"""Names of the files that a Hugging Face tokenizer is kept in."""


class Tokenizer:
    """Turns texts into tokens, int64 [B, L], cut to the context length; it is pickled as its configuration."""

    def __init__(self, text_cfg: Mapping[str, Any], folder: Path | None = None) -> None:
        """Build the tokenizer of a text tower.

        Args:
            text_cfg: open_clip's configuration of the text tower.
            folder: may hold the files of a Hugging Face tokenizer; otherwise these are fetched by its name.

        Raises:
            UserError: the named tokenizer can't be had.
        """
        self.text_cfg = copy.deepcopy(dict(text_cfg))
        self._folder = folder
        context = int(text_cfg.get("context_length", 77))
        self.context = context
        """Tokens that the text tower takes, with those that begin and end a text."""
        options = text_cfg.get("tokenizer_kwargs") or {}
        self._tokenizer: Callable[[list[str]], torch.Tensor]
        if name := text_cfg.get("hf_tokenizer_name"):
            mode = text_cfg.get("tokenizer_mode")
            source = _source(str(name), folder)
            try:
                self._tokenizer = HFTokenizer(source, context_length=context, tokenizer_mode=mode, **options)
            except (OSError, ValueError) as error:
                raise UserError(f"tokenizer {source}: can't be read ({one_line(error, keep='first')})") from None
        else:
            self._tokenizer = SimpleTokenizer(context_length=context, **options)

    def count(self, text: str) -> int:
        """Return the number of tokens of a whole text, with those that begin and end it."""
        tokenizer = self._tokenizer
        if isinstance(tokenizer, SimpleTokenizer):
            return len(tokenizer.encode(text)) + 2
        assert isinstance(tokenizer, HFTokenizer), "there are two kinds of tokenizer"
        return len(tokenizer.tokenizer(tokenizer.clean_fn(text)).input_ids)

    def with_context(self, tokens: int) -> Tokenizer:
        """Return the same tokenizer for texts of up to `tokens` tokens."""
        return Tokenizer({**self.text_cfg, "context_length": tokens}, self._folder)

    def save(self, folder: Path) -> None:
        """Write the files of a Hugging Face tokenizer into a folder; nothing for CLIP's, which is in open_clip."""
        if isinstance(self._tokenizer, HFTokenizer):
            self._tokenizer.save_pretrained(str(folder))

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the tokens of each text."""
        return self._tokenizer(list(texts))

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[dict[str, Any], Path | None]]:
        return Tokenizer, (self.text_cfg, self._folder)


def _source(name: str, folder: Path | None) -> str:
    """Return the folder with a tokenizer's files: beside the weights, a path, or the hub's cache.

    Raises:
        UserError: the hub can't be reached, and nothing of this name is here.
    """
    for place in (folder, Path(name)):
        if place is not None and (place / _CONFIG).is_file():
            return str(place)
    hub.fetch_file(f"tokenizer {name}", name, [_FILE])
    return str(hub.fetch_file(f"tokenizer {name}", name, [_CONFIG]).parent)
