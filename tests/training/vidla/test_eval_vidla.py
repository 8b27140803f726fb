"""`eval-vidla retrieval` from end to end on generated videos: scores, missing videos, refused arguments."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from rich.console import Console
from support.shard_factory import FPS, build_dir, luma_of
from support.transformers_models import transformers_folder

from training.data.clip_tasks import MediaRef
from training.engine.parallel.distributed import Ranks
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet, VideoItem
from training.evaluation.benchmarks.retrieval.shards_benchmark import read
from training.evaluation.video.embeddings import (
    EmbeddingOptions,
    Embeddings,
    embed,
    embed_texts,
    embed_videos,
    frame_mean,
    truncated_texts,
)
from training.evaluation.video.held_out_retrieval import score_held_out
from training.evaluation.video.models.open_model import open_model, weights_hash
from training.evaluation.video.retrieval_report import evaluate_retrieval, show_retrieval
from training.models.vidla.two_tower import VidLA
from training.models.vidla.vidla_folder import save
from training.vidla.eval_vidla import main

COLOURS = ((220, 30, 30), (30, 220, 30), (30, 30, 220), (220, 220, 30), (30, 220, 220))
CAPTIONS = ("a red wall", "a green wall", "a blue wall", "a yellow wall", "a red wall")
CPU = torch.device("cpu")


def write_video(path: Path, colour: tuple[int, int, int], seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(round(seconds * 10)):
            picture = np.full((64, 96, 3), colour, np.uint8)
            picture[:, number % 90 : number % 90 + 6] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def msrvtt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write annotations in the format of MSR-VTT's test split, and five short videos with those ids."""
    folder = tmp_path_factory.mktemp("msrvtt")
    rows = [f"ret{n},msr{n},video{n},{caption}" for n, caption in enumerate(CAPTIONS)]
    (folder / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(["key,vid_key,video_id,sentence", *rows]) + "\n")
    for number, colour in enumerate(COLOURS):
        write_video(folder / "videos" / f"video{number}.mp4", colour, 0.8 + 0.3 * number)
    return folder


@pytest.fixture(scope="module")
def model() -> VidLA:
    return open_model("random:tiny", None, CPU)[0]


