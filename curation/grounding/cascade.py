"""The cascade: it asks the judges one after the other and keeps the claims on which all required judges agree.

It never trusts the model that wrote the claims. A claim that cites nothing is rejected without a judge. A later judge
sees only the claims whose fate is still open: those that no required judge has rejected, and that neither the judge
itself nor one that stands for it has accepted. A judge that can't tell, times out or dies leaves its claims *unjudged*,
and these are not kept. `curation.text.grounded_rewrite` calls this module.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from curation.grounding.claims import CitedClaim, Verdict, VerdictName
from curation.grounding.evidence import Evidence
from curation.grounding.judge import Judge, JudgeKind, JudgeSettings, Ruling
from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.log import get_logger
from runtime.retry_limits import JUDGE_DEATHS, JUDGE_SECONDS

log = get_logger(__name__)

_UNCITED: Final = "uncited"
RETRIED_COUNT: Final = "failed:judge"
"""Clips of a shard with a claim that a fault left unjudged; ``--retry-failed judge`` makes such shards again."""


@dataclass(frozen=True)
class SeatedJudge:
    """A judge with its place in the cascade."""

    name: str
    judge: Judge
    threshold: float
    """Least score that counts as agreement."""
    stands_for: tuple[str, ...] = ()
    """Names of the judges whose agreement its own replaces."""
    alone_threshold: float | None = None
    """Least score where another judge has left the claim to this one; None: `threshold`."""
    vetoes: bool = False
    """True if the judge only rejects: a score below the threshold ends the case, any other ruling changes nothing."""

    @classmethod
    def of(cls, kind: JudgeKind, settings: JudgeSettings, judge: Judge) -> SeatedJudge:
        """Return a judge of a registered kind with the place that its settings give it."""
        return cls(kind.name, judge, settings.threshold, kind.stands_for, settings.alone_threshold, kind.vetoes)


@dataclass
class _Case:
    """One claim on its way through the cascade."""

    claim: CitedClaim
    agreed: dict[str, Ruling] = field(default_factory=dict)
    """Rulings of the judges that accept the claim, by name."""
    stood_for: set[str] = field(default_factory=set)
    """Judges that need not be asked any more."""
    left: dict[str, Ruling] = field(default_factory=dict)
    """Rulings of the required judges that leave the claim to the others, by name."""
    against: tuple[str, Ruling] | None = None
    """The required judge that ended the case, without agreeing."""

    def verdict(self) -> Verdict:
        """Return the verdict once all judges were asked; `against` is set if not all required ones agree."""
        ids = tuple(item.id for item in self.claim.evidence)
        if not ids:
            return Verdict(self.claim.text, "uncited", (), _UNCITED)
        if self.against is not None:
            name, ruling = self.against
            verdict: VerdictName = "unjudged" if ruling.score is None else "unsupported"
            return Verdict(self.claim.text, verdict, ids, ruling.reason or name, name, ruling.score)
        name, ruling = min(self.agreed.items(), key=lambda item: item[1].score or 0.0)
        return Verdict(self.claim.text, "supported", ids, "", name, ruling.score)


class Cascade:
    """The judges of a pipeline, in the order in which they are asked."""

    def __init__(self, judges: Sequence[SeatedJudge], require: Sequence[str]) -> None:
        """Take the judges in order, and the names of those that must agree; the others only advise."""
        self._judges = tuple(judges)
        self._required = tuple(require)
        self._deaths: Counter[str] = Counter()

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if a claim that cites some of this evidence could pass."""
        required = [seat for seat in self._judges if seat.name in self._required]
        return bool(evidence) and all(seat.judge.can_support(evidence) for seat in required)

    async def verify(
        self, claims: Mapping[str, Sequence[CitedClaim]], counts: Counter[str], faulted: set[str] | None = None
    ) -> dict[str, list[Verdict]]:
        """Return a verdict on each claim of each clip.

        The claims of all clips go to a judge in one call, so that it can send them to an engine as one batch.

        Args:
            claims: claims by the key of their clip.
            counts: figures of the shard to add to.
            faulted: keys of the clips that are counted already because a fault left a claim of theirs unjudged; those
                of this call are added, so that a clip counts once however often it is judged.

        Raises:
            MachineError: a judge died on several shards in a row.
        """
        cases = {clip: [_Case(claim) for claim in of_clip] for clip, of_clip in claims.items()}
        for seat in self._judges:
            open_ = [case for of_clip in cases.values() for case in of_clip if self._is_open(case, seat)]
            if open_:
                rulings = await self.rulings(seat, [case.claim for case in open_], counts)
                for case, ruling in zip(open_, rulings, strict=True):
                    self._enter(case, seat, ruling, counts)
        for of_clip in cases.values():
            for case in of_clip:
                self._close(case)
        now = {clip for clip, of_clip in cases.items() if any(map(_may_be_retried, of_clip))}
        faulted = set() if faulted is None else faulted
        counts[RETRIED_COUNT] += len(now - faulted)
        faulted |= now
        return {clip: [case.verdict() for case in of_clip] for clip, of_clip in cases.items()}

    def _close(self, case: _Case) -> None:
        """Leave a claim unjudged if a required judge has said nothing of it, or if each left it to the others."""
        heard = case.agreed.keys() | case.stood_for | case.left.keys()
        missing = [(name, Ruling(None, "not_sure")) for name in self._required if name not in heard]
        if not case.agreed:
            missing += case.left.items()
        if missing and case.against is None:
            case.against = missing[0]

    def _is_open(self, case: _Case, seat: SeatedJudge) -> bool:
        return bool(case.claim.evidence) and case.against is None and seat.name not in case.stood_for

    def _enter(self, case: _Case, seat: SeatedJudge, ruling: Ruling, counts: Counter[str]) -> None:
        """Book the ruling of one judge on one claim."""
        required = seat.name in self._required
        if seat.vetoes:
            if ruling.may_be_retried or (ruling.score is not None and ruling.score < seat.threshold):
                case.against = seat.name, ruling
            return
        threshold = seat.threshold
        if case.left and seat.alone_threshold is not None:
            threshold = seat.alone_threshold
        if ruling.score is not None and ruling.score >= threshold:
            if required or set(seat.stands_for) & set(self._required):
                case.agreed[seat.name] = ruling
            case.stood_for.update(seat.stands_for)
        elif required and ruling.is_left_to_others:
            case.left[seat.name] = ruling
        elif required:
            case.against = seat.name, ruling
        elif not seat.stands_for:
            counts[f"advice:{seat.name}_{'objects' if ruling.score is not None else 'abstains'}"] += 1

    async def rulings(self, seat: SeatedJudge, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return the rulings of one judge on claims; without a score and with the reason if it fails.

        Raises:
            MachineError: the judge died on `JUDGE_DEATHS` shards in a row, or the machine is at fault.
        """
        try:
            async with asyncio.timeout(JUDGE_SECONDS.seconds):
                rulings = await seat.judge.judge(claims, counts)
            self._deaths[seat.name] = 0
            if len(rulings) == len(claims):
                return rulings
            reason = "failed"
            log.warning("judge %s: %d rulings on %d claims", seat.name, len(rulings), len(claims))
        except TimeoutError:
            reason = "timeout"
            log.warning("judge %s: no rulings within %.0f s", seat.name, JUDGE_SECONDS.seconds)
        except UserError:
            raise
        except Exception as error:
            self._deaths[seat.name] += 1
            if is_machine_fault(error) and not isinstance(error, MachineError):
                raise
            if self._deaths[seat.name] >= JUDGE_DEATHS.count:
                raise MachineError(
                    f"judge {seat.name}: it died on {JUDGE_DEATHS.count} shards in a row ({one_line(error)})"
                ) from error
            reason = "died"
            log.warning("judge %s: died (%s); its claims stay unjudged", seat.name, one_line(error))
        return [Ruling(None, reason, may_be_retried=True)] * len(claims)


def _may_be_retried(case: _Case) -> bool:
    return case.against is not None and case.against[1].may_be_retried
