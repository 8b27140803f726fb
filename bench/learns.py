"""Does it learn? R@1 on held-out combinations of generated videos whose captions need time; three seeds, on CPU.

    python -m bench.learns --output FILE.md    # everything, two processes of one thread each: under 30 minutes
    python -m bench.learns --small             # the same code in a minute; so few steps teach nothing

Tiny two-tower models are trained from random weights with the project's own loss and optimizer on the clips of
`bench.learns_data`, all of them on the same clips in the same order for a given seed:

    frame-wise     each frame through the same image tower; the mean of the frames' embeddings
    mst            [MST] without hierarchy: U-V-r of 1-4-1
    hierarchy      U-V-r of 3-4-2
    full           also spatially local temporal attention; also with 2 and 4 clips per root

`clips_per_root` is compared at equal numbers of training clips, so at equal work for the model: with k clips of each
root only one root in k is decoded. Clips of one root are not negatives of each other (`same_video=mask`).

A batch holds clips of few things, so that it contains hard negatives; equal captions in a batch are negatives too, for
all models. Combinations of thing and kind are held out: the model has seen all colours, shapes and actions, and most
things of that kind. Each kind has eight galleries of its own, of 16 captions with one video each. Besides R@1, the
tables show the share of videos that are closer to their own caption than to its twin, which has the same frames in
another order: chance is 50 %, whatever else a model has learnt.

Shapes: B clips, T frames, S pixels of a side, C colours, H height, W width, D embedding, L text tokens.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from bench import learns_data as data
from bench.learns_report import OVER_TWIN, TO_TEXT, TO_VIDEO, Job, Outcome, report
from training.engine.distributed import Ranks
from training.engine.engine_settings import OptimSettings
from training.engine.optimizer import build_optimizer, learning_rate, set_learning_rate
from training.models.vidla.contrastive_loss import clamp_logit_scale_, contrastive_loss
from training.models.vidla.model_settings import LossSettings, TemporalSettings
from training.models.vidla.two_tower import VidLA, build

VARIANTS: dict[str, TemporalSettings | None] = {
    "frame-wise, mean": None,
    "+ [MST], no hierarchy": TemporalSettings(levels=1, tokens_per_level=4, scale=1, spatially_local=False),
    "+ hierarchy": TemporalSettings(levels=3, tokens_per_level=4, scale=2, spatially_local=False),
    "+ local attention (full)": TemporalSettings(levels=3, tokens_per_level=4, scale=2, spatially_local=True),
}
FULL = list(VARIANTS)[-1]
RUNS = [(name, 1) for name in VARIANTS] + [(FULL, 2), (FULL, 4)]
"""Variant and clips per root."""
WIDTH, LAYERS, PATCH = 64, 3, 8
CONTEXT = 8
GALLERIES = 8
THINGS = 5
"""Different things in a batch: few, so that it contains the twins of its clips, which forces a model to use time."""
LOSS = LossSettings(terms={"caption": "caption"})
OPTIMIZER = OptimSettings(lr=1e-3, lr_end=1e-5, clip_norm=1.0)

Encoder = Callable[[torch.Tensor], torch.Tensor]


def main() -> int:
    """Train all models, print the tables, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file for the tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=32, help="clips per step; a multiple of 4")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="part of the name of the rows to train")
    parser.add_argument("--small", action="store_true", help="one seed, 20 steps")
    arguments = parser.parse_args()
    seeds, steps = ([0], 20) if arguments.small else (arguments.seeds, arguments.steps)
    if arguments.batch % 4:
        parser.error(f"--batch {arguments.batch}: must be a multiple of 4, the most clips per root")
    jobs = [Job(name, clips, seed, steps, arguments.batch) for seed in seeds for name, clips in RUNS]
    jobs = [job for job in jobs if arguments.only in job.row]
    began = time.monotonic()
    outcomes = list(_run_all(jobs, arguments.processes))
    model = f"width {WIDTH}, {LAYERS} layers, {arguments.processes} processes of one thread"
    text = report(outcomes, [Job(*each, 0, 0, 0).row for each in RUNS], model, time.monotonic() - began)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    return 0


