"""Finetuning with a head: labels, loss and gradients against a plain reference, saved and restored heads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.ranks import on_ranks
from torch.nn import functional as F

from runtime.errors import UserError
from training.data.clip_batch import ClipBatch
from training.data.clip_loader import TrainBatches
from training.data.data_settings import AugmentSettings, DataSettings
from training.engine.checkpoints.model_folder import load_weights
from training.engine.engine_settings import ComputeSettings, OptimSettings
from training.engine.optimizer import build_optimizer
from training.engine.parallel.distributed import Ranks
from training.engine.training_task import NonFiniteLoss
from training.evaluation.benchmarks.classification import class_folders
from training.evaluation.benchmarks.classification.classification_set import ClassificationSet, LabelledVideo
from training.evaluation.video.classification import ClassificationOptions, score_classification
from training.evaluation.video.frame_format import FrameFormat
from training.models.vidla.classification_head import VideoClassifier, load_head
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import HeadSettings, ModelSettings, TemporalSettings
from training.models.vidla.two_tower import VidLA
from training.vidla.finetuning.classification_task import TERM, ClassificationTask, LabelTokenizer
from training.vidla.finetuning.labelled_source import LabelledSource

FRAMES = 4
CLASSES = ("blue", "red")
PLAIN = HeadSettings(dropout=0.0)
NO_AUGMENT = AugmentSettings(scales=(1.0,), flip=False, center=True)


def tiny() -> VidLA:
    torch.manual_seed(0)
    temporal = TemporalSettings(levels=2, tokens_per_level=2)
    return build_model(ModelSettings(init="random:tiny", frames=FRAMES, temporal=temporal))


def task(
    compute: ComputeSettings | None = None, settings: HeadSettings = PLAIN, ranks: Ranks | None = None
) -> ClassificationTask:
    model = tiny()
    return ClassificationTask(model, CLASSES, settings, compute or ComputeSettings(), ranks or Ranks())


def batch(rows: slice = slice(0, 6)) -> ClipBatch:
    """Six clips of noise; the fifth has no class."""
    generator = torch.Generator().manual_seed(1)
    video_BTSSC = torch.randint(0, 256, (6, FRAMES, 64, 64, 3), dtype=torch.uint8, generator=generator)
    label_B1 = torch.tensor([[0], [1], [1], [0], [-1], [1]])
    keys = [f"clip{number}" for number in range(6)]
    return ClipBatch(
        frames_FSSC=video_BTSSC[rows].flatten(0, 1),
        length_B=torch.full((len(video_BTSSC[rows]),), FRAMES),
        crop_B4=torch.tensor([[0.0, 0.0, 1.0, 0.0]]).expand(6, -1)[rows],
        weight_B=torch.ones(6)[rows],
        tokens={TERM: label_B1[rows]},
        present={TERM: label_B1[rows, 0] >= 0},
        video_id_B=torch.arange(6)[rows],
        span_B2=torch.zeros(6, 2, dtype=torch.float64)[rows],
        keys=keys[rows],
    )


def gradients(trained: ClassificationTask) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in trained.module.named_parameters() if p.grad is not None}


def test_class_names_become_indices_and_an_empty_text_minus_one() -> None:
    tokens_B1 = LabelTokenizer(CLASSES)(["red", "", "blue"])
    assert tokens_B1.tolist() == [[1], [-1], [0]]
    assert tokens_B1.dtype == torch.int64


def test_a_text_that_is_not_a_class_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'blue'"):
        LabelTokenizer(CLASSES)(["bluee"])


def test_the_loss_is_the_mean_cross_entropy_of_the_rows_that_have_a_class() -> None:
    trained = task(settings=HeadSettings(label_smoothing=0.2, dropout=0.0))
    given = batch()
    report = trained.step(given)
    video_BTCHW = given.video_BTSSC.permute(0, 1, 4, 2, 3) / 255
    mean_C11, std_C11 = (torch.tensor(v).view(3, 1, 1) for v in (trained._model.mean, trained._model.std))
    kept = given.present[TERM]
    logits_BK = trained.module((video_BTCHW[kept] - mean_C11) / std_C11)
    expected = F.cross_entropy(logits_BK, given.tokens[TERM][kept, 0], label_smoothing=0.2)
    assert report.losses["total"] == pytest.approx(expected.item(), rel=1e-5)
    assert report.facts["train_top1"] == pytest.approx(
        (logits_BK.argmax(1) == given.tokens[TERM][kept, 0]).float().mean().item()
    )


def test_micro_batches_give_the_gradients_of_the_whole_batch() -> None:
    whole, parts = task(), task(ComputeSettings(micro_batch=4))
    assert whole.step(batch()).losses == pytest.approx(parts.step(batch()).losses)
    expected = gradients(whole)
    assert {"head.linear.weight", "video.mst_embedding"} < set(expected)
    for name, gradient in gradients(parts).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_a_batch_without_any_class_gives_no_gradient_and_no_nan() -> None:
    trained = task()
    assert trained.step(batch(slice(4, 5))).losses["total"] == 0.0
    assert all(not gradient.any() for gradient in gradients(trained).values())


def test_the_projection_into_the_shared_space_is_not_trained() -> None:
    trained = task()
    trained.step(batch())
    assert trained.module.video.proj.grad is None


def test_only_the_head_learns_at_the_rate_of_new_parameters() -> None:
    trained = task()
    optimizer = build_optimizer(trained.module, OptimSettings(lr=1e-5, lr_new=1e-4), trained.is_new)
    fast = [p for group in optimizer.param_groups if group["lr"] == pytest.approx(1e-4) for p in group["params"]]
    assert {id(p) for p in fast} == {id(p) for p in trained.module.head.parameters()}


def test_a_loss_that_is_not_finite_stops_with_the_keys() -> None:
    trained = task()
    trained.module.head.linear.bias.data.fill_(torch.inf)
    with pytest.raises(NonFiniteLoss) as stopped:
        trained.step(batch())
    assert stopped.value.keys == batch().keys


def _scored(trained: ClassificationTask, videos: ClassificationSet, ranks: Ranks) -> list[float]:
    found = score_classification(
        trained.module.eval(), videos, ClassificationOptions("uniform", FRAMES), FrameFormat.of(tiny()), ranks
    )
    return [found.top1, found.top5, found.mean_class, found.videos, found.failures["missing"]]


def _step_on(ranks: Ranks, videos: Path) -> dict[str, torch.Tensor]:
    trained = task(ComputeSettings(micro_batch=2), ranks=ranks)
    own = slice(3 * ranks.rank, 3 * ranks.rank + 3)
    report = trained.step(batch(own))
    scores = _scored(trained, with_one_missing(class_folders.read(videos)), ranks)
    return gradients(trained) | {"total": torch.tensor(report.losses["total"]), "scores": torch.tensor(scores)}


def with_one_missing(videos: ClassificationSet) -> ClassificationSet:
    return replace(videos, items=(*videos.items, LabelledVideo("gone", None, 0)))


@pytest.mark.slow
def test_two_ranks_give_the_loss_gradients_and_scores_of_one(tmp_path: Path, colours: ClassificationSet) -> None:
    alone = task()
    report = alone.step(batch())
    expected = gradients(alone)
    scores = _scored(alone, with_one_missing(colours), Ranks())
    for found in on_ranks(2, _step_on, tmp_path, colours.items[0].path.parent.parent):
        assert float(found.pop("total")) == pytest.approx(report.losses["total"], rel=1e-5)
        assert found.pop("scores").tolist() == pytest.approx(scores)
        assert set(found) == set(expected)
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_tower_and_head_are_saved_and_restored_together(tmp_path: Path) -> None:
    first, second = task(), task()
    with torch.no_grad():
        for parameter in first.module.parameters():
            parameter.add_(0.01)
    (tmp_path / "saved").mkdir()
    first.save(tmp_path / "saved")
    load_weights(second.stored, tmp_path / "saved")
    second.restore(tmp_path / "saved")
    for name, value in first.module.state_dict().items():
        torch.testing.assert_close(second.module.state_dict()[name], value)
    assert load_head(tmp_path / "saved", 128).classes == CLASSES


def test_a_head_of_another_width_or_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    task().save(tmp_path / "saved")
    with pytest.raises(UserError, match="made for a tower of width 128, --checkpoint has 64"):
        load_head(tmp_path / "saved", 64)
    weights = tmp_path / "saved" / "head.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"head\.safetensors can't be read"):
        load_head(tmp_path / "saved", 128)


def test_a_head_learns_the_classes_of_video_files(colours: ClassificationSet) -> None:
    made = LabelledSource(colours, "uniform", FRAMES, NO_AUGMENT, 0)
    batches = TrainBatches(
        made,
        global_batch=6,
        clips_per_root=1,
        ranks=Ranks(),
        tokenizer=LabelTokenizer(CLASSES),
        frames=FRAMES,
        settings=DataSettings(clips_per_root=1, size=64, workers=0),
    ).start(0)
    model = tiny()
    options, frame_format = ClassificationOptions("uniform", FRAMES), FrameFormat.of(model)

    def evaluate(classifier: VideoClassifier) -> dict[str, float]:
        return {"top1": score_classification(classifier, colours, options, frame_format).top1}

    trained = ClassificationTask(model, colours.classes, PLAIN, ComputeSettings(), Ranks(), evaluate)
    optimizer = build_optimizer(trained.module, OptimSettings(lr=1e-4, lr_new=1e-2), trained.is_new)
    losses = []
    for _ in range(8):
        losses.append(trained.step(next(batches)).losses["total"])
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.7 * losses[0]
    assert trained.evaluate() == {"top1": 1.0}
    assert trained.module.training
