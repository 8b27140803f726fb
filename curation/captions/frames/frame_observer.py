"""The observer that captions every keyframe, with the embedded tagger or a vision-language model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, get_args

from curation.captions.frames.frame_settings import FrameSettings
from curation.captions.frames.vlm_captioner import VlmCaptioner
from curation.captions.keyframe_names import parse_keyframe_name
from curation.captions.observation import Observation
from curation.captions.observer import ObserverKind, ShardPictures
from curation.engines.engine_interface import Captioner, CaptionResult
from curation.prompts.answer_flaws import Flaw
from runtime.ray_runner.stage import Service


class FrameObserver:
    """Captions keyframes; a `curation.captions.observer.Observer`."""

    def __init__(self, captioner: Captioner) -> None:
        self._captioner = captioner

    async def observe(self, pictures: ShardPictures, counts: Counter[str]) -> list[Observation]:
        """Return one frame caption for each keyframe, in order of root and time.

        Raises:
            MachineError: the engine is dead.
        """
        results = await self._captioner.caption(pictures.keyframes)
        missing = CaptionResult(None, error="no answer")
        captioned = {name: results.get(name, missing) for name in pictures.keyframes}
        counts["keyframes"] += len(captioned)
        for result in captioned.values():
            _count(result, counts)
        return [_observation(name, result) for name, result in captioned.items()]


def _observation(name: str, result: CaptionResult) -> Observation:
    root, milliseconds = parse_keyframe_name(name)
    time = milliseconds / 1000
    return Observation(root, "frame", time, time, result.caption, result.confidence)


def _count(result: CaptionResult, counts: Counter[str]) -> None:
    counts["tokens_in"] += result.prompt_tokens
    counts["tokens"] += result.tokens
    counts["captions_cut"] += result.is_cut
    counts["failed:caption"] += result.error is not None
    if result.error in get_args(Flaw):
        counts[f"captions_{result.error}"] += 1


def _build(settings: FrameSettings, services: Mapping[str, Service]) -> FrameObserver:
    if settings.engine is not None:
        return FrameObserver(VlmCaptioner(services[settings.engine], settings))
    from curation.captions.frames.image_tagger import ImageTagger

    return FrameObserver(ImageTagger(settings.tagger))


FRAME_CAPTIONS: Final = ObserverKind(
    branch="",
    programs=("torch", "timm"),
    summary="Captions of the keyframes.",
    settings=FrameSettings,
    is_on=lambda settings: True,
    build=_build,
    engine=lambda settings: settings.engine,
    model=lambda settings: settings.tagger.model if settings.engine is None else None,
    prompt=lambda settings: settings.prompt_ref(),
    pictures=lambda settings: (1, 0),
)
