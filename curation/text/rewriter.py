"""From speech and frame captions to summaries and grounded text: all clips of a shard in one batch of requests.

Answers are never trusted: summaries are trimmed and checked (`curation.text.summaries`), and claims go through the
verifier (`curation.grounding.verifier`). `curation.text.rewrite_stage` reads the clips and writes the results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from curation.captions.frame_captions import join_captions
from curation.engines.engine_interface import Answer, Request
from curation.engines.shared_requests import ask
from curation.grounding.claims import CitedClaim, cite
from curation.grounding.evidence import Evidence, gather_evidence
from curation.grounding.grounded_text import GroundedText, compose
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import build_judges
from curation.grounding.verifier import verify
from curation.text.clip_texts import ClipTexts, RewrittenTexts
from curation.text.grounded_rewrite import ClaimRequester, answer_key
from curation.text.rewrite_settings import RewriteSettings
from curation.text.summaries import Summarizer
from runtime.ray_runner.stage import Service

ClipEvidence = Mapping[str, Sequence[Evidence]]
"""Evidence of each clip by the clip's key."""


class Rewriter:
    """Rewrites clips with an LLM behind a service; no answer of that LLM makes it raise."""

    def __init__(self, engine: Service | None, settings: RewriteSettings) -> None:
        prompts = settings.prompts()
        self._engine = engine
        self._span_seconds = settings.span_seconds
        self._summarizer = Summarizer(prompts["summary"], settings)
        self._claims = ClaimRequester(prompts["grounded"], settings) if "grounded" in prompts else None
        self._judges = build_judges(settings.ground, JudgeResources(engine, prompts))

    async def rewrite(self, clips: Sequence[ClipTexts]) -> tuple[list[RewrittenTexts], Counter[str]]:
        """Return summaries and grounded text of each clip, in order, and figures to add up.

        Raises:
            MachineError: the engine is dead.
        """
        counts: Counter[str] = Counter()
        evidence = {clip.key: gather_evidence(clip.frames, clip.words, self._span_seconds) for clip in clips}
        requests = [request for clip in clips for request in self._requests(clip, evidence[clip.key], counts)]
        answers = await ask(self._engine, requests, counts)
        grounded = await self._grounded(clips, evidence, answers, counts)
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
        return results, counts

    def _requests(self, clip: ClipTexts, evidence: Sequence[Evidence], counts: Counter[str]) -> Iterator[Request]:
        """Yield the requests for the summaries and the claims of one clip."""
        yield from self._summarizer.requests(clip, counts)
        if self._claims and self._can_ground(evidence):
            yield self._claims.request(clip.key, evidence, counts)

    def _can_ground(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if a claim could pass all judges."""
        return bool(evidence) and all(judge.can_support(evidence) for judge in self._judges)

    async def _grounded(
        self, clips: Sequence[ClipTexts], evidence: ClipEvidence, answers: Mapping[str, Answer], counts: Counter[str]
    ) -> dict[str, GroundedText]:
        """Return the grounded text of each clip: read the claims, ask the judges, compose the text."""
        cited: dict[str, list[CitedClaim]] = {}
        abstained: set[str] = set()
        for clip in clips:
            answer = answers.get(answer_key(clip.key))
            if answer is None or self._claims is None:
                if not self._can_ground(evidence[clip.key]) and not clip.failed_frames:
                    abstained.add(clip.key)
            elif proposal := self._claims.read(answer, counts):
                cited[clip.key] = [] if proposal.abstains else cite(proposal.claims, evidence[clip.key])
                if proposal.abstains:
                    abstained.add(clip.key)
        verdicts = await verify(cited, self._judges, counts)
        return {
            clip.key: compose(verdicts.get(clip.key), evidence[clip.key], abstained=clip.key in abstained)
            for clip in clips
        }


def _outcomes(results: Iterable[RewrittenTexts]) -> Iterator[str]:
    """Yield a name to count for the status of each result, and for the verdict on each of the model's claims."""
    for result in results:
        outcome = result.grounded
        yield f"status:{outcome.status}"
        for verdict in outcome.verdicts:
            if not (outcome.status == "fallback" and verdict.verdict == "supported"):  # those are the captions
                yield f"claims:{verdict.reason or verdict.verdict}"
