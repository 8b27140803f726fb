"""A ranking to look at: the clips of a DIR that a model finds nearest to the texts of held-out clips.

A recall over a handful of clips says little; which clips come first, and which text each has, can be judged by eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

    from training.data.clip_dataset import DecodedClip
    from training.models.vidla.two_tower import VidLA

_COLUMNS: Final = ("grounded_text", "caption_summary", "subtitle_summary", "subtitle")
_WIDTH: Final = 70


@dataclass(frozen=True)
class RankedClip:
    """A clip in the ranking for a text."""

    rank: int
    """From 1."""
    cosine: float
    key: str
    text: str
    right: bool
    """True for the clip that the text is of."""


def show_rankings(folder: Path, shards: str, queries: int = 3, first: int = 3, *, selection: str | None = None) -> None:
    """Print the nearest clips to the texts of some held-out clips.

    Args:
        folder: of the model.
        shards: the DIR.
        selection: says which clips are held out; None: that of the layer.
        queries: number of texts.
        first: number of clips for each text; the right one is shown below them if it is not among them.
    """
    from training.vidla import ClipDataset, load

    model = load(folder)
    clips = [clip for clip in ClipDataset(shards, frames=model.frames, selection=selection) if text_of(clip)]
    held_out = {clip.key for clip in ClipDataset(shards, split="val", frames=1, selection=selection) if text_of(clip)}
    print(f"{len(clips)} clips, {len(held_out)} of them held out")
    asked = [number for number, clip in enumerate(clips) if clip.key in held_out][:queries]
    for number, ranking in zip(asked, rankings(model, clips, asked), strict=True):
        print(f"\n{text_of(clips[number])[:_WIDTH]}")
        for place in ranking:
            if place.rank <= first or place.right:
                mark = "<- its own clip" if place.right else place.text[:_WIDTH]
                print(f"  {place.rank:3d}  {place.cosine:+.3f}  {place.key}  {mark}")


def rankings(model: VidLA, clips: list[DecodedClip], asked: list[int]) -> list[list[RankedClip]]:
    """Return all clips ranked by cosine for the text of each clip in `asked`."""
    import torch

    with torch.inference_mode():
        video_ND = torch.cat([model.encode_video(model.preprocess(clip.video_THWC)) for clip in clips])
        text_MD = model.encode_text(model.tokenizer([text_of(clips[number]) for number in asked]))
    return [_ranking(cosine_N, clips, number) for cosine_N, number in zip(text_MD @ video_ND.T, asked, strict=True)]


def text_of(clip: DecodedClip) -> str:
    """Return the first text that a clip has; empty if it has none."""
    return next((text for column in _COLUMNS if (text := clip.texts[column])), "")


def _ranking(cosine_N: torch.Tensor, clips: list[DecodedClip], right: int) -> list[RankedClip]:
    order = cosine_N.argsort(descending=True).tolist()
    return [
        RankedClip(rank, float(cosine_N[number]), clips[number].key, text_of(clips[number]), number == right)
        for rank, number in enumerate(order, start=1)
    ]
