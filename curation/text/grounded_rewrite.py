"""The grounded rewrite: ask a model for claims about each clip, have them judged, and compose the grounded text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence

from curation.engines.engine_interface import Answer, Request
from curation.grounding.claim_text import TextLimit
from curation.grounding.claims import CitedClaim, Verdict, cite
from curation.grounding.evidence import Evidence, fit_evidence, gather_evidence
from curation.grounding.grounded_text import GroundedText, caption_claims, compose
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import build_cascade
from curation.grounding.measurement.shard_controls import ShardControls
from curation.text.claim_proposals import Proposal, parse_proposal, proposal_schema
from curation.text.clip_texts import ClipTexts
from curation.text.rewrite_settings import RewriteSettings
from curation.text.text_tower_tokens import count_tokens
from runtime.ray_runner.stage import Service

ClipEvidence = Mapping[str, Sequence[Evidence]]
"""Evidence of each clip by the clip's key."""


class GroundedRewriter:
    """Asks for claims, has them judged, and composes the grounded text of each clip."""

    def __init__(self, engines: Mapping[str, Service], settings: RewriteSettings) -> None:
        self._settings = settings
        self._prompt = settings.prompts().get("grounded")  # None: no claims are asked for
        self._schema = proposal_schema(settings.max_claims, settings.claim_chars)
        self._limit = TextLimit(settings.text_tokens, count_tokens) if settings.text_tokens else None
        self._cascade = build_cascade(settings.ground, JudgeResources(engines, settings.engine))
        self._controls = ShardControls(settings.controls, self._cascade)

    def evidence(self, clips: Sequence[ClipTexts]) -> ClipEvidence:
        """Number the evidence of each clip."""
        span_seconds = self._settings.span_seconds
        return {
            clip.key: gather_evidence(clip.frames, clip.words, span_seconds, clip.observations, clip.pictures)
            for clip in clips
        }

    def requests(self, clip: str, evidence: Sequence[Evidence], counts: Counter[str]) -> Iterator[Request]:
        """Yield the request for the claims of the clip with the key `clip`; none if no claim could pass the judges."""
        if self._prompt is None or not self._cascade.can_support(evidence):
            return
        shown = fit_evidence(evidence, self._settings.input_chars)
        counts["inputs_truncated"] += len(shown) < len(evidence)
        lines = [item.line for item in shown]
        system, user = self._prompt.render(evidence=lines, max_claims=self._settings.max_claims)
        examples = self._prompt.exchanges(max_claims=self._settings.max_claims)
        yield Request(
            _key(clip),
            system,
            user,
            schema=self._schema,
            max_tokens=self._settings.grounded_tokens,
            examples=examples,
        )

    async def texts(
        self, clips: Sequence[ClipTexts], evidence: ClipEvidence, answers: Mapping[str, Answer], counts: Counter[str]
    ) -> dict[str, GroundedText]:
        """Return the grounded text of each clip by its key.

        Args:
            clips: all clips of a shard.
            evidence: of all clips, as `evidence` returned it.
            answers: to `requests`, by the keys of the requests.
            counts: figures of the shard to add to.

        Raises:
            MachineError: the engine of a judge is dead.
        """
        cited: dict[str, list[CitedClaim]] = {}
        abstained: set[str] = set()
        for clip in clips:
            answer = answers.get(_key(clip.key))
            if answer is None:
                if not self._cascade.can_support(evidence[clip.key]) and not clip.failures:
                    abstained.add(clip.key)
            elif proposal := self._read(answer, counts):
                cited[clip.key] = [] if proposal.abstains else cite(proposal.claims, evidence[clip.key])
                if proposal.abstains:
                    abstained.add(clip.key)
        faulted: set[str] = set()
        verdicts = await self._cascade.verify(cited, counts, faulted)
        await self._controls.measure(cited, counts)
        wanting = _without_text(evidence, verdicts, abstained)
        captions = await self._cascade.verify(wanting, counts, faulted)
        return {
            clip.key: compose(
                verdicts.get(clip.key),
                captions.get(clip.key, ()),
                evidence[clip.key],
                abstained=clip.key in abstained,
                limit=self._limit,
            )
            for clip in clips
        }

    def _read(self, answer: Answer, counts: Counter[str]) -> Proposal | None:
        """Return the proposal in an answer, or None if the answer is unusable; count it."""
        settings = self._settings
        proposal = None
        if answer.is_usable:
            limits = settings.max_claims, settings.claim_chars
            proposal = parse_proposal(answer.text, *limits, is_cut=answer.is_cut)
        counts["answers_cut"] += answer.is_cut
        counts["failed:rewrite"] += proposal is None
        return proposal


def _without_text(
    evidence: ClipEvidence, verdicts: Mapping[str, Sequence[Verdict]], abstained: Container[str]
) -> dict[str, list[CitedClaim]]:
    """Return the frame captions, as claims, of every clip in which they are to take the place of claims."""
    return {
        clip: caption_claims(items)
        for clip, items in evidence.items()
        if clip not in abstained and not any(verdict.is_kept for verdict in verdicts.get(clip, ()))
    }


def _key(clip: str) -> str:
    return f"{clip}/grounded"
