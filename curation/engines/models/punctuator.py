"""Punctuation restoration: a token classifier predicts the mark that follows each word.

`curation.media.speech.sentences` calls it for subtitles without punctuation. Three kinds of labels are understood: one
mark (``0 . , ? - :``), as in ``oliverguhr/fullstop-punctuation-multilang-large``; a mark and a case (``OU .O ,U``:
``U`` begins the word with a capital), as in ``felflare/bert-restore-punctuation``; and names (``PERIOD``, ``COMMA``,
``QUESTION`` …).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic import Field

from runtime.errors import UserError
from runtime.settings import Runtime, Settings

_MARKS: Final[Mapping[str, str]] = {**{mark: mark for mark in ".,?!:;"}, "-": "", "'": "", "O": ""}
"""The text that each mark adds to the word; hyphens and apostrophes, which join words, add nothing."""
_NAMES: Final[Mapping[str, str]] = {
    **{"": "", "0": "", "_": "", "NONE": ""},
    **{"PERIOD": ".", "FULLSTOP": ".", "COMMA": ",", "QUESTION": "?", "QUESTIONMARK": "?", "QMARK": "?"},
    **{"EXCLAMATION": "!", "EXCLAMATIONMARK": "!", "COLON": ":", "SEMICOLON": ";", "HYPHEN": "", "DASH": ""},
}
_ENDS: Final = (".", "?", "!")
_KEPT: Final = (*_ENDS, ",", ":", ";")


class PunctuationSettings(Settings):
    """The punctuation model."""

    model: str
    """URI of a token classifier in transformers' format."""
    window_words: int = Field(default=160, ge=20, le=400)
    """Words in one window of the model."""
    overlap_words: int = Field(default=16, ge=0, le=18)
    """Words that two windows share, so that no word is classified at the edge of one."""
    batch: Runtime[int] = Field(default=8, ge=1)
    """Windows in one forward pass."""
    device: Runtime[str] = "cpu"
    """Device of the model: `cpu`, `cuda`."""


class PunctuationLabel(NamedTuple):
    """The meaning of a label for its word."""

    mark: str
    """Text added after the word; may be empty."""
    capital: bool | None
    """True if the word begins with a capital; None if the model does not predict case (sentences begin with one)."""


class Punctuator:
    """A loaded punctuation model; calling it restores the punctuation of words."""

    def __init__(self, settings: PunctuationSettings) -> None:
        """Load the model.

        Raises:
            UserError: no such model, or one of its labels is not understood.
        """
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        from runtime.models.model_uri import resolve

        path = resolve(settings.model).path
        self._settings = settings
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
        self._model: Any = AutoModelForTokenClassification.from_pretrained(path).eval().to(settings.device)
        names = self._model.config.id2label
        self._labels = [read_label(names[number], settings.model) for number in range(len(names))]
        self._cased = any(label.capital is not None for label in self._labels)
        self._lock = threading.Lock()  # a tokenizer that truncates can't be called by two threads at once

    def __call__(self, words: Sequence[str]) -> list[str]:
        """Return the same words, in number and order, with punctuation and capitals; existing marks are kept."""
        labels: list[PunctuationLabel] = []
        spans = list(_windows(len(words), self._settings.window_words, self._settings.overlap_words))
        for first in range(0, len(spans), self._settings.batch):
            some = spans[first : first + self._settings.batch]
            with self._lock:
                rows = self._classify([words[span.start : span.end] for span in some])
            for span, numbers in zip(some, rows, strict=True):
                labels += [self._labels[n] for n in numbers[span.keep_start - span.start : span.keep_end - span.start]]
        return list(_apply_labels(words, labels))

    def _classify(self, windows: Sequence[Sequence[str]]) -> list[list[int]]:
        """Return the label of every word: of its first token for models with case, of its last token for the others."""
        import torch

        limit = min(self._tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", 512))
        batch = self._tokenizer(
            [list(window) for window in windows],
            is_split_into_words=True,
            truncation=True,
            max_length=min(limit, 512),
            padding=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            best = self._model(**batch.to(self._settings.device)).logits.argmax(-1).tolist()
        nothing = self._labels.index(min(self._labels, key=lambda label: (label.mark, bool(label.capital))))
        answers = []
        for row, window in enumerate(windows):
            answer = [nothing] * len(window)
            tokens = list(enumerate(batch.word_ids(row)))
            for at, word in reversed(tokens) if self._cased else tokens:
                if word is not None:
                    answer[word] = best[row][at]
            answers.append(answer)
        return answers


def read_label(name: str, model: str) -> PunctuationLabel:
    """Return the meaning of a model's label; see the module's docstring.

    Raises:
        UserError: the label is not understood.
    """
    if name.upper() in _NAMES:
        return PunctuationLabel(_NAMES[name.upper()], None)
    if len(name) == 1 and name in _MARKS:
        return PunctuationLabel(_MARKS[name], None)
    if len(name) == 2 and name[0] in _MARKS and name[1] in "OU":
        return PunctuationLabel(_MARKS[name[0]], name[1] == "U")
    raise UserError(f"punctuation model {model!r}: its label {name!r} is not understood; name another model")


class _LabelWindow(NamedTuple):
    """A window over words, and the part of it whose labels are kept."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def _windows(count: int, size: int, overlap: int) -> Iterator[_LabelWindow]:
    """Yield windows that overlap; the parts that are kept tile the words and meet in the middle of the overlaps."""
    start = kept = 0
    while kept < count:
        end = min(start + size, count)
        keep_end = count if end == count else end - overlap // 2
        yield _LabelWindow(start, end, kept, keep_end)
        start, kept = end - overlap, keep_end


def _apply_labels(words: Sequence[str], labels: Sequence[PunctuationLabel]) -> Iterator[str]:
    begins = True
    for word, label in zip(words, labels, strict=True):
        capital = begins if label.capital is None else label.capital
        text = word[:1].upper() + word[1:] if capital else word
        text = text if text.endswith(_KEPT) else text + label.mark
        begins = text.endswith(_ENDS)
        yield text
