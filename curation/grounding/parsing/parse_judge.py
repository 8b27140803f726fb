"""The judge by parse: it rejects claims that contradict their evidence word by word, and accepts none.

A parser reduces claim and evidence to things, numbers, colours, places and who does what to whom
(`curation.grounding.parsing.statements`); where both speak of the same and differ, the claim is rejected with the kind
of the contradiction as its reason. It knows the errors that judges of meaning miss most: exchanged roles, another
number, another colour. It is silent about what only another word says, and about languages without a parser.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence, seen_texts
from curation.grounding.judge import JudgeKind, JudgeResources, JudgeSettings, Ruling
from curation.grounding.parsing.claim_parser import ENGLISH_PARSER, PARSED_LANGUAGE, ClaimParser
from curation.grounding.parsing.contradictions import contradiction
from curation.grounding.parsing.statements import Statements, statements_of
from curation.prompts.text_language import is_in
from runtime.load_once import LoadOnce

_REMEMBERED: Final = 4096
"""Texts whose parse is kept: the claims of a clip cite the same evidence."""
_AGREES: Final = Ruling(1.0)
_NOT_SEEN: Final = Ruling(None, "not_seen")
_OTHER_LANGUAGE: Final = Ruling(None, "language")


class ParseJudgeSettings(JudgeSettings):
    """The judge that compares the parse of a claim with that of its evidence; its scores are 0, 1 or none."""

    model: str = ENGLISH_PARSER
    """URI of the spaCy model that parses claims and evidence; the words that exclude one another are English."""

    def models(self) -> Mapping[str, str]:
        """Return the URI of the parser."""
        return {"parser": self.model}


class ParseJudge:
    """The judge by parse; a `curation.grounding.judge.Judge`. The parser is loaded when it is needed."""

    def __init__(self, settings: ParseJudgeSettings) -> None:
        self._parser = LoadOnce(lambda: ClaimParser(settings.model))
        self._known: dict[str, Statements] = {}
        self._parsing = asyncio.Lock()

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if there is anything that can be seen."""
        return any(item.is_seen for item in evidence)

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order: 0 with the kind of the contradiction, 1, or no score.

        Raises:
            UserError: the parser can't be read.
        """
        shown = [seen_texts(claim.text, claim.evidence) for claim in claims]
        rulings = {n: refusal for n, claim in enumerate(claims) if (refusal := _refusal(claim.text, shown[n]))}
        asked = [n for n in range(len(claims)) if n not in rulings]
        if asked:
            parser = await self._parser.get()
            async with self._parsing:
                texts = {n: (claims[n].text, shown[n]) for n in asked}
                rulings |= await asyncio.to_thread(self._compared, parser, texts)
        return [rulings[n] for n in range(len(claims))]

    def _compared(self, parser: ClaimParser, claims: Mapping[int, tuple[str, Sequence[str]]]) -> dict[int, Ruling]:
        known = self._parsed(parser, [text for claim, evidence in claims.values() for text in (claim, *evidence)])
        return {
            number: _ruling(contradiction(known[claim], [known[text] for text in evidence]))
            for number, (claim, evidence) in claims.items()
        }

    def _parsed(self, parser: ClaimParser, texts: Sequence[str]) -> Mapping[str, Statements]:
        """Return what each text says."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= {text: statements_of(parse) for text, parse in parser.parse(new).items()}
        return self._known


def _refusal(claim: str, evidence: Sequence[str]) -> Ruling | None:
    """Return the ruling on a claim that is not parsed."""
    if not evidence:
        return _NOT_SEEN
    joined = " ".join(evidence)
    is_english = is_in(claim, (PARSED_LANGUAGE,), joined) and is_in(joined, (PARSED_LANGUAGE,), claim)
    return None if is_english else _OTHER_LANGUAGE


def _ruling(kind: str | None) -> Ruling:
    return _AGREES if kind is None else Ruling(0.0, kind)


def _build(settings: ParseJudgeSettings, resources: JudgeResources) -> ParseJudge:
    return ParseJudge(settings)


PARSE_JUDGE: Final = JudgeKind("parse", ParseJudgeSettings, build=_build, vetoes=True)
"""Rejects what contradicts its evidence; the judges of meaning accept."""
