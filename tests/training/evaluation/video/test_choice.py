"""MSR-VTT multiple choice: its two published forms, bad rows, ties, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.shard_factory import encode_root

from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval.multiple_choice import MultipleChoice, read
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet, VideoItem
from training.evaluation.video.choice import score_choice
from training.evaluation.video.embeddings import Embeddings
from training.vidla.eval_vidla import main

SENTENCES = ["a dog", "a cat", "a car"]


def files(root: Path) -> Path:
    """Write the questions in ClipBERT's form, and the video of the first."""
    rows = [
        {"clip_name": "video1", "options": SENTENCES, "answer": 1},
        {"clip_name": "video2", "options": SENTENCES[:2], "answer": 0},
        {"clip_name": "video3", "options": SENTENCES, "answer": 3},
        {"clip_name": "video4", "options": "a dog", "answer": 0},
    ]
    (root / "msrvtt_mc_test.jsonl").write_text("\n".join([*map(json.dumps, rows), "{"]))
    (root / "videos").mkdir()
    (root / "videos" / "video1.mp4").write_bytes(encode_root(8, audio=False))
    return root


def test_questions_are_read_and_rows_that_are_none_are_counted(tmp_path: Path) -> None:
    found = read(files(tmp_path), tmp_path / "videos")
    assert [item.id for item in found.pairs.items] == ["video1", "video2"] and found.pairs.missing == (1,)
    assert found.pairs.texts == (*SENTENCES, *SENTENCES[:2]) and found.answers == (1, 0)
    assert found.left_out == {"no answer": 1, "no sentences": 1, "not an object": 1}
    other = [{"video": "video1.mp4", "caption": SENTENCES, "answer": 1}]
    (tmp_path / "other.json").write_text(json.dumps(other))
    again = read(tmp_path / "other.json", tmp_path / "videos")
    assert (again.pairs.items, again.answers) == (found.pairs.items[:1], (1,))


def test_a_file_without_a_question_is_refused(tmp_path: Path) -> None:
    (files(tmp_path) / "empty.json").write_text("[]")
    with pytest.raises(UserError, match=r"empty\.json: holds no question"):
        read(tmp_path / "empty.json", tmp_path / "videos")


def test_a_tie_shares_the_point_and_an_absent_video_has_none() -> None:
    items = tuple(VideoItem(str(number), None) for number in range(3))
    questions = MultipleChoice(RetrievalSet("", "", items, ("",) * 6, (0, 0, 1, 1, 2, 2)), (0, 1, 0), {})
    video_ND = torch.eye(2)[[0, 0, 0]]
    text_MD = torch.eye(2)[[0, 1, 0, 0, 0, 1]]
    scores = score_choice(questions, Embeddings(video_ND, text_MD, {2: "undecodable"}, 0))
    assert (scores["accuracy"], scores["questions"], scores["absent"]) == (75.0, 2, {"undecodable": 1})
    assert not scores["comparable"]


def test_the_command_prints_and_writes_the_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["choice", "--checkpoint", "random:tiny", "--frames", "4", "--device", "cpu"]
    given += ["--annotations", str(files(tmp_path)), "--videos", str(tmp_path / "videos")]
    assert main([*given, "--output", str(tmp_path / "scores.json")]) == 0
    assert "% of 1 videos; without: 1 missing, 1 no answer" in capsys.readouterr().out
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["accuracy"] in (0.0, 100.0) and scores["settings"]["frames"] == 4
    assert main([*given, "--batch-size", "0"]) == 2
