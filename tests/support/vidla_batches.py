"""A tiny VidLA and a batch of eight clips for it, whole or one rank's share."""

from __future__ import annotations

import torch
from support.tiny_clip import TEXT, VISION

from training.data.clip_batch import ClipBatch
from training.models.vidla.model_settings import LossSettings, TemporalSettings
from training.models.vidla.two_tower import CLIP_MEAN, CLIP_STD, VidLA, build

CLIPS, FRAMES = 8, 4
LOSS = LossSettings(terms={"subtitle": "subtitle", "caption": "caption"})


def model() -> VidLA:
    torch.manual_seed(0)
    architecture = {
        "embed_dim": 24, "vision_cfg": dict(VISION), "text_cfg": {**TEXT, "vocab_size": 50}, "quick_gelu": False,
        "temporal": TemporalSettings(levels=2, tokens_per_level=2).model_dump(), "frames": FRAMES,
        "mean": CLIP_MEAN, "std": CLIP_STD,
    }  # fmt: skip
    return build(architecture)


def batch(rows: slice = slice(None)) -> ClipBatch:
    """Eight clips of six videos; some texts are missing, one clip is not decoded."""
    random = torch.Generator().manual_seed(3)
    video = torch.randint(0, 256, (CLIPS, FRAMES, 32, 32, 3), generator=random, dtype=torch.uint8)
    decoded = torch.tensor([1, 1, 1, 0, 1, 1, 1, 1], dtype=torch.bool)
    tokens = {term: torch.randint(1, 50, (CLIPS, 12), generator=random) for term in LOSS.terms}
    whole = ClipBatch(
        frames_FSSC=video.flatten(0, 1),
        length_B=torch.full((CLIPS,), FRAMES),
        crop_B4=torch.tensor([[0.1, 0.0, 0.8, 1.0], [0.0, 0.0, 1.0, 0.0]]).repeat(CLIPS // 2, 1),
        weight_B=decoded.float(),
        tokens=tokens,
        present={"subtitle": decoded & torch.tensor([1, 0, 1, 1, 1, 1, 0, 1]).bool(), "caption": decoded},
        video_id_B=torch.tensor([1, 1, 2, 3, 4, 5, 6, 6]),
        span_B2=torch.tensor([[0.0, 5.0]]).repeat(CLIPS, 1).double(),
        keys=[f"clip-{number}" for number in range(CLIPS)],
    )
    begin, end, _ = rows.indices(CLIPS)
    return list(whole.split(end - begin))[begin // (end - begin)]
