"""The prompts of a rewrite with its text judge, for `bench.rewrite --judged`: evidence of made-up clips, and claims.

Each clip has three captions and a stretch of speech; the model is asked for claims about it, and three claims made of
its captions go to the judge `text`. So the prompts of both kinds are known before a run, and both sides get the same.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.captions.frame_captions import FrameCaption
from curation.engines.engine_interface import Answer, Request
from curation.engines.shared_requests import ask
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence, gather_evidence
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import build_cascade
from curation.media.speech.transcript import Word
from curation.text.claim_proposals import parse_proposal
from curation.text.grounded_rewrite import GroundedRewriter
from curation.text.rewrite_settings import RewriteSettings
from runtime.ray_runner.stage import Service

SHARDS: Final = 4
"""Shards in flight, as in a run."""
_WHO: Final = "a man|a woman|two children|a young girl|an old man in a hat|three players|a chef|a boy with a backpack"
_WHAT: Final = "cuts|carries|paints|washes|lifts|repairs|looks at|walks past|points at|sits beside"
_THING: Final = (
    "a wooden table|a red bicycle|a large pot|an old boat|a white dog|a pile of bricks|a small tree|a blue car"
)
_PLACE: Final = "in a kitchen|in a park|on a beach|beside a road|in a workshop|near a river|in a garden|on a roof"
_SPEECH: Final = (
    "and now we take it slowly so that nothing breaks because this part is the one that people get wrong when they try"
)


@dataclass(frozen=True)
class Workload:
    """The prompts of one run."""

    rewrites: dict[str, Request]
    """Requests for claims, by the key of the clip."""
    claims: dict[str, list[CitedClaim]]
    """Claims that are judged, by the key of the clip."""
    judgements: list[Request]
    """The requests of the text judge about these claims."""


class _Recorder:
    """An engine that notes what it is asked; a `Service`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def call(self, method: str, *args: Any) -> Any:
        """Refuse: the judge calls from an event loop."""
        raise NotImplementedError(method)

    async def acall(self, method: str, *args: Any) -> Any:
        """Note the requests and answer none."""
        (requests,) = args
        self.requests += requests
        return {}


def workload(run: int, clips: int, settings: RewriteSettings) -> Workload:
    """Return the prompts of a run: the same for the same number, others for another one."""
    rng = random.Random(run)
    evidence = {f"{run}-{n}": _evidence(rng) for n in range(clips)}
    recorder = _Recorder()
    services: dict[str, Service] = {"llm": recorder}
    rewriter = GroundedRewriter(services, settings)
    counts: Counter[str] = Counter()
    rewrites = {key: request for key, items in evidence.items() for request in rewriter.requests(key, items, counts)}
    claims = {key: list(_claims(items, rng)) for key, items in evidence.items()}
    cascade = build_cascade(settings.ground, JudgeResources(services, settings.engine))
    asyncio.run(cascade.verify(claims, counts))
    return Workload(rewrites, claims, recorder.requests)


async def rewritten_and_judged(work: Workload, settings: RewriteSettings, engine: Service) -> Counter[str]:
    """Ask for all claims, read the answers, and judge: `SHARDS` shards at a time, as in a run.

    Returns:
        Counts of `ask`, and ``answered``.
    """
    counts: Counter[str] = Counter()
    resources = JudgeResources({"llm": engine}, settings.engine)
    cascade = build_cascade(settings.ground, resources)

    async def shard(clips: Sequence[str]) -> None:
        requests = [work.rewrites[clip] for clip in clips]
        answers: Mapping[str, Answer] = await ask(engine, requests, counts)
        for answer in answers.values():
            parse_proposal(answer.text, settings.max_claims, settings.claim_chars, is_cut=answer.is_cut)
        verdicts = await cascade.verify({clip: work.claims[clip] for clip in clips}, counts)
        judged = [verdict for of_clip in verdicts.values() for verdict in of_clip]
        counts["answered"] += len(answers) + sum(verdict.score is not None for verdict in judged)

    keys = list(work.rewrites)
    await asyncio.gather(*(shard(keys[first::SHARDS]) for first in range(SHARDS)))
    return counts


def _evidence(rng: random.Random) -> tuple[Evidence, ...]:
    frames = [FrameCaption(2.0 + 4 * n, _sentence(rng)) for n in range(3)]
    spoken = rng.sample(_SPEECH.split(), 20)
    words = [Word(0.5 * n, 0.5 * n + 0.4, text) for n, text in enumerate(spoken)]
    return gather_evidence(frames, words)


def _claims(evidence: Sequence[Evidence], rng: random.Random) -> list[CitedClaim]:
    """Return claims of which each cites one caption: some true, some about another thing."""
    seen = [item for item in evidence if item.is_seen]
    return [CitedClaim(f"There is {rng.choice(_THING.split('|'))}, and {item.text}.", (item,)) for item in seen]


def _sentence(rng: random.Random) -> str:
    parts = [rng.choice(words.split("|")) for words in (_WHO, _WHAT, _THING, _PLACE)]
    return " ".join(itertools.chain(parts, [f"number {rng.randrange(1000)}"]))
