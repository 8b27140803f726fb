import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.colour_videos import BLUE, RED, colour_video

from training.models.vidla.vidla_folder import load
from training.vidla.eval_vidla import main as evaluate
from training.vidla.finetuning.finetuning_request import FinetuningRequest, held_out_of_train
from training.vidla.train_vidla import main as train
from training.vidla.vidla_settings import VidlaSettings

WEIGHTS = "state/shard-00001-model-00001-of-00001.safetensors"
SMALL = ["--set", "data.workers=0", "--set", "data.size=64", "--set", "model.temporal.levels=2", "--device", "cpu"]


@pytest.fixture
def kinetics(tmp_path: Path) -> Path:
    """Two classes by colour, in training and validation."""
    for split in ("train", "val"):
        rows = []
        for number in range(3):
            for name, colour in (("seeing blue", BLUE), ("seeing red", RED)):
                video = f"{split}-{name[-3:]}{number}"
                colour_video(tmp_path / "videos" / split / f"{video}_000000_000002.mp4", colour)
                rows.append({"label": name, "youtube_id": video, "time_start": 0, "time_end": 2, "split": split})
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return tmp_path


@pytest.fixture
def msvd(tmp_path: Path) -> Path:
    captions = {}
    for split, count in (("train", 4), ("val", 2)):
        ids = [f"{split}{number}_0_2" for number in range(count)]
        for number, video in enumerate(ids):
            colour_video(tmp_path / "videos" / f"{video}.avi", RED if number % 2 else BLUE)
            captions[video] = [f"a {'red' if number % 2 else 'blue'} wall", "someone shows a wall"]
        (tmp_path / f"{split}_list.txt").write_text("\n".join(ids))
    (tmp_path / "captions_msvd.json").write_text(json.dumps(captions))
    return tmp_path


def finetune(benchmark: str, root: Path, *flags: str) -> int:
    where = ["--annotations", str(root), "--videos", str(root / "videos"), "--output", str(root / "run")]
    return train(["finetune", "--benchmark", benchmark, *where, "--init", "random:tiny", *SMALL, *flags])


