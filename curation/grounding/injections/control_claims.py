"""Control claims: claims whose truth is known without a person, made of the claims that a layer has.

*Untouched* claims are those of the rewrite as they are, most of which should be accepted. *Injected* errors are claims
with one error of each kind (`curation.grounding.injections.injection_registry`), and *shuffled* claims are judged by
the evidence of another video: all of these should be rejected. Claims in other languages than the parser's get no
injected errors and are counted.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.injections.donors import PEOPLE, Donors, donors_of, words_in
from curation.grounding.injections.injection import AlteredText
from curation.grounding.injections.injection_registry import INJECTION_KINDS
from curation.grounding.injections.text_edits import words_of
from curation.grounding.parsing.claim_parser import PARSED_LANGUAGE, ClaimParser, Parse
from curation.prompts.text_language import is_in

UNTOUCHED: Final = "untouched"
SHUFFLED: Final = "shuffled"
SUPPORTED: Final = "supported"
"""A claim that people call true; only of an audit."""
CONTRADICTED: Final = "contradicted"
"""A claim that people call false; only of an audit."""
CONTROL_KINDS: Final = (UNTOUCHED, *(kind.name for kind in INJECTION_KINDS), SHUFFLED)
"""All kinds that are made, in the order of tables."""
_CANDIDATES: Final = 12
"""Other videos' claims that are tried for a shuffled claim."""
_CONTEXT: Final = 2000  # characters from which a language is told
_WORD: Final = re.compile(r"\w+")
_SHORTEST: Final = 3  # letters of a word that says something, in scripts that separate words


@dataclass(frozen=True)
class SourceClaim:
    """A claim of a layer that controls are made of."""

    video: str
    clip: str
    claim: CitedClaim
    is_proposed: bool = True
    """True if a model proposed it; False for a caption or event in a claim's place, which repeats its evidence."""


@dataclass(frozen=True)
class ControlClaim:
    """A claim whose truth is known."""

    kind: str
    """One of `CONTROL_KINDS`, or what people say."""
    video: str
    clip: str
    original: str
    """The claim that it was made of."""
    claim: CitedClaim

    @property
    def is_true(self) -> bool:
        """True if the judges should accept it; for a layer's own claims, as far as its model is right."""
        return self.kind in (UNTOUCHED, SUPPORTED)


def make_controls(
    sources: Sequence[SourceClaim],
    parser: ClaimParser,
    counts: Counter[str],
    seed: int = 0,
    others: Sequence[SourceClaim] = (),
) -> list[ControlClaim]:
    """Return all controls that can be made of claims: of each claim, at most one of each kind.

    Args:
        sources: claims with the evidence that they cite; those that cite nothing that can be seen are left out.
        parser: parses claims and evidence.
        counts: ``no_evidence``, ``other_language``, and ``unfit:<kind>`` for claims in which there is nothing to
            alter, or whose alteration the evidence may agree with.
        seed: of the choice between alterations; the same claims and seed give the same controls.
        others: more claims, of which no controls are made: objects, places and other evidence are taken from them.
    """
    usable = [source for source in sources if any(item.is_seen for item in source.claim.evidence)]
    counts["no_evidence"] += len(sources) - len(usable)
    context = _seen_texts([*usable, *others])
    parsed = [source for source in usable if is_in(source.claim.text, (PARSED_LANGUAGE,), context)]
    counts["other_language"] += len(usable) - len(parsed)
    untouched = [_control(UNTOUCHED, source, source.claim) for source in usable if source.is_proposed]
    injected = list(_injected(parsed, others, parser, counts, seed))
    return [*untouched, *injected, *_shuffled(usable, others, counts, seed)]


def _seen_texts(sources: Sequence[SourceClaim]) -> str:
    """Return the beginning of all that is seen: a claim of a word or two is in the language of the layer."""
    texts = dict.fromkeys(item.text for source in sources for item in source.claim.evidence if item.is_seen)
    return " ".join(texts)[:_CONTEXT]


def _control(kind: str, source: SourceClaim, claim: CitedClaim) -> ControlClaim:
    return ControlClaim(kind, source.video, source.clip, source.claim.text, claim)


def _injected(
    sources: Sequence[SourceClaim],
    others: Sequence[SourceClaim],
    parser: ClaimParser,
    counts: Counter[str],
    seed: int,
) -> Iterator[ControlClaim]:
    evidence = [item.text for source in sources for item in source.claim.evidence]
    parses = parser.parse([*(source.claim.text for source in (*sources, *others)), *evidence])
    by_video: dict[str, list[Parse]] = {}
    for source in (*sources, *others):
        by_video.setdefault(source.video, []).append(parses[source.claim.text])
    words = {video: words_in(of_video) for video, of_video in by_video.items()}

    @cache
    def donors(video: str) -> Donors:
        return donors_of(words, video)

    for kind in INJECTION_KINDS:
        for source in sources:
            chance = random.Random(f"{seed}/{kind.name}/{source.clip}/{source.claim.text}")
            proposed = kind.alter(parses[source.claim.text], donors(source.video), chance)
            altered = next((text for text in proposed if _is_false(text, source.claim, parses)), None)
            if altered is None:
                counts[f"unfit:{kind.name}"] += 1
            else:
                yield _control(kind.name, source, CitedClaim(altered.text, source.claim.evidence))


def _is_false(altered: AlteredText, claim: CitedClaim, parses: Mapping[str, Parse]) -> bool:
    """Return True if an altered text differs from the claim and from all evidence, which has none of its new words."""
    plain = _plain(altered.text)
    texts = [_plain(text) for text in (claim.text, *(item.text for item in claim.evidence))]
    if plain == texts[0] or any(plain in text for text in texts[1:]):
        return False
    known = {word for item in claim.evidence for word in words_of(parses[item.text])}
    known |= {word for text in texts for word in _WORD.findall(text)}
    if known & PEOPLE and set(altered.introduced) & PEOPLE:
        return False
    return not any(
        word in known or (" " in word and any(word in text for text in texts)) for word in altered.introduced
    )


def _shuffled(
    sources: Sequence[SourceClaim], more: Sequence[SourceClaim], counts: Counter[str], seed: int
) -> Iterator[ControlClaim]:
    """Yield claims with the evidence of a claim of another video; it must not hold all words of the claim."""
    for source in sources:
        others = [other for other in (*sources, *more) if other.video != source.video]
        chance = random.Random(f"{seed}/{SHUFFLED}/{source.clip}/{source.claim.text}")
        tried = chance.sample(others, min(_CANDIDATES, len(others)))
        fit = next((other for other in tried if _is_of_another(source.claim, other.claim.evidence)), None)
        if fit is None:
            counts[f"unfit:{SHUFFLED}"] += 1
        else:
            yield _control(SHUFFLED, source, CitedClaim(source.claim.text, fit.claim.evidence))


def _is_of_another(claim: CitedClaim, evidence: Sequence[Evidence]) -> bool:
    shown = _plain(" ".join(item.text for item in evidence))
    own = {_plain(item.text) for item in claim.evidence}
    words = [word for word in _WORD.findall(_plain(claim.text)) if len(word) >= _SHORTEST or not word.isascii()]
    return bool(words) and not all(word in shown for word in words) and not any(text in shown for text in own)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!?")
