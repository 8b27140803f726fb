"""From speech and frame captions to summaries and grounded text: all clips of a shard in one batch of requests.

Requests are built, sent once each (identical prompts share one), and what comes back is never taken as it is:
summaries are trimmed to their number of words and must not say what their source does not; claims go through the
verifier (`curation.grounding.verifier`). `curation.text.rewrite_stage` reads the clips and writes the results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from curation.captions.frame_captions import FrameCaption, join_captions
from curation.engines.engine_interface import Answer, Request
from curation.grounding.evidence import Evidence, fit, gather
from curation.grounding.verifier import Grounded, GroundSettings, Verdict, conclude, reject, supports, verify
from curation.media.speech.transcript import Word
from curation.prompts import prompt_templates
from curation.prompts.wording import middle_out, tidy, trim_words
from curation.text.model_answers import OPINION_SCHEMA, agrees, clean_summary, grounded_schema, parse_proposal
from runtime.ray_runner.stage import Service
from runtime.settings import Runtime, Settings
from shards.schema import LEVELS, Level

_TRIMMED_CHARS_A_WORD = 24
_OPINION_TOKENS = 24


class RewriteSettings(Settings):
    """How speech and captions become summaries and grounded text."""

    engine: Runtime[str | None] = None
    """Language model, by its name under `engines`; null: no summaries, and captions stand for the grounded text."""
    summary_prompt: str = "summary"
    """Prompt of both summaries: a name, or the path of a file of your own."""
    summary_words: int = Field(default=25, ge=1)
    """Most words of a summary; longer answers are trimmed."""
    summary_tokens: int = Field(default=80, ge=1)
    """Most tokens the model may spend on a summary."""
    summary_coverage: float = Field(default=0.5, ge=0, le=1)
    """Share of a summary's terms that must stand in what it sums up, numbers and names all; 0: no check."""
    summarize_levels: tuple[Level, ...] = LEVELS
    """Levels whose texts are summarised; at the others the summary is the text itself."""
    summarize_over_words: int = Field(default=0, ge=0)
    """Texts of at most this many words are their own summary; 0: all are summarised, as in the paper."""
    grounded: bool = True
    """Ask for a grounded rewrite; false: its place is taken by the frame captions (`fallback`)."""
    grounded_prompt: str = "grounded_rewrite"
    """Prompt of the grounded rewrite."""
    grounded_tokens: int = Field(default=400, ge=1)
    """Most tokens for it; must have room for `max_claims` claims in JSON."""
    max_claims: int = Field(default=5, ge=1)
    """Most claims a clip."""
    claim_chars: int = Field(default=160, ge=20)
    """Most characters a claim."""
    opinion_prompt: str = "second_opinion"
    """Prompt of the second opinion."""
    span_seconds: float = Field(default=5.0, gt=0)
    """Words are shown and cited in spans of about this length."""
    input_chars: int = Field(default=6000, ge=200)
    """Most characters of data in a prompt; longer texts lose their middle."""
    ground: GroundSettings = GroundSettings()
    """How strict the verifier is."""

    @model_validator(mode="after")
    def _within_limit(self) -> RewriteSettings:
        if self.summarize_over_words > self.summary_words:
            raise ValueError(
                f"summarize_over_words={self.summarize_over_words} is above summary_words={self.summary_words}: "
                "texts between the two would be summaries that are too long"
            )
        return self

    def prompts(self) -> dict[Literal["summary", "grounded", "opinion"], prompt_templates.Prompt]:
        """The prompts these settings use.

        Raises:
            UserError: one of them can't be read, or asks for what can't be filled in.
        """
        used = {"summary": prompt_templates.load(self.summary_prompt, ("text", "max_words"))}
        if self.grounded:
            used["grounded"] = prompt_templates.load(self.grounded_prompt, ("evidence", "max_claims"))
        if self.grounded and self.ground.second_opinion:
            used["opinion"] = prompt_templates.load(self.opinion_prompt, ("evidence", "claim"))
        return used  # type: ignore[return-value]

    def content(self) -> dict[str, Any]:
        """As `Settings.content`, with what the prompts say in the place of their names."""
        own = {name: value for name, value in super().content().items() if not name.endswith("_prompt")}
        return own | {"prompts": {name: prompt.hash for name, prompt in self.prompts().items()}}


