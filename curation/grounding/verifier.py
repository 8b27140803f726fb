"""The verifier: it asks the judges one after the other and keeps the claims that none of them objects to.

It never trusts the model that wrote the claims. A claim that cites nothing is rejected without a judge, and a judge can
only take claims away from those that passed the ones before it. `curation.text.grounded_rewrite` calls this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from curation.grounding.claims import CitedClaim, Verdict, VerdictName
from curation.grounding.judge import Judge

_UNCITED = "uncited"


async def verify(
    claims: Mapping[str, Sequence[CitedClaim]], judges: Sequence[Judge], counts: Counter[str]
) -> dict[str, list[Verdict]]:
    """Return a verdict on each claim of each clip.

    The claims of all clips go to a judge in one call, so that it can send them to an engine as one batch.

    Args:
        claims: claims by the key of their clip.
        judges: in the order in which they are asked.
        counts: figures of the shard to add to.

    Raises:
        MachineError: the engine of a judge is dead.
    """
    every = [claim for of_clip in claims.values() for claim in of_clip]
    objections = ["" if claim.evidence else _UNCITED for claim in every]
    for judge in judges:
        passed = [index for index, objection in enumerate(objections) if not objection]
        if passed:
            rulings = await judge.judge([every[index] for index in passed], counts)
            for index, ruling in zip(passed, rulings, strict=True):
                objections[index] = ruling.objection
    verdicts = iter([_verdict(claim, objection) for claim, objection in zip(every, objections, strict=True)])
    return {clip: [next(verdicts) for _ in of_clip] for clip, of_clip in claims.items()}


def _verdict(claim: CitedClaim, objection: str) -> Verdict:
    name: VerdictName = "supported" if not objection else "uncited" if objection == _UNCITED else "unsupported"
    return Verdict(claim.text, name, tuple(item.id for item in claim.evidence), objection)