@pytest.fixture(scope="module")
def checkpoint(model: VidLA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "best"
    save(model, folder)
    return folder


def retrieval(*arguments: object) -> int:
    return main(["retrieval", "--device", "cpu", *map(str, arguments)])


def items_of(folder: Path) -> tuple[VideoItem, ...]:
    return tuple(VideoItem(f"video{n}", MediaRef(str(folder / "videos" / f"video{n}.mp4"))) for n in range(5))


def set_of(folder: Path) -> RetrievalSet:
    return RetrievalSet("msrvtt", "test", items_of(folder), CAPTIONS, tuple(range(5)))


def with_a_gap(whole: RetrievalSet) -> RetrievalSet:
    """Move the third video away."""
    gone = VideoItem("gone", MediaRef("/nowhere/nothing.mp4"))
    return replace(whole, items=(*whole.items[:2], gone, *whole.items[3:]))


def test_a_benchmark_is_scored_and_written_down(
    msrvtt: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scores" / "msrvtt.json"
    status = retrieval(
        *("--checkpoint", checkpoint, "--benchmark", "msrvtt", "--annotations", msrvtt, "--videos", msrvtt / "videos"),
        *("--output", output),
    )
    printed = capsys.readouterr().out
    found = json.loads(output.read_text())
    assert status == 0
    assert [result["dual_softmax"] for result in found["results"]] == [False, True]
    assert found["results"][0]["t2v"]["queries"] == found["videos"] == found["texts"] == 5
    assert found["results"][0]["t2v"]["r5"] == 100.0
    assert [third["name"] for third in found["results"][0]["thirds"]] == ["short", "middle", "long"]
    assert found["complete"] and not found["comparable"]
    assert found["settings"]["frames"] == 12
    assert len(found["settings"]["weights_sha256"]) == 64
    assert "paper: VidLA-B/16 finetuned" in printed
    assert "the published split has 1000" in printed
    assert "4 of 5 texts are distinct" in printed


def test_a_model_of_transformers_is_scored_by_the_mean_of_its_frames(
    msrvtt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = f"transformers:{transformers_folder(tmp_path, 'clip')}"
    files = ("--annotations", msrvtt, "--videos", msrvtt / "videos", "--output", tmp_path / "scores.json")
    assert retrieval("--checkpoint", model, "--benchmark", "msrvtt", "--frames", 2, *files) == 0
    assert "2 frames a clip, mean of frames" in capsys.readouterr().err
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["complete"] and found["results"][0]["t2v"]["queries"] == 5
    assert (found["settings"]["aggregation"], found["settings"]["checkpoint"]) == ("mean of frames", model)


def test_a_missing_and_a_broken_video_leave_with_their_texts_and_are_said(
    msrvtt: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in (0, 1, 2):
        (videos / f"video{number}.mp4").symlink_to(msrvtt / "videos" / f"video{number}.mp4")
    (videos / "video3.mp4").write_bytes(b"this is no video")
    asked = ("--checkpoint", checkpoint, "--benchmark", "msrvtt", "--annotations", msrvtt, "--videos", videos)
    scores = {}
    for missing in ("drop", "miss"):
        assert retrieval(*asked, "--missing", missing, "--output", tmp_path / "out.json") == 0
        scores[missing] = json.loads((tmp_path / "out.json").read_text())
    printed = capsys.readouterr().out
    assert scores["drop"]["absent"] == {"video3": "undecodable", "video4": "missing"}
    assert not scores["drop"]["complete"] and not scores["drop"]["comparable"]
    assert scores["drop"]["results"][0]["t2v"]["queries"] == scores["drop"]["results"][0]["v2t"]["queries"] == 3
    assert scores["miss"]["results"][0]["t2v"]["queries"] == scores["miss"]["results"][0]["v2t"]["queries"] == 5
    assert scores["miss"]["results"][0]["t2v"]["r5"] == 60.0
    assert "INCOMPLETE: 2 of 5 videos" in printed


def test_held_out_shards_are_scored(tmp_path: Path, checkpoint: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=4)
    output = tmp_path / "out.json"
    status = retrieval(
        *("--checkpoint", checkpoint, "--benchmark", "shards", "--shards", store.root, "--split", "train"),
        *("--text", "caption", "--clips", "medium", "--frames", 8, "--dsl", "off", "--limit", 5, "--output", output),
    )
    found = json.loads(output.read_text())
    assert status == 0
    assert found["results"][0]["t2v"]["queries"] == 5
    assert found["complete"] and not found["comparable"]
    assert found["settings"]["frames"] == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--checkpoint", "no/such/folder"], "no such folder"),
        (["--split", "val"], "msrvtt has test, train, train_7k"),
        (["--videos", "nowhere"], "no such folder"),
        (["--shards", "dir"], "did you mean --benchmark shards"),
        (["--frames", "4", "--set"], "unrecognized"),
        (["--frames", "0"], "must be a whole number of 1 or more"),
        (["--frame-mean"], "was trained with [MST]"),
    ],
)
def test_a_mistake_ends_with_one_line_and_status_2(
    arguments: list[str], said: str, msrvtt: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--checkpoint": str(checkpoint), "--annotations": str(msrvtt), "--videos": str(msrvtt / "videos")}
    rest = [part for name, value in given.items() if name not in arguments for part in (name, value)]
    try:
        status = retrieval("--benchmark", "msrvtt", *rest, *arguments)
    except SystemExit as exit:
        status = int(exit.code or 0)
    assert status == 2
    assert said in capsys.readouterr().err


def test_a_benchmark_without_videos_asks_for_them(msrvtt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrieval("--checkpoint", "x", "--benchmark", "msvd", "--annotations", msrvtt) == 2
    assert capsys.readouterr().err.strip() == "eval-vidla: --benchmark msvd: --videos must be given"


def test_held_out_shards_take_no_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrieval("--checkpoint", "x", "--benchmark", "shards", "--shards", tmp_path, "--videos", tmp_path) == 2
    assert "leave out --annotations and --videos" in capsys.readouterr().err


def test_a_whole_published_split_is_comparable_and_one_of_another_size_is_not() -> None:
    items = tuple(VideoItem(str(n), None, duration=float(n)) for n in range(1000))
    whole = RetrievalSet("msrvtt", "test", items, tuple(f"text {n}" for n in range(1000)), tuple(range(1000)))
    rows = torch.nn.functional.normalize(torch.randn(1000, 8), dim=-1)
    lengths = [item.duration for item in items]
    report = evaluate_retrieval(whole, Embeddings(rows, rows, {}, 0), lengths)
    assert report.complete and report.comparable and not report.notes
    assert [third.t2v.queries for third in report.results[0].thirds] == [333, 334, 333]
    less = whole.first(999)
    assert not evaluate_retrieval(less, Embeddings(rows[:999], rows[:999], {}, 0), lengths[:999]).comparable


def test_the_doubt_about_the_papers_vatex_is_printed_with_vatex(capsys: pytest.CaptureFixture[str]) -> None:
    one = RetrievalSet("vatex", "test", (VideoItem("a", None),), ("text",), (0,))
    show_retrieval(
        evaluate_retrieval(one, Embeddings(torch.ones(1, 1), torch.ones(1, 1), {}, 0), [None]), "model", Console()
    )
    assert "T2V R@5 and R@10 are not comparable" in capsys.readouterr().out


def test_a_run_folder_points_to_its_best_model(
    msrvtt: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--benchmark", "msrvtt", "--annotations", msrvtt, "--videos", msrvtt / "videos")
    assert retrieval("--checkpoint", checkpoint.parent, *asked) == 2
    assert f"name {checkpoint}" in capsys.readouterr().err


def test_help_is_there_before_torch_is_loaded() -> None:
    code = "import sys; from training.vidla.eval_vidla import main\n"
    code += "try: main(['retrieval', '--help'])\nexcept SystemExit: "
    code += "print('torch' in sys.modules, 'open_clip' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False False")


def test_videos_and_texts_are_scored_as_the_model_embeds_them(msrvtt: Path, model: VidLA) -> None:
    found = embed(model, set_of(msrvtt), EmbeddingOptions(frames=12, batch_size=2))
    single = embed(model, set_of(msrvtt), EmbeddingOptions(frames=12, batch_size=1, workers=1))
    tokens = model.tokenizer(list(CAPTIONS))
    with torch.inference_mode():
        assert torch.allclose(found.text_MD, model.encode_text(tokens), atol=1e-5)
    assert torch.allclose(found.video_ND, single.video_ND, atol=1e-5)
    assert torch.allclose(found.video_ND.norm(dim=1), torch.ones(5), atol=1e-5)
    assert not torch.allclose(found.video_ND[0], found.video_ND[1], atol=1e-3)


def test_a_clip_is_shown_by_the_middles_of_its_equal_parts(tmp_path: Path, model: VidLA) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    clip = read([store.root], ["caption"], split="train", clips="medium").items[1]
    seen: list[torch.Tensor] = []

    def look(video_BTCHW: torch.Tensor) -> torch.Tensor:
        seen.append(video_BTCHW)
        return torch.ones(len(video_BTCHW), model.embed_dim)

    embed_videos(model, [clip], EmbeddingOptions(frames=5), Ranks(), look)
    brightness_T = (seen[0] * torch.tensor(model.std).view(3, 1, 1) + torch.tensor(model.mean).view(3, 1, 1)) * 255
    assert clip.end is not None
    length = clip.end - clip.start
    numbers = [int((clip.start + (part + 0.5) * length / 5) * FPS) for part in range(5)]
    assert seen[0].shape == (1, 5, 3, model.image_size, model.image_size)
    assert brightness_T.mean(dim=(0, 2, 3, 4)).tolist() == pytest.approx([luma_of(n) for n in numbers], abs=3)


def test_equal_texts_have_equal_embeddings_to_the_last_bit(model: VidLA) -> None:
    texts = [f"text {n}" for n in range(9)] + ["a red wall"] * 2
    rows_MD = embed_texts(model, [*texts, "a red wall"])
    assert torch.equal(rows_MD[9], rows_MD[11])


class Exchange:
    """`gather_objects` between threads of one process."""

    def __init__(self, world_size: int) -> None:
        self.values: list[object] = [None] * world_size
        self.all_here = threading.Barrier(world_size, timeout=240)

    def gather(self, value: object, ranks: Ranks) -> list[object]:
        self.values[ranks.rank] = value
        self.all_here.wait()
        gathered = list(self.values)
        self.all_here.wait()
        return gathered


def test_several_ranks_give_the_embeddings_of_one(msrvtt: Path, model: VidLA, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = with_a_gap(set_of(msrvtt))
    alone = embed(model, benchmark, EmbeddingOptions(frames=8))
    monkeypatch.setattr("training.evaluation.video.embeddings.gather_objects", Exchange(2).gather)
    with ThreadPoolExecutor(2) as pool:
        ranks = (Ranks(rank, 2) for rank in range(2))
        together = list(pool.map(lambda one: embed(model, benchmark, EmbeddingOptions(frames=8), one), ranks))
    for found in together:
        assert torch.allclose(found.video_ND, alone.video_ND, atol=1e-5)
        assert torch.allclose(found.text_MD, alone.text_MD, atol=1e-5)
        assert found.absent == alone.absent == {2: "missing"}


def test_texts_longer_than_the_context_are_counted(model: VidLA) -> None:
    context = model.tokenizer([""]).shape[1]
    fits, too_long = " ".join(["wall"] * (context - 2)), " ".join(["wall"] * (context - 1))
    assert truncated_texts(model, [fits, too_long, "short", " ".join(["wall"] * 500)]) == 2


def test_the_frame_mean_of_one_frame_is_its_own_embedding(msrvtt: Path) -> None:
    model, _ = open_model("random:tiny", None, CPU, without_time=True)
    video_BTCHW = torch.randn(2, 3, 3, model.image_size, model.image_size)
    with torch.inference_mode():
        first_B1CHW = video_BTCHW[:, :1]
        assert torch.allclose(frame_mean(model)(first_B1CHW), model.encode_video(first_B1CHW), atol=1e-5)
        forwards, backwards = frame_mean(model)(video_BTCHW), frame_mean(model)(video_BTCHW.flip(1))
    assert torch.allclose(forwards, backwards, atol=1e-5)


def test_scores_while_training_leave_out_video_and_text_of_a_failed_clip(msrvtt: Path, model: VidLA) -> None:
    broken = with_a_gap(set_of(msrvtt))
    scores = score_held_out(model, broken, EmbeddingOptions(frames=8))
    assert (scores["clips"], scores["clips_failed"]) == (4.0, 1.0)
    assert scores["t2v_r5"] == scores["v2t_r10"] == 100.0
    assert (
        score_held_out(model, RetrievalSet("x", "val", (broken.items[2],), ("a",), (0,)), EmbeddingOptions(frames=8))
        == {}
    )


def test_missed_videos_stay_out_of_the_gallery_but_their_texts_compete() -> None:
    embedded = Embeddings(torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0.6, 0.8], [1.0, 0]]), {1: "missing"}, 0)
    two = tuple(VideoItem(name, None) for name in "ab")
    benchmark = RetrievalSet("x", "test", two, ("one", "two"), (0, 1))
    dropped, missed = (
        evaluate_retrieval(benchmark, embedded, [None, None], dual_softmax=[False], missing=missing).results[0]
        for missing in ("drop", "miss")
    )
    assert (dropped.t2v.r1, dropped.v2t.r1) == (100.0, 100.0)
    assert (missed.t2v.r1, missed.v2t.r1, missed.v2t.r5) == (50.0, 0.0, 50.0)
    assert (missed.t2v.mean_rank, missed.v2t.mean_rank) == (1.5, 2.0)


def test_the_hash_of_weights_tells_models_apart(model: VidLA, checkpoint: Path) -> None:
    same, _ = open_model(str(checkpoint), None, CPU)
    assert weights_hash(model) == weights_hash(same)
    with torch.no_grad():
        same.logit_scale += 1e-6
    assert weights_hash(model) != weights_hash(same)


def test_weights_to_start_from_are_the_same_each_time() -> None:
    torch.manual_seed(1)
    first, second = (open_model("random:tiny", None, CPU)[0] for _ in range(2))
    assert weights_hash(first) == weights_hash(second)
