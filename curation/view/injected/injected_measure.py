"""Measures the judges of a pipeline on a DIR's own claims: untouched, with injected errors, and shuffled."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from curation.grounding.claims import CitedClaim
from curation.grounding.grounded_text import caption_claims
from curation.grounding.injections.control_claims import (
    CONTRADICTED,
    SUPPORTED,
    ControlClaim,
    SourceClaim,
    make_controls,
)
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import GroundSettings
from curation.grounding.measurement.judge_scores import JudgedControl, judge_controls
from curation.grounding.parsing.claim_parser import ENGLISH_PARSER, ClaimParser
from curation.pipeline import load_pipeline
from curation.stages.pipeline_settings import PipelineSettings
from curation.text.rewrite_settings import RewriteSettings
from curation.view.injected.layer_claims import LayerClip, layer_clips
from curation.view.injected.local_engines import judge_resources
from curation.view.inspect_clips import pick_layer
from runtime.errors import UserError
from shards.manifest import read_manifest
from shards.storage.store import Store


@dataclass(frozen=True)
class InjectedRequest:
    """The DIR to measure on, and the judges to measure."""

    root: str
    """Path or URL of the DIR."""
    layer: str | None = None
    """None: the only one."""
    pipeline: str | None = None
    """Pipeline whose judges and engines are measured; None: the one that made the DIR."""
    config: Path | None = None
    assignments: tuple[str, ...] = ()
    clips: int = 200
    """Most clips, drawn from all."""
    seed: int = 0


@dataclass(frozen=True)
class InjectedMeasurement:
    """The rulings of the judges on controls."""

    store: Store
    layer: str
    pipeline: str
    ground: GroundSettings
    judged: list[JudgedControl]
    counts: Counter[str]
    """Claims of which nothing was made, by reason; requests and tokens."""

    @property
    def is_labelled(self) -> bool:
        """True if people said which claims are true; False for controls."""
        return any(each.control.kind in (SUPPORTED, CONTRADICTED) for each in self.judged)


def measure(request: InjectedRequest, resources: JudgeResources | None = None) -> InjectedMeasurement:
    """Make controls of the claims of a layer and have every judge score them.

    Args:
        request: the DIR and the judges.
        resources: engines of the judges that run already; None: they are started and closed here.

    Raises:
        UserError: no such DIR, layer or pipeline; no claims to make controls of; or a model can't be had.
        ShardError: the DIR is damaged.
        MachineError: the engine of a judge does not start, or died.
    """
    store = Store(request.root)
    layer = pick_layer(store, request.layer)
    counts: Counter[str] = Counter()
    looks = judges_of(store, request).branch(RewriteSettings).ground.looks
    sources = _sources(_drawn(layer_clips(store, layer, counts, with_pictures=looks), request))
    if not sources:
        raise UserError(
            f"{request.root}: layer {layer} has no claims that cite evidence; there is nothing to measure on"
        )
    controls = make_controls(sources, ClaimParser(ENGLISH_PARSER), counts, request.seed)
    return judge_layer(store, layer, request, controls, counts, resources)


def judge_layer(
    store: Store,
    layer: str,
    request: InjectedRequest,
    controls: Sequence[ControlClaim],
    counts: Counter[str],
    running: JudgeResources | None = None,
) -> InjectedMeasurement:
    """Have every judge of the pipeline score claims of a layer.

    Raises:
        UserError: no such pipeline, or a model can't be had.
        MachineError: the engine of a judge does not start, or died.
    """
    settings = judges_of(store, request)
    ground = settings.branch(RewriteSettings).ground
    with judge_resources(settings) if running is None else nullcontext(running) as resources:
        judged = judge_controls(controls, ground, resources, counts)
    return InjectedMeasurement(store, layer, pipeline_of(store, request), ground, judged, counts)


def judges_of(store: Store, request: InjectedRequest) -> PipelineSettings:
    """Return the pipeline whose judges are measured.

    Raises:
        UserError: no such pipeline, or the DIR does not name one.
    """
    return load_pipeline(pipeline_of(store, request), request.config, request.assignments)


def pipeline_of(store: Store, request: InjectedRequest) -> str:
    """Return the name of the pipeline whose judges are measured.

    Raises:
        UserError: the DIR does not name the pipeline that made it.
    """
    if request.pipeline is not None:
        return request.pipeline
    manifest = read_manifest(store)
    if manifest is None:
        raise UserError(f"{store.root}: no manifest; this is no folder that `curate run` wrote")
    return manifest.pipeline


def _drawn(clips: Iterable[LayerClip], request: InjectedRequest) -> list[LayerClip]:
    """Return a sample of the clips that have something to cite, in order of the layer."""
    usable = [clip for clip in clips if any(item.is_seen for item in clip.evidence)]
    if len(usable) <= request.clips:
        return usable
    chosen = sorted(random.Random(request.seed).sample(range(len(usable)), request.clips))
    return [usable[index] for index in chosen]


def _sources(clips: Iterable[LayerClip]) -> list[SourceClaim]:
    """Return what controls are made of: the claims, and all that was seen, each item as a claim that cites itself.

    What was seen is not among the untouched claims: it repeats its evidence. The clips of one tree share
    evidence; each text of a video is taken once.
    """
    sources: dict[tuple[str, str], SourceClaim] = {}
    for clip in clips:
        proposed = [claim for claim in clip.claims if claim.evidence]
        items = [CitedClaim(item.text, (item,)) for item in clip.evidence if item.is_seen and item.kind != "frame"]
        seen = [*items, *caption_claims(clip.evidence)]
        repeated = {claim.text.casefold() for claim in seen}
        for claim in (*proposed, *seen):
            is_proposed = claim in proposed and claim.text.casefold() not in repeated
            name = (clip.video_id, claim.text.casefold())
            sources.setdefault(name, SourceClaim(clip.video_id, clip.key, claim, is_proposed))
    return list(sources.values())
