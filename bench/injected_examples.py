"""Training examples with injected errors: true claims of captions, whole and in part, with an error put in by rule.

The false claims of labelled pairs are made by people, few for each caption. The rules with which judges are measured
(`curation.grounding.injections`) make more of them: another number, colour, object or place, exchanged roles,
negations. Only captions of the training part are altered, and words come from these, too. Pure, but for the parse.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bench.claim_pairs import ClaimPair
from bench.encoder_data import Example
from bench.partial_claims import parsed, true_claims
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.injections.control_claims import SHUFFLED, UNTOUCHED, SourceClaim, make_controls
from curation.grounding.parsing.claim_parser import ClaimParser

_WEIGHTS: Final = {"number": 4.0, "colour": 2.0, "role swap": 4.0, "place": 2.0, "object": 2.0, "negation": 0.3}
"""How often a kind is drawn where a caption allows it; 1 for the others."""


class InjectedExamples:
    """The examples that can be made of labelled pairs, to draw from."""

    def __init__(self, pairs: Sequence[ClaimPair], seed: int = 0) -> None:
        """Make one example of each kind for each of three true claims of a pair."""
        self._of_pair: Mapping[str, list[tuple[float, Example]]] = _examples(pairs, seed)

    def draw(self, pair: ClaimPair, rng: random.Random) -> Example | None:
        """Return one of the examples of a pair; None if it has none."""
        made = self._of_pair.get(pair.id)
        if not made:
            return None
        return rng.choices([example for _, example in made], [weight for weight, _ in made])[0]


def _examples(pairs: Sequence[ClaimPair], seed: int) -> dict[str, list[tuple[float, Example]]]:
    rng = random.Random(seed)
    sources = [source for pair in pairs for source in _sources(pair, rng)]
    made: dict[str, list[tuple[float, Example]]] = defaultdict(list)
    for control in make_controls(sources, ClaimParser(), Counter(), seed):
        if control.kind not in (UNTOUCHED, SHUFFLED):
            (shown,) = control.claim.evidence
            example = Example((shown.text, control.original), (shown.text, control.claim.text))
            made[control.clip].append((_WEIGHTS.get(control.kind, 1.0), example))
    return dict(made)


def _sources(pair: ClaimPair, rng: random.Random) -> Iterator[SourceClaim]:
    """Yield the paraphrase by its caption, the caption by its paraphrase, and a part of the caption."""
    claims = [(pair.evidence, pair.supported), (pair.supported, pair.evidence)]
    parts = true_claims(parsed(pair.evidence), rng)
    claims += [(pair.evidence, rng.choice(parts))] if parts else []
    for evidence, claim in claims:
        yield SourceClaim(pair.evidence, pair.id, CitedClaim(claim, (Evidence("frame@0.0", "F1", "frame", evidence),)))
