"""The judges measured while a run makes a shard: controls are made of its claims and judged like these.

`curation.text.grounded_rewrite` calls it. The figures are kept with the shard's table, where
`curation.grounding.measurement.judge_drift` compares them with those of the layer's first shards.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Final

from curation.grounding.cascade import Cascade
from curation.grounding.claims import CitedClaim
from curation.grounding.injections.control_claims import ControlClaim, SourceClaim, make_controls
from curation.grounding.measurement.control_settings import ControlSettings
from curation.grounding.parsing.claim_parser import ClaimParser
from runtime.load_once import LoadOnce

MADE: Final = "controls:"
"""Prefix of the number of controls of a kind, among the counts of a shard."""
ACCEPTED: Final = "controls_accepted:"
"""Prefix of the number of those that the cascade accepted."""
_REMEMBERED: Final = 400
"""Claims of earlier shards that objects, places and other evidence are taken from."""


class ShardControls:
    """Measures the judges on a share of the shards."""

    def __init__(self, settings: ControlSettings, cascade: Cascade) -> None:
        self._settings = settings
        self._cascade = cascade
        self._parser = LoadOnce(lambda: ClaimParser(settings.parser))
        self._earlier: deque[SourceClaim] = deque(maxlen=_REMEMBERED)

    async def measure(self, claims: Mapping[str, Sequence[CitedClaim]], counts: Counter[str]) -> None:
        """Judge controls made of the claims of a shard, if it is among the share that is measured.

        Args:
            claims: the model's claims by the key of their clip.
            counts: ``controls:<kind>`` and ``controls_accepted:<kind>`` are added to it.

        Raises:
            UserError: the parser can't be had.
            MachineError: the engine of a judge is dead.
        """
        if not self._settings.share:
            return
        sources = [SourceClaim(_video(clip), clip, claim) for clip, some in claims.items() for claim in some]
        earlier = list(self._earlier)
        self._earlier.extend(sources)
        if sources and is_measured(min(claims), self._settings.share):
            controls = await self._controls(sources, earlier)
            cited = {str(number): [control.claim] for number, control in enumerate(controls)}
            verdicts = await self._cascade.verify(cited, Counter())
            for number, control in enumerate(controls):
                counts[f"{MADE}{control.kind}"] += 1
                counts[f"{ACCEPTED}{control.kind}"] += verdicts[str(number)][0].is_kept

    async def _controls(self, sources: Sequence[SourceClaim], earlier: Sequence[SourceClaim]) -> list[ControlClaim]:
        parser = await self._parser.get()
        return await asyncio.to_thread(make_controls, sources, parser, Counter(), others=earlier)


def is_measured(clip: str, share: float) -> bool:
    """Return True for a share of all keys of clips: a shard is measured, or not, in every run."""
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:4]) < share * 2**32


def _video(clip: str) -> str:
    return clip.partition("_")[0]