def test_a_head_finetuned_on_kinetics_is_scored_by_the_evaluation_command(
    kinetics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = [
        "--set",
        "optim.lr=1e-4",
        "--set",
        "optim.lr_new=1e-2",
        "--set",
        "optim.warmup=0",
        "--set",
        "head.dropout=0",
        "--select-on",
        "test",
    ]
    assert finetune("kinetics400", kinetics, "--steps", "12", "--batch-size", "6", "--frames", "4", *fast) == 0
    assert "6 videos of kinetics400 train; scored on kinetics400 val" in capsys.readouterr().out
    best = str(kinetics / "run" / "best")
    flags = ["--checkpoint", best, "--head", best, "--benchmark", "kinetics400", "--annotations", str(kinetics)]
    output = kinetics / "scores.json"
    where = ["--videos", str(kinetics / "videos"), "--device", "cpu", "--output", str(output)]
    assert evaluate(["classify", *flags, *where]) == 0
    report = json.loads(output.read_text())
    assert (report["top1"], report["videos"], report["complete"]) == (100.0, 6, True)
    assert report["look"]["views"] == {"temporal": 5, "spatial": 3}
    assert (report["look"]["sampling"], report["look"]["frames"]) == ("dense", 4)


def test_a_run_on_classes_taken_up_in_its_middle_ends_as_before_to_the_last_bit(kinetics: Path) -> None:
    settings = ["--batch-size", "6", "--frames", "4", "--set", "evaluation.max_clips=0", "--set", "loop.save_every=2"]
    assert finetune("kinetics400", kinetics, "--steps", "4", *settings) == 0
    run = kinetics / "run"
    last = run / "checkpoints" / "step-00000004"
    whole = load_file(last / "head.safetensors"), load_file(last / WEIGHTS)
    shutil.rmtree(last)
    assert finetune("kinetics400", kinetics, "--steps", "4", *settings, "--resume", "auto") == 0
    for before, after in zip(whole, (load_file(last / "head.safetensors"), load_file(last / WEIGHTS)), strict=True):
        torch.testing.assert_close(after, before, atol=0, rtol=0)


def test_retrieval_is_finetuned_from_captions_and_scored_on_the_validation_split(
    msvd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--steps", "2", "--batch-size", "4", "--frames", "4"]
    assert finetune("msvd", msvd, *flags) == 0
    assert "4 videos of msvd train; scored on msvd val" in capsys.readouterr().out
    assert load(msvd / "run" / "best").video.frames == 4
    scores = json.loads((msvd / "run" / "best" / "score.json").read_text())["scores"]
    assert 0 <= scores["t2v_r1"] <= 100


def test_the_recipe_shows_in_the_printed_settings(msvd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune("vatex", msvd, "--print-config") == 0
    assert "steps: 2640" in capsys.readouterr().out


def test_the_recipe_is_that_of_the_tower_wherever_it_is_named(msvd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (msvd / "own.yaml").write_text("model: {architecture: ViT-B-16}\n")
    where = ["--benchmark", "didemo", "--annotations", str(msvd), "--videos", str(msvd), "--print-config"]
    for named in (["--config", str(msvd / "own.yaml")], ["--set", "model.init=ViT-B-16:openai"]):
        assert train(["finetune", *where, *named]) == 0
        shown = capsys.readouterr().out
        assert "steps: 660" in shown
        assert "batch_size: 196" in shown


def test_a_length_of_ones_own_takes_the_place_of_the_recipes(msvd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune("vatex", msvd, "--set", "loop.epochs=2", "--print-config") == 0
    shown = capsys.readouterr().out
    assert "steps: null" in shown
    assert "epochs: 2" in shown


def test_steps_take_the_place_of_a_recipes_epochs(kinetics: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune("kinetics400", kinetics, "--steps", "7", "--print-config") == 0
    shown = capsys.readouterr().out
    assert "steps: 7" in shown
    assert "epochs: null" in shown


def test_a_training_split_without_videos_ends_with_one_line(msvd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (msvd / "videos").glob("train*"):
        path.unlink()
    assert finetune("msvd", msvd, "--steps", "2", "--batch-size", "4") == 2
    assert "holds none of the 4 videos of msvd train" in capsys.readouterr().err


def test_the_best_checkpoint_is_chosen_on_videos_that_are_neither_trained_on_nor_published_scores(
    kinetics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune("kinetics400", kinetics, "--steps", "1", "--batch-size", "4", "--frames", "4") == 0
    scored = "kinetics400 train (1 of its videos, held out)"
    assert f"5 videos of kinetics400 train; scored on {scored}" in capsys.readouterr().out
    score = json.loads((kinetics / "run" / "best" / "score.json").read_text())
    assert (score["scored_on"], score["scores"]["videos"]) == (scored, 1)


def test_a_checkpoint_that_is_chosen_on_published_scores_says_so(msvd: Path) -> None:
    (msvd / "test_list.txt").write_text((msvd / "val_list.txt").read_text())
    assert finetune("msvd", msvd, "--steps", "1", "--batch-size", "4", "--frames", "4", "--select-on", "test") == 0
    assert json.loads((msvd / "run" / "best" / "score.json").read_text())["scored_on"] == "msvd test"


def request(benchmark: str, select_on: str) -> FinetuningRequest:
    """A request whose files are never read."""
    settings = VidlaSettings.model_validate({"evaluation": {"select_on": select_on}})
    return FinetuningRequest(settings, benchmark, Path("a"), Path("v"), Path("o"))


@pytest.mark.parametrize(
    ("benchmark", "split", "published"),
    [
        ("msrvtt", None, "test"),
        ("activitynet", None, "val_1"),
        ("didemo", "val", "test"),
        ("vatex", "val", "test"),
        ("kinetics400", None, "val"),
        ("ssv2", None, "val"),
    ],
)
def test_only_select_on_test_chooses_on_the_split_of_the_published_scores(
    benchmark: str, split: str | None, published: str
) -> None:
    assert request(benchmark, "val").selection_split() == split
    assert request(benchmark, "test").selection_split() == published


def test_a_twentieth_of_the_training_videos_is_held_out_by_their_ids_alone() -> None:
    ids = [f"video{number}" for number in range(200)]
    held_out = {ids[number] for number in held_out_of_train(ids, 1000)}
    backwards = ids[::-1]
    assert len(held_out) == 10
    assert held_out == {backwards[number] for number in held_out_of_train(backwards, 1000)}
    assert len(held_out_of_train(ids, 3)) == 3
    assert (len(held_out_of_train(["a"], 9)), len(held_out_of_train(["a", "b"], 9))) == (0, 1)
