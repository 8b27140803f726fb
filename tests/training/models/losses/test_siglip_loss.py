"""The sigmoid loss against plain float64 loops, against open_clip's, and across two processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from open_clip.loss import SigLipLoss
from support.ranks import on_ranks

from training.engine.parallel.distributed import Ranks
from training.models.vidla.losses.siglip_loss import siglip_loss
from training.models.vidla.model_settings import LossSettings

ALONE = Ranks()
TERMS = ("caption", "subtitle")
LEAVES = ("video", *TERMS, "scale", "bias")


def make_batch(rows: int = 8, width: int = 5, complete: bool = False) -> dict[str, Any]:
    """Return a batch with absent rows (filled with NaN), three clips of one video of which two overlap, equal texts."""
    draw = torch.Generator().manual_seed(3)
    batch: dict[str, Any] = {
        name: F.normalize(torch.randn(rows, width, generator=draw, dtype=torch.float64), dim=1)
        for name in ("video", *TERMS)
    }
    present = {term: torch.ones(rows, dtype=torch.bool) for term in TERMS}
    video_id, text_id = torch.arange(rows), {term: torch.arange(rows) for term in TERMS}
    if not complete:
        present["subtitle"][[1, 4]] = False
        present["caption"][[0, 1, 6]] = False
        batch["subtitle"][[1, 4]] = torch.nan
        video_id[[2, 3, 5]] = 100
        text_id["caption"][[2, 7]] = 50
    at = torch.arange(rows).double()
    span = torch.stack([at * 10, at * 10 + 15], dim=1)
    numbers = {"scale": torch.tensor(9.0).double(), "bias": torch.tensor(-4.0).double()}
    return {**batch, **numbers, "present": present, "video_id": video_id, "text_id": text_id, "span": span}


def shares_of(batch: dict[str, Any], settings: LossSettings, ranks: Ranks = ALONE) -> dict[str, torch.Tensor]:
    """Return the shares, with gradients reaching every leaf of the batch."""
    for name in LEAVES:
        batch[name] = batch[name].detach().clone().requires_grad_()
    return siglip_loss(
        batch["video"], {term: batch[term] for term in TERMS}, batch["present"], batch["scale"], batch["video_id"],
        batch["span"], settings, ranks, batch["text_id"], logit_bias=batch["bias"],
    )  # fmt: skip


def plainly(batch: dict[str, Any], term: str, settings: LossSettings) -> torch.Tensor:
    """Compute the formula, pair by pair."""
    rows = [i for i in range(len(batch["video"])) if batch["present"][term][i]]
    total = torch.zeros((), dtype=torch.float64)
    for i in rows:
        for j in rows:
            z = 1 if i == j else -1 if is_negative(batch, term, settings, i, j) else 0
            if z:
                logit = batch["scale"] * (batch["video"][i] @ batch[term][j]) + batch["bias"]
                total = total - torch.log(1 / (1 + torch.exp(-z * logit)))
    return total / len(rows)


def is_negative(batch: dict[str, Any], term: str, settings: LossSettings, i: int, j: int) -> bool:
    """Return True if the text of row j is a negative of clip i."""
    if settings.same_text == "mask" and batch["text_id"][term][i] == batch["text_id"][term][j]:
        return False
    if batch["video_id"][i] != batch["video_id"][j] or settings.same_video == "keep":
        return True
    (a, b), (c, d) = batch["span"][i], batch["span"][j]
    return settings.same_video == "overlap" and not bool(a < d and c < b)


@pytest.mark.parametrize("same_text", ["mask", "keep"])
@pytest.mark.parametrize("same_video", ["mask", "overlap", "keep"])
@pytest.mark.parametrize("chunk", [1, 3, 512])
def test_the_loss_and_its_gradients_are_those_of_the_formula(chunk: int, same_video: str, same_text: str) -> None:
    settings = LossSettings.model_validate({"same_video": same_video, "same_text": same_text, "chunk": chunk})
    batch, reference = make_batch(), make_batch()
    shares = shares_of(batch, settings)
    torch.stack(list(shares.values())).sum().backward()
    for name in LEAVES:
        reference[name].requires_grad_()
    wanted = {term: plainly(reference, term, settings) for term in TERMS}
    torch.stack(list(wanted.values())).sum().backward()
    for term in TERMS:
        torch.testing.assert_close(shares[term], wanted[term], rtol=1e-12, atol=1e-12)
    for name in LEAVES:
        torch.testing.assert_close(batch[name].grad, reference[name].grad, rtol=1e-12, atol=1e-12, msg=name)


def test_a_complete_batch_of_different_videos_gives_open_clips_loss() -> None:
    batch = make_batch(complete=True)
    shares = shares_of(batch, LossSettings(kind="siglip"))
    expected = SigLipLoss()(batch["video"], batch["caption"], batch["scale"], batch["bias"])
    torch.testing.assert_close(shares["caption"], expected, rtol=1e-12, atol=1e-12)
    found = torch.autograd.grad(shares["caption"], [batch["video"], batch["caption"], batch["scale"], batch["bias"]])
    wanted = torch.autograd.grad(expected, [batch["video"], batch["caption"], batch["scale"], batch["bias"]])
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def rank_gradients(ranks: Ranks, complete: bool) -> dict[str, torch.Tensor]:
    """Return shares and gradients of this rank's rows of `make_batch`, and open_clip's own loss over the same ranks."""
    batch = make_batch(complete=complete)
    half = len(batch["video"]) // ranks.world_size
    mine = slice(ranks.rank * half, (ranks.rank + 1) * half)
    own = {name: batch[name][mine] for name in ("video", *TERMS, "video_id", "span")}
    own |= {name: {term: batch[name][term][mine] for term in TERMS} for name in ("present", "text_id")}
    own |= {name: batch[name] for name in ("scale", "bias")}
    shares = shares_of(own, LossSettings(chunk=3), ranks)
    torch.stack(list(shares.values())).sum().backward()
    found = {f"d_{name}": own[name].grad for name in LEAVES} | {term: share.detach() for term, share in shares.items()}
    if complete:
        loss = SigLipLoss(rank=ranks.rank, world_size=ranks.world_size, dist_impl="gather")
        found["open_clip"] = loss(own["video"], own["caption"], own["scale"], own["bias"]).detach()
    return found


@pytest.mark.parametrize("complete", [False, True], ids=["with absent rows and masks", "a complete batch"])
def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path: Path, complete: bool) -> None:
    one = rank_gradients(ALONE, complete)
    two = on_ranks(2, rank_gradients, tmp_path, complete)
    for name in (*TERMS, "d_scale", "d_bias"):
        torch.testing.assert_close(two[0][name] + two[1][name], one[name], rtol=1e-12, atol=1e-12, msg=name)
    for name in ("d_video", *(f"d_{term}" for term in TERMS)):
        both = torch.cat([two[0][name], two[1][name]])
        torch.testing.assert_close(both, one[name], rtol=1e-12, atol=1e-12, msg=name)
    if complete:
        mean = (two[0]["open_clip"] + two[1]["open_clip"]) / 2
        torch.testing.assert_close(mean, one["caption"], rtol=1e-12, atol=1e-12)


def test_a_term_that_no_row_has_is_zero_with_zero_gradients() -> None:
    batch = make_batch()
    batch["present"]["subtitle"][:] = False
    shares = shares_of(batch, LossSettings())
    shares["subtitle"].backward()
    assert shares["subtitle"] == 0
    assert all(batch[name].grad is None or not batch[name].grad.any() for name in LEAVES)


def test_the_arithmetic_is_float32_under_autocast() -> None:
    batch = {name: value.float() if torch.is_tensor(value) else value for name, value in make_batch().items()}
    batch["video_id"] = batch["video_id"].long()
    exact = shares_of(batch, LossSettings())["caption"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(shares_of(batch, LossSettings())["caption"], exact)
