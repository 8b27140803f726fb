"""Pretraining on single frames, finetuning on clips, and scores on held-out combinations; one thread, float32.

All variants of one seed start from the same weights and see the same clips in the same order. A batch holds both clips
of each pair, so that it contains the hard negative of each clip. Shapes: B clips, T frames, S pixels, C colours, D
embedding, V videos.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from bench.learns import queries
from bench.learns.queries import QUERIES, Clip, Pair, Split
from bench.learns.variants import MEAN, STD, VARIANTS, Encoder, architecture, build_variant
from training.engine.engine_settings import OptimSettings
from training.engine.optimizer import build_optimizer, learning_rate, set_learning_rate
from training.engine.parallel.distributed import Ranks
from training.models.vidla.losses.contrastive_loss import clamp_logit_scale_, contrastive_loss
from training.models.vidla.model_settings import LossSettings
from training.models.vidla.two_tower import VidLA, build_clip
from training.models.vidla.video_tower import is_new

OVER_TWIN: Final = "own caption over its opposite"
R1: Final = "R@1, text to video"
_GALLERY: Final = 4
"""Pairs whose clips make a gallery."""
_TIE: Final = 1e-5
"""Cosines that differ by less are equal but for rounding: a half is counted."""
_LOSS: Final = LossSettings(terms={"caption": "caption"})

Step = Callable[[int], tuple[torch.Tensor, torch.Tensor, list[Clip]]]
"""Returns the embeddings of a step's clips and of their captions, and the clips."""


@dataclass(frozen=True)
class Budget:
    """Steps and sizes, equal for all variants."""

    still_steps: int = 600
    still_batch: int = 64
    steps: int = 900
    pairs: int = 12
    """Pairs of clips in a batch."""
    tests: int = 64
    """Pairs of clips that each query is scored on; a multiple of 4."""
    lr: float = 3e-3
    lr_new: float = 1e-2
    """Rate of the parameters that the frame-wise model does not have."""


@dataclass(frozen=True)
class Outcome:
    """One trained variant."""

    variant: str
    seed: int
    scores: dict[str, dict[str, float]]
    """Percent, by measure and query."""
    loss: float
    """Mean over the last tenth of the steps."""
    seconds: float
    """Duration of the finetuning."""


def pretrain(seed: int, budget: Budget) -> dict[str, torch.Tensor]:
    """Train a CLIP on single frames; return its weights."""
    torch.manual_seed(seed)
    clip = build_clip(architecture(None))
    nn.init.constant_(clip.logit_scale, np.log(1 / 0.07))

    def step(number: int) -> tuple[torch.Tensor, torch.Tensor, list[Clip]]:
        rng = np.random.default_rng((seed, 1, number))
        frames = [queries.draw_still_frame(rng) for _ in range(budget.still_batch)]
        pictures_BCSS = to_input(frames)[:, 0]
        return (
            clip.encode_image(pictures_BCSS, normalize=True),
            clip.encode_text(tokens(frames), normalize=True),
            frames,
        )

    _train(clip, step, budget.still_steps, OptimSettings(lr=2e-3, lr_end=1e-5, warmup=0.05, clip_norm=1.0))
    return {name: value.detach().clone() for name, value in clip.state_dict().items()}


@dataclass(frozen=True)
class Seed:
    """What all variants of a seed have in common."""

    number: int
    clip_state: dict[str, torch.Tensor]
    """Weights of the frame-wise model."""
    split: Split
    batches: list[list[Clip]]
    """Clips of each step."""

    @classmethod
    def prepare(cls, number: int, budget: Budget) -> Seed:
        """Pretrain, hold out combinations, and draw all batches (25 kB a clip)."""
        split = queries.draw_split(np.random.default_rng((number, 2)))
        batches = [
            draw_batch(split, budget.pairs, np.random.default_rng((number, 3, step))) for step in range(budget.steps)
        ]
        return cls(number, pretrain(number, budget), split, batches)


