"""Curated text against raw subtitles on the videos of `make demo`: the paper's Table 6 in small.

    python -m bench.learns.footage --shards demo/shards

No video model is trained: no CLIP weights can be had without a model hub, and from random weights so few clips teach
nothing. Two linear maps are trained with the project's loss between frozen features: EfficientNet-lite0's of eight
frames, averaged, and all-MiniLM-L6-v2's of the text. Only the text of training differs: `grounded_text` or `subtitle`.

The clips are those of level `short` with both texts. There are two folds, split by video: the film is held out, or all
others are. Each held-out clip is asked for, among the held-out clips of its fold, by its own curated text, by its own
subtitle, and by a sentence of `footage_descriptions.json`, written for this test from the frames; whoever wrote it had
read both texts.

Read the figures with care: the curated text names what EfficientNet-lite0 saw, whose features these are; the film and
the other videos show the same pictures; spread over seeds is that of the maps, not of the videos, which are few.

Shapes: N clips, F image features, E text features, D = 64.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from bench.learns.rule import Interval, interval
from curation.captions.frames.image_tagger import TaggerSettings, load_network, to_network_input
from curation.grounding.claim_encoder import MINILM
from runtime.models.model_uri import resolve
from training.data.clip_dataset import ClipDataset
from training.engine.parallel.distributed import Ranks
from training.models.vidla.losses.contrastive_loss import contrastive_loss
from training.models.vidla.model_settings import LossSettings

TRAINED_ON: Final = ("grounded_text", "subtitle")
ASKED_BY: Final = ("description", *TRAINED_ON)
FILM: Final = "narrated"
_DESCRIPTIONS: Final = Path(__file__).parent / "footage_descriptions.json"
_FRAMES: Final = 8
_LOSS: Final = LossSettings(terms={"text": "text"})


@dataclass(frozen=True)
class FootageClip:
    """A clip with frozen features."""

    video: str
    """Name of the video's file, without its ending."""
    image_F: torch.Tensor
    text: Mapping[str, torch.Tensor | None]
    """Features [E] by `ASKED_BY`; None: nobody described this clip."""


@dataclass(frozen=True)
class Budget:
    """Sizes of the training."""

    steps: int = 200
    width: int = 64
    lr: float = 1e-3
    noise: float = 0.1
    """Standard deviation of noise on the features of unit length, relative to a feature's root mean square."""


