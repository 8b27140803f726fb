"""`train-vidla` from the command line on real shards: it learns, stops, resumes, and refuses mistakes."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
import webdataset
import yaml
from support.colour_videos import BLUE, GREEN, RED, colour_video
from support.ranks import in_ranks, killed_at, stop_at
from support.selections import marked_rows
from support.shard_factory import build_dir
from support.vidla_runs import arguments, losses, start, train
from support.waiting import PATIENCE, until

from training.engine.training_loop import STOPPED
from training.vidla import load
from training.vidla.train_vidla import main
from training.vidla.vidla_settings import VidlaSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train-vidla") / "shards"
    build_dir(folder, shards=3, videos_per_shard=4, val_percent=30)
    return folder


@pytest.fixture(scope="module")
def undisturbed(shards: Path) -> Path:
    output = shards.parent / "undisturbed"
    assert train(*arguments(shards, output, steps=10)) == 0
    return output


def close(first: dict[int, dict[str, float]], second: dict[int, dict[str, float]], tolerance: float) -> bool:
    return first.keys() == second.keys() and all(
        abs(first[step][name] - second[step][name]) <= tolerance for step in first for name in first[step]
    )


def test_videos_and_texts_that_differ_are_learned_by_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step sees all four pairs, so the losses can be compared; chance level is 2 ln 4 = 2.77."""
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    with webdataset.TarWriter(str(tmp_path / "colours.tar")) as sink:
        for name, colour in {"red": RED, "green": GREEN, "blue": BLUE, "white": (235, 235, 235)}.items():
            video = colour_video(tmp_path / f"{name}.mp4", colour, seconds=1).read_bytes()
            sink.write({"__key__": name, "mp4": video, "txt": f"a {name} wall"})
    given = arguments(tmp_path / "colours.tar", tmp_path / "run", steps=24)
    for setting in ("data.source=webdataset", "optim.lr=2e-3"):
        given += ["--set", setting]
    assert train(*given) == 0
    assert losses(tmp_path / "run")[1]["loss/total"] > 2
    assert losses(tmp_path / "run")[24]["loss/total"] < 0.5


def test_a_run_leaves_a_model_that_opens_in_three_lines(undisturbed: Path) -> None:
    model = load(undisturbed / "best")
    video_BD = model.encode_video(torch.zeros(2, 6, 3, 32, 32))
    text_MD = model.encode_text(model.tokenizer(["a grey wall", "a white wall", "nothing"]))
    assert (video_BD @ text_MD.T).shape == (2, 3)


def test_a_checkpoint_opens_as_a_model_too(undisturbed: Path) -> None:
    checkpoint = undisturbed / "checkpoints" / "step-00000010"
    weights, best = load(checkpoint).state_dict(), load(undisturbed / "best").state_dict()
    assert all(torch.equal(weights[name], best[name]) for name in best)


def test_a_run_keeps_its_settings_and_scores_the_held_out_split(undisturbed: Path) -> None:
    assert yaml.safe_load((undisturbed / "settings.yaml").read_text())["loop"]["steps"] == 10
    scores = json.loads((undisturbed / "best" / "score.json").read_text())["scores"]
    assert 0 <= scores["t2v_r1"] <= 100
    kinds = [json.loads(line)["kind"] for line in (undisturbed / "metrics.jsonl").read_text().splitlines()]
    assert kinds.count("val") == 1


def test_each_term_is_logged_with_speed_wait_temperature_and_skips(undisturbed: Path) -> None:
    row = json.loads((undisturbed / "metrics.jsonl").read_text().splitlines()[0])
    assert {
        "loss/grounded",
        "loss/total",
        "clips_per_second",
        "wait_share",
        "temperature",
    } <= row.keys()
    assert row["loss/total"] == pytest.approx(row["loss/grounded"])


def test_the_head_of_a_run_says_which_texts_are_trained_on_and_how_many_clips_have_them(
    shards: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(*arguments(shards, tmp_path / "run", steps=1)) == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("texts ")]
    rows = [row for row in marked_rows(shards, "grounded") if row["keep"] and row["split"] == "train"]
    share = sum(bool(row["grounded_text"]) for row in rows) / len(rows)
    assert f"grounded: grounded_text ({share:.0%} of clips), otherwise caption_summary (" in line
    assert yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())["loss"]["terms"] == {
        "grounded": ["grounded_text", "caption_summary"]
    }