def run(job: Job) -> Outcome:
    """Train one model and score it on the held-out combinations."""
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    temporal = VARIANTS[job.variant]
    model = build(_architecture(temporal))
    encode = model.encode_video if temporal else _mean_of_frames(model)
    began = time.monotonic()
    losses = _train(model, encode, job)
    seconds = time.monotonic() - began
    return Outcome(job, _evaluate(model, encode), statistics.mean(losses[-max(1, job.steps // 10) :]), seconds)


def _run_all(jobs: Sequence[Job], processes: int) -> Iterator[Outcome]:
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run, job) for job in jobs]):
            outcome = done.result()
            mean = statistics.mean(value for (measure, _), value in outcome.scores.items() if measure == TO_VIDEO)
            job = outcome.job
            print(
                f"{job.row}, seed {job.seed}: {outcome.seconds:.0f} s, loss {outcome.loss:.2f}, "
                f"R@1 text to video {mean:.1f}",
                file=sys.stderr,
            )
            yield outcome


def _architecture(temporal: TemporalSettings | None) -> dict[str, object]:
    """Return the model of a variant; the frame-wise one has a video tower for one frame, without temporal parts."""
    alone = TemporalSettings(levels=0, spatially_local=False)
    vision = {
        "image_size": data.SIZE,
        "patch_size": PATCH,
        "width": WIDTH,
        "layers": LAYERS,
        "head_width": 32,
        "mlp_ratio": 2.0,
    }
    words = len(data.vocabulary()) + 2
    text = {"context_length": CONTEXT, "vocab_size": words, "width": WIDTH, "heads": 2, "layers": 2}
    return {
        "embed_dim": WIDTH,
        "quick_gelu": False,
        "vision_cfg": vision,
        "text_cfg": text,
        "temporal": (temporal or alone).model_dump(mode="json"),
        "frames": data.FRAMES if temporal else 1,
        "mean": [0.2] * 3,
        "std": [2.0] * 3,  # faint pictures: untrained patches carry as much position as content
    }


def _mean_of_frames(model: VidLA) -> Encoder:
    """Return the baseline's encoder: each frame is a clip; the mean of the embeddings is scaled to unit length."""

    def encode(video_BTCHW: torch.Tensor) -> torch.Tensor:
        frames_FD = model.encode_video(video_BTCHW.flatten(0, 1)[:, None], normalize=False)
        return F.normalize(frames_FD.view(*video_BTCHW.shape[:2], -1).mean(1), dim=-1)

    return encode


def _train(model: VidLA, encode: Encoder, job: Job) -> list[float]:
    """Yield the loss of each step."""
    settings = OPTIMIZER.model_copy(update={"warmup": job.steps // 20})
    optimizer = build_optimizer(model, settings)
    losses = []
    for step in range(job.steps):
        set_learning_rate(optimizer, learning_rate(step, job.steps, settings))
        loss = _loss(model, encode, *_draw_batch(job, step))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm or float("inf"))
        optimizer.step()
        clamp_logit_scale_(model.logit_scale, LOSS.max_logit_scale)
        losses.append(loss.item())
    return losses


def _draw_batch(job: Job, step: int) -> tuple[list[data.Clip], list[int]]:
    """Return the clips of a step, and the index of each clip's root; equal for all variants."""
    rng = np.random.default_rng((job.seed, step))
    things = data.draw_things(THINGS, rng)
    clips, roots = [], []
    for root in range(job.batch // job.clips_per_root):
        clips += data.clips_of(data.draw_root(things, rng), job.clips_per_root, rng)
        roots += [root] * job.clips_per_root
    return clips, roots


def _loss(model: VidLA, encode: Encoder, clips: list[data.Clip], roots: list[int]) -> torch.Tensor:
    shares = contrastive_loss(
        encode(_to_input(model, clips)),
        {"caption": _encode_captions(model, clips)},
        {"caption": torch.ones(len(clips), dtype=torch.bool)},
        model.logit_scale.exp(),
        torch.tensor(roots),
        torch.tensor([(clip.start, clip.end) for clip in clips], dtype=torch.float64),
        LOSS,
        Ranks(),
    )
    return shares["caption"]


@torch.inference_mode()
def _evaluate(model: VidLA, encode: Encoder) -> dict[tuple[str, str], float]:
    """Return percent by measure and kind, over the same galleries for every run."""
    rng = np.random.default_rng(2024)
    scores = {}
    for kind in data.ALL_KINDS:
        found = [_score(model, encode, data.gallery(kind, rng)) for _ in range(GALLERIES)]
        for measure in found[0]:
            scores[measure, kind] = 100 * statistics.mean(score[measure] for score in found)
    return scores


def _score(model: VidLA, encode: Encoder, clips: list[data.Clip]) -> dict[str, float]:
    """Return R@1 in both directions and, with twins, the share of videos closer to their own caption; 0 to 1."""
    similarity_TV = (_encode_captions(model, clips) @ encode(_to_input(model, clips)).T).numpy()
    own = np.arange(len(clips))
    hits = (similarity_TV.argmax(1) == own, similarity_TV.argmax(0) == own)
    scores = {measure: float(hit.mean()) for measure, hit in zip((TO_VIDEO, TO_TEXT), hits, strict=True)}
    captions = [clip.caption for clip in clips]
    twins = [captions.index(clip.twin) for clip in clips if clip.twin]
    if twins:
        scores[OVER_TWIN] = float((similarity_TV[own, own] > similarity_TV[twins, own]).mean())
    return scores


def _to_input(model: VidLA, clips: list[data.Clip]) -> torch.Tensor:
    video_BTSSC = torch.from_numpy(np.stack([clip.frames_TSSC for clip in clips]))
    mean_C11, std_C11 = (torch.tensor(x).view(3, 1, 1) for x in (model.mean, model.std))
    return (video_BTSSC.movedim(-1, 2) / 255 - mean_C11) / std_C11


def _encode_captions(model: VidLA, clips: list[data.Clip]) -> torch.Tensor:
    return model.encode_text(torch.from_numpy(data.tokenize([clip.caption for clip in clips], CONTEXT)))


if __name__ == "__main__":
    sys.exit(main())
