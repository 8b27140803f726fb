"""The contrastive loss against plain float64 loops, across two processes, and its memory."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from support.ranks import on_ranks
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from bench.memory import MAPPED
from training.engine.parallel.distributed import Ranks
from training.models.vidla.losses.contrastive_loss import clamp_logit_scale_, contrastive_loss
from training.models.vidla.losses.negatives import count_negatives
from training.models.vidla.model_settings import LossSettings

REPOSITORY = Path(__file__).parents[4]
ALONE = Ranks()
TERMS = ("subtitle", "caption")


def make_batch(rows: int = 8, width: int = 5, dtype: torch.dtype = torch.float64) -> dict:
    """Return a batch with absent rows (filled with garbage), and three clips of one video, two of which overlap."""
    draw = torch.Generator().manual_seed(3)
    texts = {t: F.normalize(torch.randn(rows, width, generator=draw, dtype=dtype), dim=1) for t in TERMS}
    present = {t: torch.ones(rows, dtype=torch.bool) for t in TERMS}
    present["subtitle"][[1, 4]] = False
    present["caption"][[0, 1, 6]] = False
    video_id = torch.arange(rows)
    video_id[[2, 3, 5]] = 100
    span = torch.stack([torch.arange(rows) * 10.0, torch.arange(rows) * 10.0 + 15.0], dim=1).double()
    return {
        "video": F.normalize(torch.randn(rows, width, generator=draw, dtype=dtype), dim=1),
        "texts": texts,
        "present": present,
        "scale": torch.tensor(9.0, dtype=dtype),
        "video_id": video_id,
        "span": span,
    }


def leaves(batch: dict) -> list[torch.Tensor]:
    found = [batch["video"], *(batch["texts"][t] for t in TERMS), batch["scale"]]
    for leaf in found:
        leaf.requires_grad_()
    return found


def shares_of(batch: dict, settings: LossSettings, ranks: Ranks = ALONE) -> dict[str, torch.Tensor]:
    return contrastive_loss(
        batch["video"],
        batch["texts"],
        batch["present"],
        batch["scale"],
        batch["video_id"],
        batch["span"],
        settings,
        ranks,
    )


def plainly(batch: dict, term: str, same_video: str) -> torch.Tensor:
    """Compute the formula, pair by pair."""
    video, text, span = batch["video"], batch["texts"][term], batch["span"]
    rows = [i for i in range(len(video)) if batch["present"][term][i]]

    def is_negative(i: int, j: int) -> bool:
        if batch["video_id"][i] != batch["video_id"][j] or same_video == "keep":
            return True
        overlap = bool(span[i, 0] < span[j, 1] and span[j, 0] < span[i, 1])
        return same_video == "overlap" and not overlap

    total = torch.zeros((), dtype=torch.float64)
    for one, other in ((video, text), (text, video)):
        for i in rows:
            logits = [batch["scale"] * (one[i] @ other[j]) for j in rows if j == i or is_negative(i, j)]
            own = batch["scale"] * (one[i] @ other[i])
            total = total - (own - torch.stack(logits).exp().sum().log())
    return total / len(rows)


@pytest.mark.parametrize("same_video", ["mask", "overlap", "keep"])
@pytest.mark.parametrize("chunk", [1, 3, 512])
def test_the_loss_and_its_gradients_are_those_of_the_formula(same_video: str, chunk: int) -> None:
    batch, reference = make_batch(), make_batch()
    shares = shares_of_leaves(batch, LossSettings(same_video=same_video, chunk=chunk))
    sum(shares.values()).backward()
    wanted_leaves = leaves(reference)
    wanted = {t: plainly(reference, t, same_video) for t in TERMS}
    sum(wanted.values()).backward()
    for term in TERMS:
        torch.testing.assert_close(shares[term], wanted[term])
    for leaf, wanted_leaf in zip(leaves(batch), wanted_leaves, strict=True):
        torch.testing.assert_close(leaf.grad, wanted_leaf.grad)


def shares_of_leaves(batch: dict, settings: LossSettings) -> dict[str, torch.Tensor]:
    leaves(batch)
    return shares_of(batch, settings)


def test_the_choice_of_negatives_changes_the_loss() -> None:
    losses = {
        s: float(shares_of(make_batch(), LossSettings(same_video=s))["caption"]) for s in ("mask", "overlap", "keep")
    }
    assert losses["mask"] < losses["overlap"] < losses["keep"]


def test_absent_rows_get_no_gradient_whatever_they_hold() -> None:
    batch = make_batch()
    for term in TERMS:
        batch["texts"][term][~batch["present"][term]] = math.nan
    shares = shares_of_leaves(batch, LossSettings())
    sum(shares.values()).backward()
    assert all(torch.isfinite(share) for share in shares.values())
    for term in TERMS:
        assert (batch["texts"][term].grad[~batch["present"][term]] == 0).all()
    assert (batch["video"].grad[1] == 0).all(), "row 1 has neither text"


def test_a_term_that_no_row_has_is_zero_with_zero_gradients() -> None:
    batch = make_batch()
    batch["present"]["subtitle"][:] = False
    shares = shares_of_leaves(batch, LossSettings())
    shares["subtitle"].backward()
    assert shares["subtitle"] == 0
    assert all(leaf.grad is None or (leaf.grad == 0).all() for leaf in leaves(batch))


def test_equal_embeddings_give_twice_the_logarithm_of_the_batch() -> None:
    batch = make_batch()
    batch["video"] = torch.ones_like(batch["video"])
    batch["texts"] = {"caption": torch.ones_like(batch["video"])}
    batch["present"] = {"caption": torch.ones(8, dtype=torch.bool)}
    share = shares_of(batch, LossSettings(same_video="keep"))["caption"]
    assert float(share) == pytest.approx(2 * math.log(8))


def test_video_and_text_can_change_places() -> None:
    batch = make_batch()
    swapped = make_batch()
    swapped["texts"] = dict.fromkeys(TERMS, batch["video"])
    for term in TERMS:
        swapped["video"] = batch["texts"][term]
        torch.testing.assert_close(
            shares_of(swapped, LossSettings())[term], shares_of(batch, LossSettings())[term], msg=term
        )


def test_rows_all_of_one_video_leave_no_negatives_and_no_loss() -> None:
    batch = make_batch()
    batch["video_id"][:] = 7
    assert all(float(share) == pytest.approx(0) for share in shares_of(batch, LossSettings()).values())


def test_the_softmax_is_float32_whatever_autocast_and_embeddings_are() -> None:
    batch = make_batch(rows=64, width=16, dtype=torch.float32)
    exact = shares_of(batch, LossSettings())["caption"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(shares_of(batch, LossSettings())["caption"], exact)
    batch["video"] = batch["video"].bfloat16()
    assert shares_of(batch, LossSettings())["caption"].dtype == torch.float32


def test_it_can_be_asked_for_without_gradients() -> None:
    with torch.no_grad():
        value = shares_of(make_batch(), LossSettings())["caption"]
    torch.testing.assert_close(value, shares_of(make_batch(), LossSettings())["caption"])


def rank_gradients(ranks: Ranks, unequal: bool) -> dict[str, torch.Tensor]:
    """Return shares and gradients of this rank's rows of `make_batch`."""
    batch = make_batch()
    if unequal:
        batch["present"]["subtitle"][4:] = False
    half = len(batch["video"]) // ranks.world_size
    mine = slice(ranks.rank * half, (ranks.rank + 1) * half)
    own = {
        "video": batch["video"][mine].clone(),
        "texts": {t: batch["texts"][t][mine].clone() for t in TERMS},
        "present": {t: batch["present"][t][mine] for t in TERMS},
        "scale": batch["scale"],
        "video_id": batch["video_id"][mine],
        "span": batch["span"][mine],
    }
    shares = shares_of_leaves(own, LossSettings(chunk=3))
    shares = shares_of(own, LossSettings(chunk=3), ranks)
    sum(shares.values()).backward()
    names = ("video", *TERMS, "scale")
    return {f"d_{n}": leaf.grad for n, leaf in zip(names, leaves(own), strict=True)} | {
        t: share.detach() for t, share in shares.items()
    }