def finetune(variant: str, seed: Seed, budget: Budget) -> Outcome:
    """Train one variant on clips and score it on the combinations that its seed holds out."""
    model, encode = build_variant(VARIANTS[variant], seed.clip_state, seed.number)

    def step(number: int) -> tuple[torch.Tensor, torch.Tensor, list[Clip]]:
        clips = seed.batches[number]
        return encode(to_input(clips)), model.encode_text(tokens(clips)), clips

    began = time.monotonic()
    optim = OptimSettings(lr=budget.lr, lr_new=budget.lr_new, lr_end=1e-5, warmup=0.05, clip_norm=1.0)
    losses = _train(model, step, budget.steps, optim)
    seconds = time.monotonic() - began
    ending = statistics.mean(losses[-max(1, budget.steps // 10) :])
    scores = evaluate(model, encode, seed.split, seed.number, budget.tests)
    return Outcome(variant, seed.number, scores, ending, seconds)


def draw_batch(split: Split, pairs: int, rng: np.random.Generator) -> list[Clip]:
    """Return the clips of pairs of trained combinations; queries are drawn with equal chances."""
    clips: list[Clip] = []
    for query in rng.choice(QUERIES, pairs):
        combinations = split.trained[query]
        clips += queries.draw_pair(query, combinations[int(rng.integers(len(combinations)))], rng)
    return clips


def held_out_pairs(split: Split, query: str, count: int, rng: np.random.Generator) -> list[Pair]:
    """Return pairs of held-out combinations; any four in a row are of different combinations."""
    held_out, drawn = split.held_out[query], []
    for _ in range(count // _GALLERY):
        drawn += [held_out[int(number)] for number in rng.permutation(len(held_out))[:_GALLERY]]
    return [queries.draw_pair(query, combination, rng) for combination in drawn]


@torch.inference_mode()
def evaluate(model: VidLA, encode: Encoder, split: Split, seed: int, tests: int) -> dict[str, dict[str, float]]:
    """Return percent by measure and query, on the same clips for every variant of a seed."""
    rng = np.random.default_rng((seed, 4))
    scores: dict[str, dict[str, float]] = {OVER_TWIN: {}, R1: {}}
    for query in QUERIES:
        pairs = held_out_pairs(split, query, tests, rng)
        galleries = [[clip for pair in pairs[n : n + _GALLERY] for clip in pair] for n in range(0, tests, _GALLERY)]
        found = [_score(model.encode_text(tokens(clips)), encode(to_input(clips))) for clips in galleries]
        for measure, values in zip(scores, zip(*found, strict=True), strict=True):
            scores[measure][query] = 100 * statistics.mean(values)
    return scores


def _score(text_VD: torch.Tensor, video_VD: torch.Tensor) -> tuple[float, float]:
    """Return the shares of clips closer to their own caption than to the opposite, and of captions with R@1."""
    similarity_VV = text_VD @ video_VD.T
    own, opposite = torch.arange(len(similarity_VV)), torch.arange(len(similarity_VV)) ^ 1
    ahead_V = similarity_VV[own, own] - similarity_VV[opposite, own]
    over = (ahead_V > _TIE).double() + 0.5 * (ahead_V.abs() <= _TIE).double()
    others_VV = similarity_VV.clone().fill_diagonal_(-2)
    margin_V = similarity_VV.diagonal() - others_VV.amax(1)
    first = (margin_V > _TIE).double() + 0.5 * (margin_V.abs() <= _TIE).double()
    return float(over.mean()), float(first.mean())


def to_input(clips: Sequence[Clip]) -> torch.Tensor:
    """Return normalised clips, float32 [B, T, C, S, S]."""
    video_BTSSC = torch.from_numpy(np.stack([clip.frames_TSSC for clip in clips]))
    return ((video_BTSSC.float() / 255 - MEAN) / STD).movedim(-1, 2).contiguous()


def tokens(clips: Sequence[Clip]) -> torch.Tensor:
    """Return the tokens of the captions, int64 [B, L]."""
    return torch.from_numpy(queries.tokenize([clip.caption for clip in clips]))


def _train(model: nn.Module, step: Step, steps: int, settings: OptimSettings) -> list[float]:
    """Train with the project's loss and optimizer; return the loss of each step."""
    optimizer, losses = build_optimizer(model, settings, is_new), []
    for number in range(steps):
        set_learning_rate(optimizer, learning_rate(number, steps, settings))
        video_BD, text_BD, clips = step(number)
        captions, rows = [clip.caption for clip in clips], torch.arange(len(clips))
        loss = contrastive_loss(
            video_BD,
            {"caption": text_BD},
            {"caption": torch.ones(len(rows), dtype=torch.bool)},
            model.logit_scale.exp(),
            rows,
            torch.zeros(len(rows), 2, dtype=torch.float64),
            _LOSS,
            Ranks(),
            {"caption": torch.tensor([captions.index(caption) for caption in captions])},
        )["caption"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm or float("inf"))
        optimizer.step()
        clamp_logit_scale_(model.logit_scale, _LOSS.max_logit_scale)
        losses.append(loss.item())
    return losses
