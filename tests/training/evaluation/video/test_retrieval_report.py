"""What a retrieval report says beside its scores: which protocol, and what the paper's scores are of."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet, VideoItem
from training.evaluation.video.embeddings import Embeddings
from training.evaluation.video.retrieval_report import Missing, RetrievalReport, evaluate_retrieval, show_retrieval


def report_of(
    owner: tuple[int, ...], *, name: str = "msvd", split: str = "test", absent: int = -1, missing: Missing = "drop"
) -> RetrievalReport:
    """Three videos in a plane; each text leans towards its own, the last text of all towards the first video."""
    angles = torch.tensor([0.0, 1.0, 2.0])
    leaning = torch.tensor([float(angles[video]) + 0.1 * at for at, video in enumerate(owner)])
    video, text = (torch.stack([a.cos(), a.sin()], dim=1) for a in (angles, leaning))
    texts = tuple(f"text {number}" for number in range(len(owner)))
    items = tuple(VideoItem(str(number), None) for number in range(3))
    gone = {absent: "missing"} if absent >= 0 else {}
    return evaluate_retrieval(
        RetrievalSet(name, split, items, texts, owner), Embeddings(video, text, gone, 0), [None] * 3, missing=missing
    )


def test_several_texts_a_video_give_both_protocols_of_video_to_text(capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of((0, 0, 1, 1, 1, 1, 2, 2))
    by_text, by_video = report.results[0].v2t, report.results[0].v2t_by_video
    assert by_video is not None and by_video.queries == by_text.queries == 3
    assert by_video.mean_rank <= by_text.mean_rank
    show_retrieval(report, "model", Console(width=200))
    printed = capsys.readouterr().out
    assert printed.count("this model, by video") == 2
    assert "ranks videos by the nearest of their texts" in printed


def test_one_text_a_video_has_one_protocol() -> None:
    report = report_of((0, 1, 2))
    assert report.results[0].v2t_by_video is None
    assert not [note for note in report.notes if "by video" in note]


@pytest.mark.parametrize(("missing", "queries"), [("drop", 2), ("miss", 3)])
def test_a_missing_video_counts_alike_in_both_protocols(missing: Missing, queries: int) -> None:
    result = report_of((0, 0, 1, 1, 2, 2), absent=1, missing=missing).results[0]
    assert result.v2t_by_video is not None
    assert result.v2t.queries == result.v2t_by_video.queries == queries


def test_a_note_names_a_split_that_is_not_the_papers() -> None:
    said = "split val: the paper's scores are of the split test: not comparable"
    assert said in report_of((0, 1, 2), name="didemo", split="val").notes
    assert not [note for note in report_of((0, 1, 2), name="shards", split="val").notes if "paper" in note]
