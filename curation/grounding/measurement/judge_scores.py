"""The score of every judge on claims whose truth is known, and what the cascade makes of these scores.

Each judge is asked once about every claim, alone. The cascade then judges the recorded scores, so that its outcome at
other thresholds costs no model anything.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from curation.grounding.cascade import Cascade, SeatedJudge
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.injections.control_claims import ControlClaim
from curation.grounding.judge import JudgeKind, JudgeResources, JudgeSettings, Ruling
from curation.grounding.judge_registry import CascadeSettings

CASCADE: Final = "cascade"
"""Name of all judges together, in tables."""
_BATCH: Final = 256
"""Claims that a judge is asked about at once: it has `JUDGE_SECONDS` for them."""


@dataclass(frozen=True)
class JudgedControl:
    """A claim whose truth is known, with the ruling of each judge."""

    control: ControlClaim
    rulings: Mapping[str, Ruling]
    """By the name of the judge."""


def judge_controls(
    controls: Sequence[ControlClaim], settings: CascadeSettings, resources: JudgeResources, counts: Counter[str]
) -> list[JudgedControl]:
    """Ask each judge that the settings name about every control.

    Raises:
        UserError: the model of a judge can't be read.
        MachineError: the engine of a judge is dead.
    """
    seats = [SeatedJudge.of(kind, own, kind.build(own, resources)) for kind, own in settings.used()]
    found = asyncio.run(_ask_all(seats, controls, counts))
    return [
        JudgedControl(control, {name: rulings[number] for name, rulings in found.items()})
        for number, control in enumerate(controls)
    ]


async def _ask_all(
    seats: Sequence[SeatedJudge], controls: Sequence[ControlClaim], counts: Counter[str]
) -> dict[str, list[Ruling]]:
    return {seat.name: await _ask(seat, controls, counts) for seat in seats}


async def _ask(seat: SeatedJudge, controls: Sequence[ControlClaim], counts: Counter[str]) -> list[Ruling]:
    """Return one judge's rulings; the cascade sees to time-outs and faults."""
    alone = Cascade([seat], [seat.name])
    rulings: list[Ruling] = []
    for first in range(0, len(controls), _BATCH):
        batch = [control.claim for control in controls[first : first + _BATCH]]
        rulings += await alone.rulings(seat, batch, counts)
    return rulings


def accepted(judged: Sequence[JudgedControl], settings: CascadeSettings) -> dict[str, list[bool]]:
    """Return which controls each judge accepts alone, and which the cascade (`CASCADE`) keeps, in order.

    A judge alone needs the score that it needs where others leave a claim to it. Of a judge that only rejects, the
    claims that it does not reject are returned.

    Args:
        judged: rulings of the judges that `settings` names.
        settings: thresholds, and the judges that must agree.
    """
    outcome = {
        kind.name: [_passes(kind, each.rulings[kind.name], own) for each in judged] for kind, own in settings.used()
    }
    return outcome | {CASCADE: asyncio.run(_replayed(judged, settings))}


def unjudged(judged: Sequence[JudgedControl], settings: CascadeSettings) -> dict[str, list[bool]]:
    """Return the controls that each judge could not score; for the cascade, those no required judge could score."""
    by_judge = {kind.name: [each.rulings[kind.name].score is None for each in judged] for kind, _ in settings.used()}
    required = settings.required()
    return by_judge | {CASCADE: [all(each.rulings[name].score is None for name in required) for each in judged]}


def _passes(kind: JudgeKind, ruling: Ruling, settings: JudgeSettings) -> bool:
    alone = settings.threshold if settings.alone_threshold is None else settings.alone_threshold
    return kind.vetoes if ruling.score is None else ruling.score >= alone


async def _replayed(judged: Sequence[JudgedControl], settings: CascadeSettings) -> list[bool]:
    """Return the verdicts of the cascade on recorded rulings."""
    seats = [SeatedJudge.of(kind, own, _Recorded(kind.name, judged)) for kind, own in settings.used()]
    cited = {str(number): [_numbered(each.control.claim, number)] for number, each in enumerate(judged)}
    verdicts = await Cascade(seats, settings.required()).verify(cited, Counter())
    return [verdicts[clip][0].is_kept for clip in cited]


@dataclass(frozen=True)
class _NumberedClaim(CitedClaim):
    """A claim that knows its place in the list of controls."""

    number: int = 0


def _numbered(claim: CitedClaim, number: int) -> CitedClaim:
    return _NumberedClaim(claim.text, claim.evidence, number)


@dataclass(frozen=True)
class _Recorded:
    """A judge that repeats its rulings; a `curation.grounding.judge.Judge`."""

    name: str
    judged: Sequence[JudgedControl]

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        return True

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        return [self.judged[claim.number].rulings[self.name] for claim in claims if isinstance(claim, _NumberedClaim)]