def test_a_run_that_is_killed_resumes_bit_for_bit_with_another_number_of_workers(
    shards: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    killed_at(5, main, arguments(shards, output, steps=10))
    assert steps_saved(output)[-1] == "step-00000004"
    again = arguments(shards, output, "--resume", "auto", "--set", "data.workers=2", steps=10)
    assert train(*again) == 0
    assert losses(output) == losses(undisturbed)


def test_a_run_on_two_ranks_resumes_on_one_and_the_losses_agree_to_rounding(
    shards: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    in_ranks(2, stopped_at_four, arguments(shards, output, "--set", "loop.save_every=1000", steps=10))
    assert steps_saved(output) == ["step-00000005"]
    assert train(*arguments(shards, output, "--resume", "auto", steps=10)) == 0
    assert close(losses(output), losses(undisturbed), 1e-4)


def test_micro_batches_give_the_losses_of_the_whole_batch(shards: Path, undisturbed: Path, tmp_path: Path) -> None:
    assert train(*arguments(shards, tmp_path / "run", "--set", "compute.micro_batch=1", steps=10)) == 0
    assert close(losses(tmp_path / "run"), losses(undisturbed), 1e-4)


def test_checkpointed_activations_give_the_same_losses(shards: Path, undisturbed: Path, tmp_path: Path) -> None:
    assert train(*arguments(shards, tmp_path / "run", "--set", "model.checkpointing=true", steps=10)) == 0
    assert close(losses(tmp_path / "run"), losses(undisturbed), 1e-4)


def test_bf16_trains_to_nearly_the_same_losses(shards: Path, undisturbed: Path, tmp_path: Path) -> None:
    assert train(*arguments(shards, tmp_path / "run", "--set", "compute.precision=bf16", steps=3)) == 0
    first = {step: row for step, row in losses(undisturbed).items() if step <= 3}
    assert close(losses(tmp_path / "run"), first, 0.1)


def test_a_signal_saves_and_ends_with_status_143(shards: Path, tmp_path: Path) -> None:
    process = start(arguments(shards, tmp_path / "run", "--set", "loop.save_every=1000", steps=100_000))
    try:
        until(lambda: (tmp_path / "run" / "metrics.jsonl").exists() or process.poll() is not None, "the first step")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 143, errors
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


def test_grounded_text_can_take_the_place_of_the_caption_and_columns_have_an_order(
    shards: Path, tmp_path: Path
) -> None:
    terms = "loss.terms={subtitle: [subtitle_summary, subtitle], grounded: grounded_text}"
    assert train(*arguments(shards, tmp_path / "run", "--set", terms, steps=1)) == 0
    assert losses(tmp_path / "run")[1].keys() == {"loss/subtitle", "loss/grounded", "loss/total"}


def test_print_config_shows_every_branch_and_trains_nothing(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*arguments(shards, tmp_path / "run", "--print-config")) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown.keys() == set(VidlaSettings.model_fields)
    assert shown["optim"]["lr"] == 1e-3
    assert not (tmp_path / "run").exists()


def test_a_file_of_settings_gives_way_to_flags_and_those_to_set(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("loop: {seed: 5, batch_size: 12}\noptim: {warmup: 2}\n")
    more = ["--config", str(tmp_path / "mine.yaml"), "--seed", "7", "--set", "optim.warmup=3", "--print-config"]
    assert train(*arguments(shards, tmp_path / "run", *more)) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["loop"]["seed"], shown["loop"]["batch_size"], shown["optim"]["warmup"]) == (7, 4, 3)


WRONG = {
    "unknown setting": (["--set", "loop.step=3"], "loop.step: no such setting (did you mean 'steps'?)"),
    "unknown layer": (["--layer", "grond"], "no text layer 'grond' (there are: grounded)"),
    "a column of keys": (["--set", "loss.terms={caption: video_id}"], "loss.terms.caption='video_id': no text column"),
    "unknown column": (["--set", "loss.terms={caption: captoin}"], "captoin"),
    "no such folder": (["--shards", "/nowhere/shards"], "/nowhere/shards"),
    "batch larger than an epoch": (["--batch-size", "4096"], "--batch-size 4096: takes 4096 roots a step"),
    "levels that the frames do not allow": (["--frames", "4"], "temporal.levels=3"),
    "checkpoint that does not exist": (["--resume", "/nowhere/step-1"], "--resume /nowhere/step-1"),
    "weights that do not exist": (["--init", "path:///nowhere/model"], "/nowhere/model"),
    "open_clip tag that does not exist": (["--init", "opnai"], "there are: openai"),
    "a folder that can't be": (["--output", "/dev/null/run"], "--output /dev/null/run: can't be written"),
    "a seed below 0": (["--seed", "-1"], "loop.seed=-1"),
    "a batch of one root": (
        ["--batch-size", "2", "--set", "data.clips_per_root=2"],
        "leaves out of each",
    ),
    "a batch of one clip": (["--batch-size", "1"], "--batch-size 1: a clip has no"),
    "two lengths": (["--set", "loop.epochs=2"], "steps and epochs are both set"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_ends_with_one_line_and_status_2(
    case: str, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more, expected = WRONG[case]
    assert train(*arguments(shards, tmp_path / "run", *more)) == 2
    message = capsys.readouterr().err.strip()
    assert expected in message
    assert len(message.splitlines()) == 1


def test_another_schema_version_is_refused(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "shards"
    shutil.copytree(shards, other)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    assert train(*arguments(other, tmp_path / "run")) == 2
    assert "99" in capsys.readouterr().err


def test_a_tar_that_is_cut_short_is_counted_and_the_run_continues(shards: Path, tmp_path: Path) -> None:
    other = tmp_path / "shards"
    shutil.copytree(shards, other)
    tar = other / "media" / "0000001.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 3])
    assert train(*arguments(other, tmp_path / "run", "--set", "loop.max_skipped=1", steps=6)) == 0
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-2])
    assert sum(value for name, value in last.items() if name.startswith("skips/")) > 0


def test_shards_that_are_mostly_unreadable_stop_the_run(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "shards"
    shutil.copytree(shards, other)
    for tar in (other / "media").glob("*.tar"):
        tar.write_bytes(b"\0" * tar.stat().st_size)
    assert train(*arguments(other, tmp_path / "run", steps=40)) == 2
    assert "could not be used" in capsys.readouterr().err


def test_going_on_with_another_model_lists_the_differences(
    shards: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    shutil.copytree(undisturbed, output)
    more = ["--resume", "auto", "--set", "model.temporal.levels=2"]
    assert train(*arguments(shards, output, *more, steps=12)) == 2
    assert "temporal.levels was 3, is 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [["--seed", "1"], ["--set", "data.clips_per_root=2"], ["--set", "loss.terms={caption: grounded_text}"]]
)
def test_going_on_in_another_order_of_the_data_is_refused(
    change: list[str], shards: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    shutil.copytree(undisturbed, output)
    assert train(*arguments(shards, output, "--resume", "auto", *change, steps=12)) == 2
    assert "data is not the one the run was begun with" in capsys.readouterr().err


def test_going_on_with_more_workers_or_another_micro_batch_is_no_other_run(
    shards: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(undisturbed, output)
    more = ["--resume", "auto", "--set", "data.workers=1", "--set", "compute.micro_batch=2"]
    assert train(*arguments(shards, output, *more, steps=10)) == 0


def test_a_finished_model_starts_another_run_with_more_frames(shards: Path, undisturbed: Path, tmp_path: Path) -> None:
    given = arguments(shards, tmp_path / "run", steps=1)
    given += ["--init", f"path://{undisturbed / 'best'}", "--frames", "8"]
    assert train(*given) == 0
    assert load(tmp_path / "run" / "best").architecture["frames"] == 8


def stopped_at_four(given: list[str]) -> None:
    assert stop_at(4, main, given) == STOPPED


def steps_saved(output: Path) -> list[str]:
    return sorted(path.name for path in (output / "checkpoints").iterdir() if not path.suffix)