@dataclass(frozen=True)
class ClipTexts:
    """What is known of one clip before the rewrite."""

    key: str
    level: Level
    subtitle: str = ""
    words: tuple[Word, ...] = ()
    frames: tuple[FrameCaption, ...] = ()
    """Its captioned keyframes in time order."""
    failed_frames: int = 0
    """Its keyframes that the captioner failed on."""


@dataclass(frozen=True)
class Rewritten:
    """What the rewrite made of one clip."""

    caption: str | None
    subtitle_summary: str | None
    caption_summary: str | None
    grounded: Grounded


class Rewriter:
    """Rewrites clips with an LLM behind a service; no answer of that LLM makes it raise."""

    def __init__(self, engine: Service | None, settings: RewriteSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._prompts = settings.prompts()
        self._schema = grounded_schema(settings.max_claims, settings.claim_chars)

    async def rewrite(self, clips: Sequence[ClipTexts]) -> tuple[list[Rewritten], Counter[str]]:
        """Summaries and grounded text of each clip, in order, and figures to add up.

        Raises:
            MachineError: the engine is dead.
        """
        counts: Counter[str] = Counter()
        evidence = {clip.key: gather(clip.frames, clip.words, self._settings.span_seconds) for clip in clips}
        requests = [request for clip in clips for request in self._requests(clip, evidence[clip.key], counts)]
        answers = await self._ask(requests, counts)
        grounded = {clip.key: self._grounded(clip, evidence[clip.key], answers, counts) for clip in clips}
        if "opinion" in self._prompts:
            verdicts = {key: outcome.verdicts for key, outcome in grounded.items() if outcome.status == "ok"}
            seconded = await self._second_opinions(verdicts, evidence, counts)
            grounded |= {key: conclude(found, evidence[key], abstained=False) for key, found in seconded.items()}
        results = [self._result(clip, answers, grounded[clip.key], counts) for clip in clips]
        counts.update(_outcomes(results))
        return results, counts

    def _requests(self, clip: ClipTexts, evidence: Sequence[Evidence], counts: Counter[str]) -> Iterator[Request]:
        """The requests for one clip: none for what is empty, or short enough to stand as it is."""
        sources = {"subtitle_summary": clip.subtitle, "caption_summary": join_captions(clip.frames)}
        for name, text in sources.items():
            if text and tidy(text) and self._is_summarized(text, clip.level):
                yield self._summary_request(f"{clip.key}/{name}", text, counts)
        if "grounded" in self._prompts and self._is_groundable(evidence):
            shown = fit(evidence, self._settings.input_chars)
            counts["inputs_truncated"] += len(shown) < len(evidence)
            system, user = self._prompts["grounded"].render(
                evidence=[item.line for item in shown], max_claims=self._settings.max_claims
            )
            yield Request(
                f"{clip.key}/grounded", system, user, schema=self._schema, max_tokens=self._settings.grounded_tokens
            )

    def _is_summarized(self, text: str, level: Level) -> bool:
        settings = self._settings
        return level in settings.summarize_levels and len(text.split()) > settings.summarize_over_words

    def _is_groundable(self, evidence: Sequence[Evidence]) -> bool:
        """Whether any claim could pass the verifier: without a frame caption none can, unless speech alone may do."""
        return any(item.kind == "frame" or self._settings.ground.speech_alone for item in evidence)

    def _summary_request(self, key: str, text: str, counts: Counter[str]) -> Request:
        settings = self._settings
        shown = middle_out(text, settings.input_chars)
        counts["inputs_truncated"] += shown != text
        system, user = self._prompts["summary"].render(text=shown, max_words=settings.summary_words)
        return Request(key, system, user, max_tokens=settings.summary_tokens)

    async def _ask(self, requests: Sequence[Request], counts: Counter[str]) -> Mapping[str, Answer]:
        """Answers by key; identical prompts are sent once. Empty where there is no engine."""
        if self._engine is None or not requests:
            return {}
        first: dict[tuple[str, str, int], Request] = {}
        for request in requests:
            first.setdefault(_identity(request), request)
        answers: Mapping[str, Answer] = await self._engine.acall("generate", list(first.values()))
        counts["requests"] += len(first)
        counts["requests_shared"] += len(requests) - len(first)
        counts["tokens_in"] += sum(answer.prompt_tokens for answer in answers.values())
        counts["tokens"] += sum(answer.output_tokens for answer in answers.values())
        found = {request.key: answers.get(first[_identity(request)].key) for request in requests}
        return {key: answer or Answer(key, error="no answer") for key, answer in found.items()}

    def _grounded(
        self, clip: ClipTexts, evidence: Sequence[Evidence], answers: Mapping[str, Answer], counts: Counter[str]
    ) -> Grounded:
        answer = answers.get(f"{clip.key}/grounded")
        if answer is None:
            nothing_seen = not self._is_groundable(evidence) and not clip.failed_frames
            return conclude(None, evidence, abstained=nothing_seen)
        proposal = (
            None if answer.error else parse_proposal(answer.text, self._settings.max_claims, self._settings.claim_chars)
        )
        if proposal is None:
            counts["failed:rewrite"] += 1
            return conclude(None, evidence, abstained=False)
        if proposal.abstain:
            return conclude([], evidence, abstained=True)
        return conclude(verify(proposal.claims, evidence, self._settings.ground), evidence, abstained=False)

    async def _second_opinions(
        self,
        verdicts: Mapping[str, Sequence[Verdict]],
        evidence: Mapping[str, Sequence[Evidence]],
        counts: Counter[str],
    ) -> dict[str, list[Verdict]]:
        """The verdicts of each clip, with those turned round that the LLM does not agree to."""
        requests = [
            self._opinion_request(f"{key}/opinion/{index}", verdict, evidence[key])
            for key, found in verdicts.items()
            for index, verdict in enumerate(found)
            if verdict.verdict == "supported"
        ]
        answers = await self._ask(requests, counts)
        agreed = {key for key, answer in answers.items() if not answer.error and agrees(answer.text)}
        return {
            key: [
                reject(verdict)
                if verdict.verdict == "supported" and f"{key}/opinion/{index}" not in agreed
                else verdict
                for index, verdict in enumerate(found)
            ]
            for key, found in verdicts.items()
        }

    def _opinion_request(self, key: str, verdict: Verdict, evidence: Sequence[Evidence]) -> Request:
        cited = [item.line for item in evidence if item.id in verdict.evidence]
        system, user = self._prompts["opinion"].render(evidence=cited, claim=verdict.text)
        return Request(key, system, user, schema=OPINION_SCHEMA, max_tokens=_OPINION_TOKENS)

    def _result(
        self, clip: ClipTexts, answers: Mapping[str, Answer], grounded: Grounded, counts: Counter[str]
    ) -> Rewritten:
        caption = join_captions(clip.frames)
        return Rewritten(
            caption,
            self._summary(clip, clip.subtitle, answers.get(f"{clip.key}/subtitle_summary"), counts),
            self._summary(clip, caption or "", answers.get(f"{clip.key}/caption_summary"), counts),
            grounded,
        )

    def _summary(self, clip: ClipTexts, text: str, answer: Answer | None, counts: Counter[str]) -> str | None:
        """The summary as kept: the text itself where none was asked for, None where no usable one came."""
        if not tidy(text):
            return None
        if not self._is_summarized(text, clip.level):
            return text
        if answer is None:
            return None
        summary = clean_summary(answer.text) if answer.error in (None, "length") else ""
        trimmed = tidy(
            trim_words(summary, self._settings.summary_words), _TRIMMED_CHARS_A_WORD * self._settings.summary_words
        )
        if not trimmed:
            counts["failed:summary"] += 1
            return None
        counts["summaries_trimmed"] += trimmed != summary
        if self._settings.summary_coverage and not supports([text], trimmed, self._settings.summary_coverage):
            counts["summaries_unsupported"] += 1
            return None
        return trimmed


def _identity(request: Request) -> tuple[str, str, int]:
    return request.system, request.user, request.max_tokens


def _outcomes(results: Iterable[Rewritten]) -> Iterator[str]:
    """What to count of each result: its status, and the verdict on each of the model's claims."""
    for result in results:
        outcome = result.grounded
        yield f"status:{outcome.status}"
        for verdict in outcome.verdicts:
            if not (outcome.status == "fallback" and verdict.verdict == "supported"):  # those are the captions
                yield f"claims:{verdict.reason or verdict.verdict}"
