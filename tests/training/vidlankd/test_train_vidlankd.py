"""`train-vidlankd` from the command line, from shards and text to a BERT folder: it learns, stops, goes on, refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from support.feature_sets import write_features
from support.ranks import killed_at
from support.shard_factory import build_dir
from support.tiny_bert import tiny_tokenizer
from support.vidlankd_runs import Recipe, command, losses, start, student, teacher
from support.waiting import PATIENCE
from transformers import AutoModel, AutoTokenizer

from training.vidlankd.train_vidlankd import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def taught(made: Recipe) -> Path:
    """An undisturbed teacher's run."""
    output = made.shards.parent / "teacher"
    assert command(*teacher(made, output, steps=10)) == 0
    return output


@pytest.fixture(scope="module")
def learned(made: Recipe, taught: Path) -> Path:
    """An undisturbed student's run."""
    output = made.shards.parent / "student"
    assert command(*student(made, output, teacher=taught / "best", steps=10)) == 0
    return output


def data_of(run: Path) -> str:
    """The identity of the batches of a run of ten steps."""
    record = json.loads((run / "checkpoints" / "step-00000010" / "checkpoint.json").read_text())
    return str(record["identity"]["data"])


def refused(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """The one line that a command ends with."""
    capsys.readouterr()
    assert command(*given) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("train-vidlankd: ")
    return said


def test_a_teachers_run_logs_both_terms_and_keeps_the_best_by_its_held_out_score(taught: Path) -> None:
    row = json.loads((taught / "metrics.jsonl").read_text().splitlines()[0])
    assert {"loss/contrastive", "loss/mlm", "loss/total", "clips_per_second", "wait_share"} <= row.keys()
    scores = json.loads((taught / "best" / "score.json").read_text())["scores"]
    assert scores["score"] == pytest.approx(-(scores["contrastive"] + scores["mlm"]))
    assert yaml.safe_load((taught / "settings.yaml").read_text())["optim"]["schedule"] == "linear"


def test_a_students_run_logs_each_objective_and_scores_held_out_text(learned: Path) -> None:
    rows = [json.loads(line) for line in (learned / "metrics.jsonl").read_text().splitlines()]
    assert {"loss/mlm", "loss/nst", "loss/crd", "loss/total", "blocks_per_second"} <= rows[-2].keys()
    assert 0 <= json.loads((learned / "best" / "score.json").read_text())["scores"]["mlm_accuracy"] <= 1


def test_both_learn(made: Recipe, taught: Path, tmp_path: Path) -> None:
    assert command(*teacher(made, tmp_path / "teacher", "--set", "optim.lr=3e-3", steps=30)) == 0
    more = ["--set", "optim.lr=3e-3"]
    assert command(*student(made, tmp_path / "student", *more, teacher=taught / "best", steps=30)) == 0
    for run, term in (("teacher", "loss/mlm"), ("student", "loss/mlm"), ("student", "loss/crd")):
        values = [row[term] for row in losses(tmp_path / run).values() if row.get(term)]
        assert sum(values[-5:]) < sum(values[:5]), (run, term)


def test_a_killed_teacher_resumes_exactly(made: Recipe, taught: Path, tmp_path: Path) -> None:
    given = teacher(made, tmp_path / "run", steps=10)
    killed_at(5, main, given)
    assert command(*given, "--resume", "auto") == 0
    assert losses(tmp_path / "run") == losses(taught)


def test_a_killed_student_resumes_exactly_queue_included(
    made: Recipe, taught: Path, learned: Path, tmp_path: Path
) -> None:
    given = student(made, tmp_path / "run", teacher=taught / "best", steps=10)
    killed_at(5, main, given)
    assert command(*given, "--resume", "auto") == 0
    assert losses(tmp_path / "run") == losses(learned)


def test_states_from_the_cache_give_the_run_that_computed_them(made: Recipe, taught: Path, tmp_path: Path) -> None:
    cached = ["--set", "data.masking.static_copies=2", "--set", f"teacher.cache={tmp_path / 'cache'}"]
    assert command(*student(made, tmp_path / "first", *cached, teacher=taught / "best")) == 0
    assert command(*student(made, tmp_path / "second", *cached, teacher=taught / "best")) == 0
    assert losses(tmp_path / "first") == losses(tmp_path / "second")


def test_two_ranks_train_a_student(made: Recipe, taught: Path, tmp_path: Path) -> None:
    process = start(student(made, tmp_path / "run", teacher=taught / "best", steps=3), ranks=2)
    _, errors = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 0, errors
    assert set(losses(tmp_path / "run")) == {1, 2, 3}


def test_the_baseline_of_text_alone_has_the_same_steps_and_batches(made: Recipe, learned: Path, tmp_path: Path) -> None:
    assert command(*student(made, tmp_path / "run", steps=10)) == 0
    rows = losses(tmp_path / "run")
    assert rows.keys() == losses(learned).keys()
    assert rows[1].keys() == {"loss/mlm", "loss/total"}
    assert data_of(tmp_path / "run") == data_of(learned)


def test_the_texts_of_the_clips_make_a_corpus_for_the_control(made: Recipe, tmp_path: Path) -> None:
    given = ["--shards", str(made.shards), "--column", "caption", "--block", "30", "--tokenizer", made.tokenizer]
    assert command("tokenize", *given, "--output", str(tmp_path / "captions")) == 0
    both = ["--corpus", str(made.tokens), str(tmp_path / "captions")]
    assert command(*student(made, tmp_path / "run", *both, steps=2)) == 0


def test_an_exported_student_opens_in_transformers(learned: Path, tmp_path: Path) -> None:
    assert command("export", "--checkpoint", str(learned / "best"), "--output", str(tmp_path / "bert")) == 0
    model, tokenizer = AutoModel.from_pretrained(tmp_path / "bert"), AutoTokenizer.from_pretrained(tmp_path / "bert")
    with torch.inference_mode():
        states = model(**tokenizer("the red ball", return_tensors="pt")).last_hidden_state
    assert states.shape == (1, 5, 32)


def test_words_are_grounded_in_clips_on_a_page(made: Recipe, taught: Path, learned: Path, tmp_path: Path) -> None:
    page = tmp_path / "ground.html"
    given = ["--teacher", str(taught / "best"), "--student", str(learned / "best"), "--shards", str(made.shards)]
    given += ["--features", made.features, "--sentence", "the red ball", "--output", str(page), "--top", "2"]
    assert command("ground", *given) == 0
    text = page.read_text()
    assert "data:image/jpeg" in text and "ball" in text


def test_an_unknown_setting_is_refused_with_its_name(
    made: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = student(made, tmp_path / "run", "--set", "loss.crdd=1")
    assert "loss.crdd" in refused(capsys, *given)


def test_distilling_without_a_teacher_is_refused(
    made: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, *student(made, tmp_path / "run", "--set", "loss.nst=1"))
    assert "loss.nst" in said and "teacher" in said


def test_a_teacher_of_another_vocabulary_is_refused(
    made: Recipe, taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tiny_tokenizer(tmp_path / "other", words=["one", "two", "the"])
    corpus = [str(made.shards.parent / "corpus.txt"), "--output", str(tmp_path / "tokens"), "--block", "30"]
    assert command("tokenize", "--corpus", *corpus, "--tokenizer", f"path://{other}") == 0
    given = student(made, tmp_path / "run", "--corpus", str(tmp_path / "tokens"), teacher=taught / "best")
    assert "vocabulary" in refused(capsys, *given)


def test_a_checkpoint_that_is_cut_short_is_refused(
    made: Recipe, taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(taught / "best", tmp_path / "best")
    weights = tmp_path / "best" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "best" in refused(capsys, *student(made, tmp_path / "run", teacher=tmp_path / "best"))


def test_a_student_is_no_teacher(
    made: Recipe, learned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, *student(made, tmp_path / "run", teacher=learned / "best"))
    assert "vidlankd-teacher" in said


def test_features_that_are_not_there_are_refused_with_those_that_are(
    made: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, *teacher(made, tmp_path / "run", "--features", "resnet"))
    assert "resnet" in said and made.features in said


def test_features_of_which_every_root_failed_are_refused(
    made: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_dir(tmp_path / "dir", shards=1)
    write_features(tmp_path / "dir", name=made.features, has=lambda key: False)
    given = teacher(made, tmp_path / "run", "--shards", str(tmp_path / "dir"))
    assert "all failed; `train-vidlankd features` reports why" in refused(capsys, *given)
    assert not (tmp_path / "run" / "best").exists()


def test_a_teacher_of_text_alone_needs_no_features(made: Recipe, tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1, videos_per_shard=6, val_percent=0)
    given = teacher(made, tmp_path / "run", "--shards", str(tmp_path / "dir"), "--set", "loss.contrastive=0", steps=2)
    assert command(*given) == 0
    assert losses(tmp_path / "run")[2].keys() == {"loss/mlm", "loss/total"}


def test_a_block_longer_than_the_positions_is_refused(
    made: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = "model.shape={layers: 2, hidden: 32, heads: 2, intermediate: 64, positions: 16}"
    assert "positions" in refused(capsys, *student(made, tmp_path / "run", "--set", shape))


def test_the_arguments_are_read_without_loading_torch() -> None:
    code = "import sys, training.vidlankd.train_vidlankd as cli; cli.build_parser(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
