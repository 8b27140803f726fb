"""One step of the teacher: its pairs of clips, and gradients that don't depend on ranks or micro-batches."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.ranks import on_ranks
from support.tiny_teacher import batch, rows_of, teacher, tokenizer
from torch.nn import functional as F

from training.engine.checkpoints.model_folder import load_weights
from training.engine.engine_settings import ComputeSettings
from training.engine.parallel.distributed import Ranks
from training.engine.training_task import NonFiniteLoss
from training.models.vidlankd.bert_model import hidden_states, mlm_logits
from training.models.vidlankd.text_batch import IGNORED, ClipTextBatch
from training.vidlankd.teacher.teacher_loss import GlobalRows, pair_rows
from training.vidlankd.teacher.teacher_task import TeacherTask
from training.vidlankd.vidlankd_settings import TeacherLossSettings, TeacherSettings

KINDS = [(kind, level) for kind in ("hinge", "all_hinge", "info_nce") for level in ("token", "sentence")]


def task(loss: TeacherLossSettings | None = None, ranks: Ranks | None = None, **compute: object) -> TeacherTask:
    return TeacherTask(
        teacher(),
        tokenizer(),
        loss or TeacherLossSettings(),
        ComputeSettings(device="cpu", **compute),
        ranks or Ranks(),
    )


def stepped(
    ranks: Ranks, loss: TeacherLossSettings, micro_batch: int | None, rows: int = 8
) -> dict[str, torch.Tensor | None]:
    """Gradients and losses of one step on this rank's share."""
    one, share = task(loss, ranks, micro_batch=micro_batch), rows // ranks.world_size
    report = one.step(rows_of(batch(rows), slice(ranks.rank * share, (ranks.rank + 1) * share)))
    gradients = {name: parameter.grad for name, parameter in one.module.named_parameters()}
    return gradients | {f"loss/{name}": torch.tensor(value) for name, value in report.losses.items()}


WAYS = (("hinge", "token", None), ("hinge", "token", 1), ("all_hinge", "token", 3), ("info_nce", "sentence", None))


def on_this_rank(ranks: Ranks) -> dict[str, dict[str, torch.Tensor | None] | dict[str, float]]:
    """Gradients in several ways, and scores, of one of two ranks."""
    found = {
        f"{kind} {level} {parts}": stepped(ranks, TeacherLossSettings(kind=kind, level=level), parts)
        for kind, level, parts in WAYS
    }
    held = [[batch(8), batch(5, seed=4)][ranks.rank]]
    one = TeacherTask(teacher(), tokenizer(), TeacherLossSettings(), ComputeSettings(device="cpu"), ranks, held)
    return {**found, "scores": dict(one.evaluate())}


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor | None]]]:
    return on_ranks(2, on_this_rank, tmp_path_factory.mktemp("ranks"))


