"""From speech and frame captions to summaries and grounded text: all clips of a shard in one batch of requests.

Answers are never trusted: summaries are trimmed and checked (`curation.text.summaries`), and claims are judged
(`curation.text.grounded_rewrite`). `curation.text.rewrite_stage` reads the clips and writes the results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from curation.captions.frame_captions import join_captions
from curation.engines.shared_requests import ask
from curation.text.clip_texts import ClipTexts, RewrittenTexts
from curation.text.grounded_rewrite import GroundedRewriter
from curation.text.rewrite_settings import RewriteSettings
from curation.text.summaries import Summarizer
from runtime.ray_runner.stage import Service


class Rewriter:
    """Rewrites clips with an LLM behind a service; no answer of that LLM makes it raise."""

    def __init__(self, engines: Mapping[str, Service], settings: RewriteSettings) -> None:
        """Take the pools of the engine that rewrites and of those that judges ask, by name."""
        self._engine = None if settings.engine is None else engines[settings.engine]
        self._summarizer = Summarizer(settings.prompts()["summary"], settings)
        self._grounded = GroundedRewriter(engines, settings)

    async def rewrite(self, clips: Sequence[ClipTexts]) -> tuple[list[RewrittenTexts], Counter[str]]:
        """Return summaries and grounded text of each clip, in order, and figures to add up.

        Raises:
            MachineError: the engine is dead.
        """
        counts: Counter[str] = Counter()
        evidence = self._grounded.evidence(clips)
        requests = [
            request
            for clip in clips
            for request in (
                *self._summarizer.requests(clip, counts),
                *self._grounded.requests(clip.key, evidence[clip.key], counts),
            )
        ]
        answers = await ask(self._engine, requests, counts)
        grounded = await self._grounded.texts(clips, evidence, answers, counts)
        results = [
            RewrittenTexts(
                caption=join_captions(clip.frames),
                subtitle_summary=self._summarizer.subtitle_summary(clip, answers, counts),
                caption_summary=self._summarizer.caption_summary(clip, answers, counts),
                grounded=grounded[clip.key],
            )
            for clip in clips
        ]
        counts.update(_outcomes(results))
        counts["claims_repeated"] += sum(result.grounded.repeated for result in results)
        counts["claims_over_limit"] += sum(result.grounded.over_limit for result in results)
        return results, counts


def _outcomes(results: Iterable[RewrittenTexts]) -> Iterator[str]:
    """Yield a name to count for the status of each result, and for the verdict on each of the model's claims."""
    for result in results:
        outcome = result.grounded
        yield f"status:{outcome.status}"
        for verdict in outcome.verdicts:
            if not (outcome.status == "fallback" and verdict.verdict == "supported"):  # those are the captions
                yield f"claims:{verdict.reason or verdict.verdict}"