@pytest.mark.parametrize("unequal", [False, True], ids=["texts on both ranks", "subtitles on one rank only"])
def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path: Path, unequal: bool) -> None:
    one = rank_gradients(ALONE, unequal)
    two = on_ranks(2, rank_gradients, tmp_path, unequal)
    for name in (*TERMS, "d_scale"):
        torch.testing.assert_close(two[0][name] + two[1][name], one[name], msg=name)
    for name in ("d_video", "d_subtitle", "d_caption"):
        torch.testing.assert_close(torch.cat([two[0][name], two[1][name]]), one[name], msg=name)


class Tower(nn.Module):
    """A linear video tower with its logit scale."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5, dtype=torch.float64)
        self.log_scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
        with torch.no_grad():
            self.linear.weight.copy_(torch.linspace(-1, 1, 25).view(5, 5))
            self.linear.bias.fill_(0.1)

    def forward(self, x_BD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return F.normalize(self.linear(x_BD), dim=1), self.log_scale.exp()


def tower_gradients(ranks: Ranks) -> dict[str, torch.Tensor]:
    batch = make_batch()
    half = len(batch["video"]) // ranks.world_size
    mine = slice(ranks.rank * half, (ranks.rank + 1) * half)
    tower = Tower()
    wrapped = DistributedDataParallel(tower) if ranks.world_size > 1 else tower
    video, scale = wrapped(batch["video"][mine])
    shares = contrastive_loss(
        video,
        {t: batch["texts"][t][mine] for t in TERMS},
        {t: batch["present"][t][mine] for t in TERMS},
        scale,
        batch["video_id"][mine],
        batch["span"][mine],
        LossSettings(),
        ranks,
    )
    (ranks.world_size * sum(shares.values())).backward()
    return {name: parameter.grad for name, parameter in tower.named_parameters()}


def test_a_tower_under_ddp_gets_the_gradients_of_one_process(tmp_path: Path) -> None:
    one = tower_gradients(ALONE)
    for rank in on_ranks(2, tower_gradients, tmp_path):
        for name, gradient in one.items():
            torch.testing.assert_close(rank[name], gradient, msg=name)


def test_forward_and_backward_take_four_matrix_products() -> None:
    batch = make_batch(rows=64, width=16)
    batch["texts"], batch["present"] = ({"caption": batch[part]["caption"]} for part in ("texts", "present"))
    leaves_of_caption = [batch["video"].requires_grad_(), batch["texts"]["caption"].requires_grad_()]
    in_place = {torch.ops.aten.addmm_: lambda onto, left, right, **rest: 2 * left[0] * left[1] * right[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        shares_of(batch, LossSettings(chunk=16))["caption"].backward()
    assert counter.get_total_flops() == 4 * (2 * 64 * 64 * 16)
    assert all(leaf.grad is not None for leaf in leaves_of_caption)


@pytest.mark.slow
def test_the_whole_matrix_of_logits_is_never_in_memory() -> None:
    """4096 x 4096 logits are 64 MiB; chunks of 128 rows are 2 MiB, a handful of them at a time."""
    command = [sys.executable, "-m", "bench.loss", "--way=chunked", "--rows=4096", "--width=64", "--chunk=128"]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | MAPPED, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["gib"] < 0.05


def test_the_logit_scale_is_held_between_one_and_its_highest() -> None:
    log_scale = nn.Parameter(torch.tensor(9.0))
    clamp_logit_scale_(log_scale, 100.0)
    assert log_scale.item() == pytest.approx(math.log(100))
    log_scale.data.fill_(-3.0)
    clamp_logit_scale_(log_scale, 100.0)
    assert log_scale.item() == 0.0


def test_a_term_names_its_columns_in_order_of_preference() -> None:
    settings = LossSettings(terms={"caption": ["grounded_text", "caption_summary"], "subtitle": "subtitle"})
    expected = {"caption": ("grounded_text", "caption_summary"), "subtitle": ("subtitle",)}
    assert settings.columns_by_term == expected


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"terms": {}}, "terms"),
        ({"terms": {"caption": []}}, "terms.caption"),
        ({"chunk": 0}, "chunk"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(values: dict, named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        LossSettings(**values)


def test_clips_with_the_same_text_are_no_negatives_of_each_other() -> None:
    """Rows 0, 4 and 7 have one caption; the plain formula takes them as clips of one video."""
    texts_equal, one_video = make_batch(), make_batch()
    text_id = torch.arange(8)
    text_id[[4, 7]] = 0
    settings = LossSettings(same_video="keep")
    found = contrastive_loss(
        *(texts_equal[name] for name in ("video", "texts", "present", "scale", "video_id", "span")),
        settings,
        ALONE,
        dict.fromkeys(TERMS, text_id),
    )
    for term in TERMS:
        torch.testing.assert_close(found[term], plainly(one_video | {"video_id": text_id}, term, "mask"))


def test_equal_texts_are_negatives_where_that_is_asked_for() -> None:
    batch = make_batch()
    given = [batch[name] for name in ("video", "texts", "present", "scale", "video_id", "span")]
    same = {term: torch.zeros(8, dtype=torch.int64) for term in TERMS}
    kept = contrastive_loss(*given, LossSettings(same_text="keep"), ALONE, same)
    without = contrastive_loss(*given, LossSettings(), ALONE)
    assert all(torch.equal(kept[term], without[term]) for term in TERMS)


def test_negatives_are_counted_as_the_loss_takes_them() -> None:
    batch = make_batch()
    for same_video in ("mask", "overlap", "keep"):
        for same_text in ("mask", "keep"):
            text_id = torch.tensor([0, 1, 2, 3, 0, 5, 6, 0])
            total, rows = 0, 0
            for term in TERMS:
                present = [i for i in range(8) if batch["present"][term][i]]
                rows += len(present)
                total += sum(is_negative(batch, i, j, same_video, same_text, text_id) for i in present for j in present)
            found = count_negatives(
                batch["present"],
                batch["video_id"],
                batch["span"],
                LossSettings(same_video=same_video, same_text=same_text),
                ALONE,
                dict.fromkeys(TERMS, text_id),
            )
            assert float(found) == pytest.approx(total / rows)


def is_negative(batch: dict, i: int, j: int, same_video: str, same_text: str, text_id: torch.Tensor) -> bool:
    """Say of one pair if it is a negative."""
    if i == j or (same_text == "mask" and text_id[i] == text_id[j]):
        return False
    if same_video == "keep" or batch["video_id"][i] != batch["video_id"][j]:
        return True
    span = batch["span"]
    overlap = bool(span[i, 0] < span[j, 1] and span[j, 0] < span[i, 1])
    return same_video == "overlap" and not overlap