def same(found: dict[str, torch.Tensor | None], expected: dict[str, torch.Tensor | None]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(
            value, expected[name], rtol=1e-3, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


def others_of(row: int, given: ClipTextBatch, loss: TeacherLossSettings) -> list[int]:
    """The negative clips of a row's text."""
    usable = [other for other in range(len(given)) if given.weight_B[other]]
    strangers = [other for other in usable if given.video_id_B[other] != given.video_id_B[row]]
    if row not in usable or loss.kind != "hinge":
        return strangers if row in usable else []
    half, at = len(usable) // 2, usable.index(row)
    pairs = list(zip(usable[:half], usable[half : 2 * half], strict=True))
    partner = {one: other for pair in pairs for one, other in (pair, pair[::-1])}
    assert all(given.video_id_B[one] != given.video_id_B[other] for one, other in partner.items()), "no shift is needed"
    return [partner[row]] if at < 2 * half else []


def by_hand(given: ClipTextBatch, loss: TeacherLossSettings) -> tuple[float, float]:
    """Both terms, row by row and token by token."""
    model = teacher().train()
    with torch.no_grad():
        hidden = hidden_states(model.text, given.text.masked_BL, given.text.valid_BL)
        clips = model.clip_vectors(given.video_BTD, given.frames_BT)
        logits = mlm_logits(model.text, hidden)
    terms, predictions = [], []
    for row in range(len(given)):
        others = others_of(row, given, loss)
        words = hidden[row][given.text.valid_BL[row]]
        anchors = F.normalize(words.mean(0, keepdim=True) if loss.level == "sentence" else words, dim=1)
        for anchor in anchors if others else ():
            own, apart = float(anchor @ clips[row]), [float(anchor @ clips[other]) for other in others]
            if loss.kind == "info_nce":
                scores = torch.tensor([own, *apart]) / loss.temperature
                terms.append(float(scores.logsumexp(0) - scores[0]))
            else:
                terms.append(sum(max(0.0, loss.margin - own + other) for other in apart) / len(apart))
        for at, label in enumerate(given.text.labels_BL[row].tolist()):
            if label != IGNORED:
                predictions.append(float(F.cross_entropy(logits[row, at], torch.tensor(label))))
    return sum(terms) / len(terms), sum(predictions) / len(predictions)


@pytest.mark.parametrize(("kind", "level"), KINDS)
@pytest.mark.parametrize("rows", [8, 7])
def test_both_terms_equal_a_loop_over_rows_and_tokens(kind: str, level: str, rows: int) -> None:
    loss = TeacherLossSettings(kind=kind, level=level)
    losses = task(loss).step(batch(rows)).losses
    contrastive, mlm = by_hand(batch(rows), loss)
    assert losses == pytest.approx({"contrastive": contrastive, "mlm": mlm, "total": contrastive + mlm}, rel=1e-4)


def paired(weights: list[float], videos: list[int]) -> list[int]:
    return pair_rows(torch.tensor(weights), torch.tensor(videos)).tolist()


def test_halves_of_the_batch_are_paired_row_by_row_and_an_odd_last_row_is_left_out() -> None:
    assert paired([1] * 6, [1, 2, 3, 4, 5, 6]) == [3, 4, 5, 0, 1, 2]
    assert paired([1] * 5, [1, 2, 3, 4, 5]) == [2, 3, 0, 1, 4]
    every = GlobalRows.of(torch.ones(5), torch.arange(5), TeacherLossSettings())
    assert every.compared_N.tolist() == [1, 1, 1, 1, 0]


def test_rows_without_features_have_no_partner() -> None:
    assert paired([1, 0, 1, 1, 0, 1], [1, 2, 3, 4, 5, 6]) == [3, 1, 5, 0, 4, 2]
    assert paired([0, 0], [1, 2]) == [0, 1]


def test_halves_are_shifted_to_avoid_pairs_of_one_video() -> None:
    assert paired([1] * 4, [1, 2, 1, 2]) == [3, 2, 1, 0]
    assert paired([1] * 6, [1, 2, 3, 1, 2, 3]) == [4, 5, 3, 2, 0, 1]
    random = np.random.default_rng(0)
    for _ in range(50):
        videos = torch.from_numpy(random.integers(0, 3, 12))
        found = pair_rows(torch.ones(12), videos)
        met = [int((videos[:6] == videos[6:].roll(-shift)).sum()) for shift in range(6)]
        assert int((videos == videos[found]).sum()) == 2 * min(met)
        assert torch.equal(found[found], torch.arange(12))


def test_a_clip_of_the_same_video_is_no_negative() -> None:
    every = GlobalRows.of(torch.ones(4), torch.tensor([7, 7, 7, 8]), TeacherLossSettings())
    assert every.compared_N.tolist() == [0, 1, 0, 1] or every.compared_N.tolist() == [1, 0, 0, 1]
    everything = TeacherLossSettings(kind="info_nce")
    assert GlobalRows.of(torch.ones(4), torch.tensor([7, 7, 7, 8]), everything).compared_N.tolist() == [1, 1, 1, 1]
    assert GlobalRows.of(torch.ones(3), torch.tensor([7, 7, 7]), everything).compared_N.tolist() == [0, 0, 0]


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("kind", ["hinge", "info_nce"])
def test_micro_batches_give_the_gradients_of_the_whole_batch(rows: int, kind: str) -> None:
    loss = TeacherLossSettings(kind=kind)
    same(stepped(Ranks(), loss, rows), stepped(Ranks(), loss, None))


@pytest.mark.parametrize(("kind", "level", "parts"), WAYS)
@pytest.mark.slow
def test_two_ranks_whole_or_in_parts_give_the_gradients_of_one(
    two_ranks: list[dict[str, dict[str, torch.Tensor | None]]], kind: str, level: str, parts: str
) -> None:
    expected = stepped(Ranks(), TeacherLossSettings(kind=kind, level=level), None)
    for found in two_ranks:
        same(found[f"{kind} {level} {parts}"], expected)


def test_in_parts_dropout_falls_on_the_same_units_in_both_passes() -> None:
    def vectors_and_gradient(parts: list[slice]) -> tuple[torch.Tensor, torch.Tensor]:
        one = task()
        for module in one.module.video.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.5
        torch.manual_seed(5)
        leaf = one._vectors.forward(batch(), parts)
        leaf.sum().backward()
        seen: list[torch.Tensor] = []
        one.module.video.register_forward_hook(lambda *found: seen.append(found[2].detach()))
        one._vectors.backward()
        return leaf.detach(), torch.cat(seen)

    first, again = vectors_and_gradient([slice(0, 3), slice(3, 8)])
    assert torch.equal(first, again)


def test_the_video_tower_learns_and_a_frozen_one_does_not() -> None:
    moved = {}
    for frozen in (False, True):
        model = teacher(frozen_video=frozen)
        one = TeacherTask(model, tokenizer(), TeacherLossSettings(), ComputeSettings(device="cpu"), Ranks())
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        before = {name: value.clone() for name, value in model.named_parameters()}
        losses = []
        for _ in range(12):
            losses.append(one.step(batch()).losses["contrastive"])
            optimizer.step()
            optimizer.zero_grad()
        moved[frozen] = [name for name, value in model.named_parameters() if not torch.equal(value, before[name])]
        assert losses[-1] < losses[0]
    everything = [name for name, _ in teacher().named_parameters()]
    assert moved[False] == everything
    assert moved[True] == [name for name in everything if not name.startswith("video.")]


def test_rows_without_features_teach_words_only() -> None:
    changed = batch()
    changed.video_BTD[3] = 5.0
    changed.video_id_B[3] = 99
    assert task().step(changed).losses == task().step(batch()).losses
    with_labels = batch()
    with_labels.text.labels_BL[3] = IGNORED
    assert task().step(with_labels).losses["mlm"] != task().step(batch()).losses["mlm"]


def test_without_the_contrastive_term_the_video_tower_is_neither_run_nor_trained() -> None:
    one = task(TeacherLossSettings(contrastive=0))
    report = one.step(batch())
    assert report.losses.keys() == {"mlm", "total"}
    assert all(parameter.grad is None for parameter in one.module.video.parameters())


def test_without_the_contrastive_term_nothing_of_clips_is_scored() -> None:
    one = task(TeacherLossSettings(contrastive=0))
    one._held_out = [batch()]
    assert one.evaluate().keys() == {"score", "mlm"}


def test_without_mlm_its_head_is_not_trained() -> None:
    one = task(TeacherLossSettings(mlm=0))
    assert one.step(batch()).losses.keys() == {"contrastive", "total"}
    without = {name for name, parameter in one.module.named_parameters() if parameter.grad is None}
    assert without == {name for name, _ in one.module.named_parameters() if name.startswith("text.cls.")}


def test_a_batch_with_nothing_to_learn_from_gives_gradients_of_zero() -> None:
    empty = batch()
    empty.weight_B[:] = 0
    empty.text.labels_BL[:] = IGNORED
    one = task()
    assert one.step(empty).losses == {"contrastive": 0, "mlm": 0, "total": 0}
    assert all(not parameter.grad.any() for parameter in one.module.parameters() if parameter.grad is not None)
    assert all(parameter.grad is not None for parameter in one.module.parameters())


def test_a_loss_that_is_no_number_names_the_clips() -> None:
    one = task()
    with torch.no_grad():
        one.module.text.bert.encoder.layer[0].output.dense.weight.fill_(math.nan)
    with pytest.raises(NonFiniteLoss, match="clip-0 clip-1"):
        one.step(batch())


def test_bf16_is_near_float32() -> None:
    losses = task(precision="bf16").step(batch()).losses
    assert losses == pytest.approx(task().step(batch()).losses, rel=0.02)


def test_held_out_clips_are_scored_and_equally_on_all_ranks(
    two_ranks: list[dict[str, dict[str, torch.Tensor | None]]],
) -> None:
    model = teacher()
    held = [batch(8), batch(5, seed=4)]
    one = TeacherTask(model, tokenizer(), TeacherLossSettings(), ComputeSettings(device="cpu"), Ranks(), held)
    scores = one.evaluate()
    assert scores.keys() == {"score", "contrastive", "mlm", "pair_accuracy"}
    assert scores["score"] == pytest.approx(-scores["contrastive"] - scores["mlm"])
    assert 0 <= scores["pair_accuracy"] <= 1
    assert model.training
    for found in two_ranks:
        assert found["scores"] == pytest.approx(dict(scores), rel=1e-5)


def test_pairs_are_correct_if_tokens_equal_their_clips() -> None:
    one = task()
    optimizer = torch.optim.AdamW(one.module.parameters(), lr=1e-2)
    for _ in range(40):
        one.step(batch())
        optimizer.step()
        optimizer.zero_grad()
    one._held_out = [batch()]
    assert one.evaluate()["pair_accuracy"] > 0.95


def test_nothing_held_out_gives_no_scores() -> None:
    assert task().evaluate() == {}


def test_a_saved_task_is_restored_exactly(tmp_path: Path) -> None:
    one, other = (
        task(),
        TeacherTask(teacher(seed=1), tokenizer(), TeacherLossSettings(), ComputeSettings(device="cpu"), Ranks()),
    )
    one.save(tmp_path / "kept")
    load_weights(other.stored, tmp_path / "kept")
    other.restore(tmp_path / "kept")
    assert other.step(batch()).losses == one.step(batch()).losses


def test_a_frozen_tower_costs_its_forward_pass_only() -> None:
    learning, frozen = (
        task(),
        TeacherTask(
            teacher(frozen_video=True), tokenizer(), TeacherLossSettings(), ComputeSettings(device="cpu"), Ranks()
        ),
    )
    alone = task(TeacherLossSettings(contrastive=0)).flops(batch())
    video = frozen.flops(batch()) - alone
    assert video > 0
    assert learning.flops(batch()) == pytest.approx(alone + 3 * video)


def test_the_header_names_the_trained_parts() -> None:
    assert task().header().endswith("for video; 1 token hinge + 1 mlm, float32 (no GPU with bf16)")


def test_a_batch_of_one_clip_is_refused_with_the_contrastive_loss() -> None:
    with pytest.raises(ValueError, match=r"loop\.batch_size=1: the contrastive loss needs other clips"):
        TeacherSettings.model_validate({"loop": {"batch_size": 1}})
    TeacherSettings.model_validate({"loop": {"batch_size": 1}, "loss": {"contrastive": 0}})


def test_clips_of_a_single_video_are_warned_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("clipgrove"), "propagate", True)
    one, alone = task(), batch()
    alone.video_id_B[:] = 7
    one.step(batch())
    assert "of one video" not in caplog.text
    for _ in range(2):
        assert one.step(alone).facts["compared"] == 0
    assert len({record.created for record in caplog.records if "of one video" in record.getMessage()}) == 1
