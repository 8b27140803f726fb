import argparse
import json
from pathlib import Path

import pytest
import torch
from support.colour_videos import BLUE, GREEN, RED, colour_video
from torch.nn import functional as F

from runtime.errors import UserError
from training.data.clip_failure import ClipFailed
from training.data.decoding.video_duration import video_seconds
from training.evaluation.benchmarks.classification import class_folders
from training.evaluation.benchmarks.classification.classification_set import ClassificationSet, LabelledVideo
from training.evaluation.published_scores import CLASSIFICATION
from training.evaluation.video.classification import (
    ClassificationOptions,
    class_embeddings,
    decode_views,
    hit_probabilities,
    labelled_span,
    score_classification,
    zero_shot,
)
from training.evaluation.video.frame_format import FrameFormat
from training.evaluation.video.video_views import Views
from training.models.vidla.classification_head import ClassificationHead, VideoClassifier, save_head, width_of
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA
from training.models.vidla.vidla_folder import save
from training.vidla import eval_vidla
from training.vidla.commands import classify_command

FORMAT = FrameFormat(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
OPTIONS = ClassificationOptions("uniform", 4, batch_size=2)
COLOURS = {"blue": BLUE, "green": GREEN, "red": RED}


@pytest.fixture(scope="module")
def model() -> VidLA:
    torch.manual_seed(0)
    return build_model(ModelSettings(init="random:tiny", frames=6)).eval()


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    for name, colour in COLOURS.items():
        for number in range(2):
            colour_video(tmp_path / "videos" / name / f"{number}.mp4", colour)
    return tmp_path / "videos"


def by_colour(video_BTCHW: torch.Tensor) -> torch.Tensor:
    """Logits of blue, green and red: how much of each there is."""
    return 10 * video_BTCHW.mean(dim=(1, 3, 4)).flip(1)


# --- counting


def test_a_hit_is_a_class_among_the_first_k() -> None:
    scores_NK = torch.tensor([[0.1, 0.9, 0.5, 0.4, 0.3, 0.2, 0.0]]).expand(7, -1)
    assert hit_probabilities(scores_NK, torch.arange(7)).tolist() == [
        [0, 0],
        [1, 1],
        [0, 1],
        [0, 1],
        [0, 1],
        [0, 1],
        [0, 0],
    ]


def test_constant_scores_earn_what_chance_earns() -> None:
    assert hit_probabilities(torch.zeros(1, 10), torch.tensor([3])).tolist() == [[pytest.approx(0.1), 0.5]]


def test_accuracy_is_counted_over_videos_and_over_classes(colours: Path) -> None:
    (colours / "red" / "1.mp4").unlink()
    colour_video(colours / "blue" / "1.mp4", GREEN)
    scores = score_classification(by_colour, class_folders.read(colours), OPTIONS, FORMAT)
    assert (scores.top1, scores.top5, scores.videos) == (pytest.approx(4 / 5), 1.0, 5)
    assert scores.mean_class == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert scores.complete


def test_videos_that_fail_are_counted_by_reason_and_leave_the_score_incomplete(colours: Path) -> None:
    (colours / "red" / "1.mp4").write_bytes(b"no video at all")
    read = class_folders.read(colours)
    gone = LabelledVideo("gone", None, 0)
    scores = score_classification(
        by_colour, ClassificationSet("folder", "val", read.classes, (*read.items, gone)), OPTIONS, FORMAT
    )
    assert scores.failures == {"undecodable": 1, "missing": 1}
    assert not scores.complete
    assert (scores.top1, scores.videos) == (1.0, 5)
    assert scores.top1_at_least == pytest.approx(5 / 7)


def test_videos_with_logits_that_are_not_finite_are_counted_and_not_scored(colours: Path) -> None:
    scores = score_classification(
        lambda video: by_colour(video) * torch.nan, class_folders.read(colours), OPTIONS, FORMAT
    )
    assert scores.failures == {"not_finite": 6}
    assert scores.videos == 0


# --- views


def test_the_softmax_of_all_views_is_averaged(tmp_path: Path) -> None:
    colour_video(tmp_path / "blue" / "1.mp4", RED, GREEN, BLUE, BLUE, size=(128, 32))
    colour_video(tmp_path / "red" / "1.mp4", RED)
    seen: list[torch.Tensor] = []

    def classify(video_BTCHW: torch.Tensor) -> torch.Tensor:
        seen.append(by_colour(video_BTCHW)[:, ::2])
        return seen[-1]

    read = class_folders.read(tmp_path)
    three = score_classification(classify, read, ClassificationOptions("uniform", 4, Views(1, 3), batch_size=6), FORMAT)
    mean_K = torch.cat(seen)[:3].softmax(dim=1).mean(dim=0)
    assert mean_K.argmax() == 0
    assert three.top1 == 1.0


def test_three_crops_show_left_middle_and_right(tmp_path: Path) -> None:
    path = colour_video(tmp_path / "1.mp4", RED, GREEN, BLUE, size=(96, 32))
    views = decode_views(LabelledVideo("1", path, 0), ClassificationOptions("uniform", 2, Views(1, 3)), 32)
    assert [view.shape for view in views] == [(2, 32, 32, 3)] * 3
    assert [int(view.mean(axis=(0, 1, 2)).argmax()) for view in views] == [0, 1, 2]


def test_dense_views_times_crops_are_as_many_as_asked_for(tmp_path: Path) -> None:
    path = colour_video(tmp_path / "1.mp4", RED, seconds=4)
    views = decode_views(LabelledVideo("1", path, 0), ClassificationOptions("dense", 3, Views(5, 3)), 32)
    assert [view.shape for view in views] == [(3, 32, 32, 3)] * 15


def test_a_trimmed_file_is_taken_whole_and_a_longer_one_by_its_span() -> None:
    item = LabelledVideo("x", Path("x.mp4"), 0, 5.0, 15.0)
    assert labelled_span(item, 10.4) == (0.0, 10.4)
    assert labelled_span(item, 60.0) == (5.0, 15.0)
    assert labelled_span(item, 12.0) == (5.0, 12.0)
    with pytest.raises(ClipFailed) as failed:
        labelled_span(LabelledVideo("x", Path("x.mp4"), 0, 50.0, 60.0), 40.0)
    assert failed.value.reason == "out_of_range"


def test_the_length_of_a_video_is_read_without_decoding_it(tmp_path: Path) -> None:
    assert video_seconds(colour_video(tmp_path / "1.mp4", RED, seconds=3)) == pytest.approx(3.0)
    assert video_seconds(colour_video(tmp_path / "1.mkv", RED, seconds=3)) == pytest.approx(3.0, abs=0.13)


# --- zero-shot


def test_a_class_embedding_is_the_normalised_mean_of_its_sentences(model: VidLA) -> None:
    classes, templates = ["a cat", "two dogs"], ["a photo of {}.", "a video of {}.", "{}"]
    found_KD = class_embeddings(model, classes, templates, batch_size=4)
    with torch.inference_mode():
        for name, found_D in zip(classes, found_KD, strict=True):
            each = [model.encode_text(model.tokenizer([text.format(name)]))[0] for text in templates]
            torch.testing.assert_close(found_D, F.normalize(torch.stack(each).mean(dim=0), dim=0))


def test_zero_shot_compares_clips_with_sentences_at_the_models_temperature(model: VidLA) -> None:
    classify = zero_shot(model, ["red", "green"], ["a video of {}."])
    video_BTCHW = torch.randn(2, 6, 3, 64, 64)
    with torch.inference_mode():
        texts_KD = model.encode_text(model.tokenizer(["a video of red.", "a video of green."]))
        expected_BK = model.encode_video(video_BTCHW) @ texts_KD.T / 0.07
        torch.testing.assert_close(classify(video_BTCHW), expected_BK)


def test_logits_are_not_rounded_where_the_towers_run_in_bfloat16(model: VidLA) -> None:
    classify = zero_shot(model, ["red", "green"], ["a video of {}."])
    head = VideoClassifier(model.video, ClassificationHead(width_of(model.video), ["a", "b"])).eval()
    video_BTCHW = torch.randn(2, 6, 3, 64, 64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for logits_BK in (classify(video_BTCHW), head(video_BTCHW)):
            assert logits_BK.dtype == torch.float32
            assert not torch.equal(logits_BK, logits_BK.bfloat16().float())


# --- the command


def parsed(*given: str) -> argparse.Namespace:
    return eval_vidla._parser().parse_args(["classify", *given])


def test_the_command_writes_zero_shot_scores_and_their_options(
    colours: Path, model: VidLA, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(model, tmp_path / "export")
    flags = ["--checkpoint", str(tmp_path / "export"), "--benchmark", "folder", "--videos", str(colours)]
    output = tmp_path / "scores" / "zero.json"
    assert (
        classify_command.run(
            parsed(*flags, "--frames", "6", "--device", "cpu", "--workers", "1", "--output", str(output))
        )
        == 0
    )
    report = json.loads(output.read_text())
    assert report["way"] == "zero-shot"
    assert report["videos"] == 6
    assert report["complete"] is True
    assert report["look"] == {
        "sampling": "uniform", "frames": 6, "views": {"temporal": 1, "spatial": 1}, "batch_size": 16, "workers": 1
    }  # fmt: skip
    assert "this checkpoint" in capsys.readouterr().out


def test_frame_mean_embeds_each_frame_alone(colours: Path, tmp_path: Path) -> None:
    flags = ["--checkpoint", "random:tiny", "--frame-mean", "--benchmark", "folder", "--videos", str(colours)]
    output = tmp_path / "mean.json"
    assert classify_command.run(parsed(*flags, "--frames", "2", "--device", "cpu", "--output", str(output))) == 0
    report = json.loads(output.read_text())
    assert (report["frame_mean"], report["videos"], report["look"]["frames"]) == (True, 6, 2)


def test_a_head_is_scored_in_the_order_of_its_own_classes(colours: Path, model: VidLA, tmp_path: Path) -> None:
    head = ClassificationHead(width_of(model.video), ["red", "green", "blue"])
    torch.nn.init.zeros_(head.linear.weight)
    head.linear.bias.data = torch.tensor([2.0, 1.0, 0.0])
    target = tmp_path / "finetuned"
    save(model, target)
    save_head(head, target, {"benchmark": "folder", "sampling": "dense", "frames": 6})
    flags = ["--checkpoint", str(target), "--head", str(target), "--benchmark", "folder", "--videos", str(colours)]
    output = tmp_path / "head.json"
    assert classify_command.run(parsed(*flags, "--views", "2x1", "--device", "cpu", "--output", str(output))) == 0
    report = json.loads(output.read_text())
    assert (report["way"], report["top1"], report["mean_class"]) == ("finetuned", 33.33, 33.33)
    assert (report["look"]["sampling"], report["look"]["frames"]) == ("dense", 6)


def test_published_accuracies_are_known_for_ssv2() -> None:
    assert [(row.model, row.scores["top1"]) for row in CLASSIFICATION["ssv2", "val", "finetuned"][:2]] == [
        ("VidLA-B/32", 67.9),
        ("VidLA-B/16", 69.9),
    ]


def test_contradictory_flags_are_refused(colours: Path) -> None:
    flags = ["--checkpoint", "random:tiny", "--benchmark", "folder", "--videos", str(colours)]
    with pytest.raises(UserError, match="--frames 0: must be at least 1"):
        classify_command.run(parsed(*flags, "--frames", "0"))
    with pytest.raises(UserError, match=r"holds no head\.json"):
        classify_command.run(parsed(*flags, "--head", str(colours), "--device", "cpu"))


# --- the head


def test_the_head_takes_the_input_of_the_projection(model: VidLA) -> None:
    head = ClassificationHead(width_of(model.video), ["a", "b"], dropout=0.5)
    classifier = VideoClassifier(model.video, head).eval()
    video_BTCHW = torch.randn(2, 6, 3, 64, 64)
    with torch.inference_mode():
        features_BD = classifier.video.features(video_BTCHW)
        torch.testing.assert_close(features_BD @ model.video.proj, model.video(video_BTCHW))
        torch.testing.assert_close(classifier(video_BTCHW), head.linear(features_BD))
