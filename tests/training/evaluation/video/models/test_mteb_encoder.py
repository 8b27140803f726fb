"""A model runs a video retrieval task of `mteb`, offline."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.shard_factory import encode_root

pytest.importorskip("mteb", reason="mteb is not installed")

import mteb
from datasets import Dataset, Video
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

from training.evaluation.video.models.mteb_encoder import MtebEncoder
from training.evaluation.video.models.open_model import open_model


def task_of(folder: Path) -> AbsTaskRetrieval:
    """A text-to-video task of three videos, the last of which is broken, each with a text."""

    class ThreeVideos(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="ThreeVideos", description="Three videos.", reference=None, dataset={"path": "none", "revision": "1"},
            type="Any2AnyRetrieval", category="t2v", modalities=["text", "video"], eval_splits=["test"],
            eval_langs=["eng-Latn"], main_score="ndcg_at_10", date=None, domains=None, task_subtypes=None, license=None,
            annotations_creators=None, dialect=None, sample_creation=None, bibtex_citation="",
        )  # fmt: skip

        def load_data(self, num_proc: int | None = None, **kwargs: object) -> None:
            ids = ["0", "1", "2"]
            videos = [str(folder / f"{number}.mp4") for number in ids]
            self.dataset = {
                "default": {
                    "test": {
                        "queries": Dataset.from_dict({"id": ids, "text": [f"video {number}" for number in ids]}),
                        "corpus": Dataset.from_dict({"id": ids, "video": videos}).cast_column("video", Video()),
                        "relevant_docs": {number: {number: 1} for number in ids},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    for number in range(2):
        (folder / f"{number}.mp4").write_bytes(encode_root(8 + 4 * number, audio=False))
    (folder / "2.mp4").write_bytes(b"no video")
    return ThreeVideos()


def test_a_text_to_video_task_is_scored(tmp_path: Path) -> None:
    encoder = MtebEncoder("random:tiny", frames=4, device="cpu")
    results = mteb.evaluate(encoder, [task_of(tmp_path)], cache=None, show_progress_bar=False)
    (scores,) = results.task_results[0].scores["test"]
    assert scores["recall_at_3"] == 1.0 and encoder.undecodable == 1
    assert 0 < scores["main_score"] <= 1


def test_texts_are_embedded_as_the_model_embeds_them() -> None:
    encoder = MtebEncoder("random:tiny", frames=4, device="cpu")
    model, _ = open_model("random:tiny", 4, torch.device("cpu"))
    rows = Dataset.from_dict({"text": ["a red car", "a dog"]})
    embedded = encoder.encode(torch.utils.data.DataLoader(rows, batch_size=1))
    torch.testing.assert_close(embedded, model.encode_text(model.tokenizer(["a red car", "a dog"])).detach())
    with pytest.raises(ValueError, match="exactly one of text and video"):
        encoder.encode(torch.utils.data.DataLoader(Dataset.from_dict({"image": [1]})))
