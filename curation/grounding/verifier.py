"""The verifier: which claims of a rewrite are kept. It never trusts the model that wrote them.

A claim is *supported* when all of this holds for the evidence it cites (items that exist; others are ignored):

1. It cites a frame caption. Speech alone is no proof that something can be seen (`speech_alone` allows it).
2. Each number is there, written in digits or words, next to what it counts; each named thing is there.
3. What it denies is denied there, and what it says is not: ``a man without a hat`` supports no hat.
4. Its content words are there: a share of `min_coverage`, all of them by default.
5. Of its terms, at most `spoken_words` rest on speech only; the others stand in cited frame captions. The default is
   none: whoever writes a subtitle can then put no word into the grounded text, whatever the model obeys.

Words are compared as terms (`curation.grounding.claim_terms`), so who does what to whom is not checked: that takes the second
opinion of an LLM (`second_opinion`), which can only take claims away. `curation.text.rewriter` calls this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from curation.grounding.claim_terms import Term, counted_ones, terms
from curation.grounding.evidence import Evidence, by_reference
from curation.prompts.wording import in_sentences, tidy
from runtime.settings import Settings
from shards.schema import RewriteStatus

VerdictName = Literal["supported", "unsupported", "uncited"]
Reason = Literal["", "uncited", "no_frame", "says_nothing", "number_or_name", "negation", "words", "spoken", "opinion"]


class GroundSettings(Settings):
    """How strict the verifier is."""

    min_coverage: float = Field(default=1.0, ge=0, le=1)
    """Share of a claim's terms that must stand in its cited evidence; numbers and names always must."""
    spoken_words: int = Field(default=0, ge=0)
    """Terms of a claim that may rest on speech alone. Above 0, speakers and subtitle writers can bring in words."""
    speech_alone: bool = False
    """Accept claims that rest on speech without any frame caption (`spoken_words` does not apply then)."""
    second_opinion: bool = False
    """Ask the LLM about every claim that passed, with its evidence; only what both accept is kept."""


@dataclass(frozen=True)
class Claim:
    """One statement of a model, with what it says it rests on."""

    text: str
    cited: tuple[str, ...] = ()
    """Labels or ids of evidence, as the model wrote them."""


@dataclass(frozen=True)
class Verdict:
    """A claim as judged."""

    text: str
    verdict: VerdictName
    evidence: tuple[str, ...]
    """Ids of the cited items that exist."""
    reason: Reason = ""
    """Why it is not supported; empty where it is."""


@dataclass(frozen=True)
class Grounded:
    """The outcome for one clip, as stored."""

    text: str | None
    status: RewriteStatus
    verdicts: tuple[Verdict, ...] = ()
    score: float | None = None
    """Share of claims supported; only where `status` is ``ok``."""


def verify(claims: Iterable[Claim], evidence: Sequence[Evidence], settings: GroundSettings) -> list[Verdict]:
    """Judge each claim against the evidence it cites; empty claims and repetitions are left out."""
    references = by_reference(evidence)
    verdicts: dict[str, Verdict] = {}
    for claim in claims:
        text = tidy(claim.text)
        if text and text.casefold() not in verdicts:
            cited = {item.id: item for name in claim.cited if (item := references.get(name.strip().casefold()))}
            verdicts[text.casefold()] = _judge(text, list(cited.values()), settings)
    return list(verdicts.values())


def supports(sources: Iterable[str], text: str, min_coverage: float) -> bool:
    """Whether `sources` bear out `text`: numbers and names all, no denial turned round, words by `min_coverage`."""
    return _missing(terms(text), _Pool.of(sources), min_coverage) == ""


def reject(verdict: Verdict) -> Verdict:
    """The verdict after a second opinion that does not agree."""
    return replace(verdict, verdict="unsupported", reason="opinion")


def conclude(verdicts: Sequence[Verdict] | None, evidence: Sequence[Evidence], *, abstained: bool) -> Grounded:
    """What is stored for a clip.

    ============  ============================================================================
    ``ok``        at least one claim is supported: the text is the supported claims
    ``abstained`` the model said that nothing can be seen, or there is no frame caption to fall
                  back on (and, where the model answered, no supported claim); no text
    ``fallback``  no usable answer, or no claim is supported: the text is the frame captions
    ``failed``    no usable answer, and no frame caption to fall back on; no text
    ============  ============================================================================

    Args:
        verdicts: of the model's claims; ``None`` where it gave no usable answer.
        evidence: all evidence of the clip.
        abstained: the model abstained in so many words, or nothing was asked for want of evidence.
    """
    judged = tuple(verdicts or ())
    kept = [verdict for verdict in judged if verdict.verdict == "supported"]
    if abstained:
        return Grounded(None, "abstained", judged)
    if kept:
        return Grounded(in_sentences(verdict.text for verdict in kept), "ok", judged, len(kept) / len(judged))
    captions = _captions_as_claims(evidence)
    if captions:
        text = in_sentences(verdict.text for verdict in captions)
        return Grounded(text, "fallback", (*captions, *judged))
    return Grounded(None, "failed" if verdicts is None else "abstained", judged)


def _captions_as_claims(evidence: Sequence[Evidence]) -> tuple[Verdict, ...]:
    """Each distinct frame caption as a claim that rests on the frames it was said of."""
    frames: dict[str, list[Evidence]] = {}
    for item in evidence:
        if item.kind == "frame":
            frames.setdefault(item.text.casefold(), []).append(item)
    return tuple(Verdict(items[0].text, "supported", tuple(item.id for item in items)) for items in frames.values())


@dataclass(frozen=True)
class _Pool:
    """The terms of some evidence."""

    forms: frozenset[str]
    counts: Mapping[str, frozenset[str]]
    """For each number, what it stands before."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> _Pool:
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
        """Whether the evidence says the term; a number must stand before the same thing."""
        if term.followers:
            return term.followers[0] in self.counts.get(term.form, frozenset())
        return term.form in self.forms


def _judge(text: str, cited: list[Evidence], settings: GroundSettings) -> Verdict:
    reason = _objection(text, cited, settings)
    name: VerdictName = "supported" if not reason else "uncited" if reason == "uncited" else "unsupported"
    return Verdict(text, name, tuple(item.id for item in cited), reason)


def _objection(text: str, cited: list[Evidence], settings: GroundSettings) -> Reason:
    """Why the cited evidence does not support the claim; empty where it does."""
    if not cited:
        return "uncited"
    seen = [item.text for item in cited if item.kind == "frame"]
    if not seen and not settings.speech_alone:
        return "no_frame"
    claimed = terms(text)
    everything = _Pool.of(item.text for item in cited)
    missing = _missing(claimed, everything, settings.min_coverage)
    if missing or settings.speech_alone:
        return missing
    visible = _Pool.of(seen)
    spoken_only = sum(everything.holds(term) and not visible.holds(term) for term in claimed)
    return "spoken" if spoken_only > settings.spoken_words else ""


def _missing(claimed: Sequence[Term], pool: _Pool, min_coverage: float) -> Reason:
    if not claimed:
        return "says_nothing"
    absent = [term for term in claimed if not pool.holds(term)]
    if any(opposite in pool.forms for term in absent for opposite in term.opposites):
        return "negation"
    if any(term.exact for term in absent):
        return "number_or_name"
    return "words" if len(claimed) - len(absent) < min_coverage * len(claimed) else ""