def main() -> int:
    """Train and score on every seed; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", default="demo/shards", metavar="DIR")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = read_clips(arguments.shards)
    scores = {seed: score_seed(clips, seed, Budget()) for seed in arguments.seeds}
    film, videos = sum(clip.video == FILM for clip in clips), len({clip.video for clip in clips}) - 1
    print(f"{len(clips)} clips: {film} of the film, {len(clips) - film} of {videos} other videos\n")
    print(table(scores))
    return 0


def score_seed(clips: Sequence[FootageClip], seed: int, budget: Budget) -> dict[tuple[str, str], tuple[float, float]]:
    """Return R@1 in percent and the mean reciprocal rank, by the text trained on and the text asked by."""
    found: dict[tuple[str, str], list[int]] = {(on, by): [] for on in TRAINED_ON for by in ASKED_BY}
    for held_out in (True, False):
        test = [clip for clip in clips if (clip.video == FILM) == held_out]
        train = [clip for clip in clips if (clip.video == FILM) != held_out]
        for on in TRAINED_ON:
            image_map, text_map = fit(train, on, seed, budget)
            for by in ASKED_BY:
                found[on, by] += ranks(test, by, image_map, text_map)
    return {
        key: (100 * statistics.mean(rank == 1 for rank in of), statistics.mean(1 / rank for rank in of))
        for key, of in found.items()
    }


def fit(clips: Sequence[FootageClip], on: str, seed: int, budget: Budget) -> tuple[nn.Module, nn.Module]:
    """Train the two maps on all clips at once."""
    torch.manual_seed(seed)
    image_NF = torch.stack([clip.image_F for clip in clips])
    text_NE = torch.stack([of for clip in clips if (of := clip.text[on]) is not None])
    image_map, text_map = (nn.Linear(x.shape[1], budget.width, bias=False) for x in (image_NF, text_NE))
    optimizer = torch.optim.AdamW([*image_map.parameters(), *text_map.parameters()], lr=budget.lr, weight_decay=0.1)
    rows, there = torch.arange(len(clips)), torch.ones(len(clips), dtype=torch.bool)
    same = torch.unique(text_NE, dim=0, return_inverse=True)[1]
    for _ in range(budget.steps):
        image_ND, text_ND = (
            F.normalize(each(x + budget.noise * x.shape[1] ** -0.5 * torch.randn_like(x)), dim=-1)
            for each, x in ((image_map, image_NF), (text_map, text_NE))
        )
        loss = contrastive_loss(
            image_ND,
            {"text": text_ND},
            {"text": there},
            torch.tensor(1 / 0.07),
            rows,
            torch.zeros(len(rows), 2),
            _LOSS,
            Ranks(),
            {"text": same},
        )["text"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return image_map, text_map


@torch.inference_mode()
def ranks(clips: Sequence[FootageClip], by: str, image_map: nn.Module, text_map: nn.Module) -> list[int]:
    """Return the rank of each clip for its own text among all of `clips`, from 1; ties count against it."""
    image_ND = F.normalize(image_map(torch.stack([clip.image_F for clip in clips])), dim=-1)
    found = []
    for number, clip in enumerate(clips):
        feature_E = clip.text[by]
        if feature_E is not None:
            cosine_N = image_ND @ F.normalize(text_map(feature_E), dim=-1)
            found.append(int((cosine_N >= cosine_N[number]).sum()))
    return found


def table(scores: Mapping[int, Mapping[tuple[str, str], tuple[float, float]]]) -> str:
    """Return a Markdown table: means over seeds, and the paired difference with its 95 % interval."""
    lines = ["| asked by | measure | trained on grounded text | on subtitles | difference, 95 % interval over seeds |"]
    lines.append("|---|---|---|---|---|")
    for by in ASKED_BY:
        for number, (measure, digits) in enumerate((("R@1 %", 1), ("mean reciprocal rank", 3))):
            grounded, raw = ([of[on, by][number] for of in scores.values()] for on in TRAINED_ON)
            gap = interval([a - b for a, b in zip(grounded, raw, strict=True)])
            cells = [_mean(grounded, digits), _mean(raw, digits), _gap(gap, digits)]
            lines.append(f"| {by.replace('_', ' ')} | {measure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def _gap(gap: Interval, digits: int) -> str:
    return f"{gap.mean:+.{digits}f} ({gap.low:+.{digits}f} to {gap.high:+.{digits}f})"


def read_clips(shards: str) -> list[FootageClip]:
    """Read the short clips with both texts, and compute their features."""
    with duckdb.connect() as database:
        rows = database.execute(
            "select key, source, start from read_parquet(?) where level = 'short'", [f"{shards}/text/*/*.parquet"]
        ).fetchall()
    names = {key: (Path(source).stem, int(start)) for key, source, start in rows}
    dataset = ClipDataset(shards, frames=_FRAMES, only_kept=False)
    clips = [clip for clip in dataset if clip.level == "short" and all(clip.texts[on] for on in TRAINED_ON)]
    described: dict[str, dict[str, str]] = json.loads(_DESCRIPTIONS.read_text(encoding="utf-8"))
    written = [described.get(names[clip.key][0], {}).get(str(names[clip.key][1])) for clip in clips]
    features = {on: _text_features([str(clip.texts[on]) for clip in clips]) for on in TRAINED_ON}
    own = _text_features([text or "" for text in written])
    image_NF = _image_features([clip.video_THWC for clip in clips])
    return [
        FootageClip(
            names[clip.key][0],
            image_NF[number],
            {on: features[on][number] for on in TRAINED_ON} | {"description": own[number] if written[number] else None},
        )
        for number, clip in enumerate(clips)
    ]


@torch.inference_mode()
def _image_features(videos: Sequence[Any]) -> torch.Tensor:
    """Return the mean of EfficientNet-lite0's pooled features over the frames, of unit length, [N, F]."""
    network = load_network(TaggerSettings())
    features = []
    for video_THWC in videos:
        frames_TCHW = torch.stack([to_network_input(Image.fromarray(frame)) for frame in video_THWC])
        features.append(network.extract_features(frames_TCHW).mean((0, 2, 3)))
    return F.normalize(torch.stack(features), dim=-1)


@torch.inference_mode()
def _text_features(texts: Sequence[str]) -> torch.Tensor:
    """Return all-MiniLM-L6-v2's sentence embeddings: the mean over the tokens, of unit length, [N, E]."""
    from transformers import AutoModel, AutoTokenizer

    folder = resolve(MINILM).path
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt")
    hidden_NLE, mask_NL1 = model(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
    return F.normalize((hidden_NLE * mask_NL1).sum(1) / mask_NL1.sum(1), dim=-1)


if __name__ == "__main__":
    sys.exit(main())
