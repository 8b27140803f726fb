"""The judge that compares words: a claim is supported if the items that it cites say the same words.

It supports a claim when all of this holds:

1. The claim cites a frame caption. Speech alone does not prove that something can be seen (`speech_alone` allows it).
2. Each number is in the evidence, in digits or words, before the thing that it counts; so is each name.
3. The evidence denies a word exactly if the claim denies it: ``a man without a hat`` does not support a hat.
4. The content words are in the evidence: a share of `min_coverage`, all of them by default.
5. At most `spoken_words` of the terms rest on speech only; the others are in cited frame captions. The default is 0,
   so that nobody who writes a subtitle can put a word into the grounded text, whatever the model obeys.

Words are compared as terms (`curation.grounding.claim_terms`). Who does what to whom is not checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from curation.grounding.claim_terms import Term, counted_ones, terms
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.judge import JudgeKind, Ruling
from runtime.settings import Settings

Objection = Literal["", "no_frame", "says_nothing", "number_or_name", "negation", "words", "spoken"]


class WordMatcherSettings(Settings):
    """Strictness of the word matcher."""

    min_coverage: float = Field(default=1.0, ge=0, le=1)
    """Share of a claim's terms that its cited evidence must hold; numbers and names are always required."""
    spoken_words: int = Field(default=0, ge=0)
    """Terms of a claim that may rest on speech alone. Above 0, speakers and subtitle writers can bring in words."""
    speech_alone: bool = False
    """Accept claims that rest on speech without any frame caption (`spoken_words` does not apply then)."""


class WordMatcher:
    """The judge of words; a `curation.grounding.judge.Judge` that asks no model."""

    def __init__(self, settings: WordMatcherSettings) -> None:
        self._settings = settings

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if there is a frame caption, or any evidence at all with `speech_alone`."""
        return any(_tells(item) or self._settings.speech_alone for item in evidence)

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order."""
        return [Ruling(find_objection(claim, self._settings)) for claim in claims]


def find_objection(claim: CitedClaim, settings: WordMatcherSettings) -> Objection:
    """Return the first reason why the cited evidence does not support the claim; empty if it does."""
    seen = [item.text for item in claim.evidence if _tells(item)]
    if not seen and not settings.speech_alone:
        return "no_frame"
    claimed = terms(claim.text)
    everything = _TermIndex.of(item.text for item in claim.evidence)
    missing = _missing(claimed, everything, settings.min_coverage)
    if missing or settings.speech_alone:
        return missing
    visible = _TermIndex.of(seen)
    spoken_only = sum(everything.holds(term) and not visible.holds(term) for term in claimed)
    return "spoken" if spoken_only > settings.spoken_words else ""


def supports(sources: Iterable[str], text: str, min_coverage: float) -> bool:
    """Return True if `sources` hold all numbers and names of `text`, its denials, and `min_coverage` of its words."""
    return _missing(terms(text), _TermIndex.of(sources), min_coverage) == ""


@dataclass(frozen=True)
class _TermIndex:
    """The terms of some evidence."""

    forms: frozenset[str]
    counts: Mapping[str, frozenset[str]]
    """For each number, the things that it counts."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> _TermIndex:
        """Collect the terms of `texts`."""
        forms: set[str] = set()
        counts: dict[str, set[str]] = {}
        for text in texts:
            for term in terms(text):
                forms.add(term.form)
                if "#" in term.form:
                    counts.setdefault(term.form, set()).update(term.followers)
            counts.setdefault("#1", set()).update(counted_ones(text))
        return cls(frozenset(forms), {number: frozenset(counted) for number, counted in counts.items()})

    def holds(self, term: Term) -> bool:
        """Return True if the evidence has the term; a number must count the same thing."""
        if term.followers:
            return term.followers[0] in self.counts.get(term.form, frozenset())
        return term.form in self.forms


def _missing(claimed: Sequence[Term], index: _TermIndex, min_coverage: float) -> Objection:
    if not claimed:
        return "says_nothing"
    absent = [term for term in claimed if not index.holds(term)]
    if any(opposite in index.forms for term in absent for opposite in term.opposites):
        return "negation"
    if any(term.exact for term in absent):
        return "number_or_name"
    return "words" if len(claimed) - len(absent) < min_coverage * len(claimed) else ""


WORD_MATCHER: Final = JudgeKind(
    WordMatcherSettings,
    is_on=lambda settings: True,
    build=lambda settings, resources: WordMatcher(settings),
)


def _tells(item: Evidence) -> bool:
    """Return True for evidence that tells what is to be seen; the words of a text in the picture don't."""
    return item.is_seen and item.kind != "text"
