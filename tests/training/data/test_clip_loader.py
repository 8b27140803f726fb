"""Batches of clips: independent of workers, ranks and restarts; failed clips keep their place."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from support.selections import marked_rows
from support.shard_factory import GOP, build_dir, luma_of
from support.waiting import until

from runtime.errors import MachineError, UserError
from training.data.clip_batch import ClipBatch
from training.data.clip_loader import ClipLoader, TrainBatches
from training.data.clip_tasks import ClipTask, MediaRef, RootTask
from training.data.data_settings import DataSettings
from training.data.sources.shard_source import ShardSource

pytestmark = pytest.mark.slow

TERMS = {"subtitle": "subtitle_summary", "caption": ["grounded_text", "caption"]}
FRAMES, SIZE = 4, 48


@dataclass(frozen=True)
class Ranks:
    rank: int = 0
    world_size: int = 1


def tokenizer(texts: Sequence[str]) -> torch.Tensor:
    rows = [[len(text), *map(ord, text[:7].ljust(7))] for text in texts]
    return torch.tensor(rows, dtype=torch.int64)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loader") / "dir"
    build_dir(folder, shards=3, videos_per_shard=3)
    return folder


def settings(root: Path, **changes: object) -> DataSettings:
    return DataSettings.model_validate(
        {"shards": (str(root),), "size": SIZE, "workers": 0, "window_shards": 2, "clips_per_root": 2} | changes
    )


def batches(root: Path, ranks: Ranks = Ranks(), batch: int = 8, **changes: object) -> TrainBatches:
    wanted = settings(root, **changes)
    source = ShardSource(wanted, TERMS, seed=3)
    return TrainBatches(
        source,
        global_batch=batch,
        clips_per_root=wanted.clips_per_root,
        ranks=ranks,
        tokenizer=tokenizer,
        frames=FRAMES,
        settings=wanted,
    )


def same(a: ClipBatch, b: ClipBatch) -> bool:
    tensors = all(
        torch.equal(getattr(a, name), getattr(b, name))
        for name in ("frames_FSSC", "length_B", "crop_B4", "weight_B", "video_id_B", "span_B2")
    )
    by_term = all(torch.equal(a.tokens[t], b.tokens[t]) and torch.equal(a.present[t], b.present[t]) for t in TERMS)
    return tensors and by_term and a.keys == b.keys and a.skips == b.skips


def test_a_batch_has_the_documented_shapes(root: Path) -> None:
    batch = next(batches(root).start(0))
    assert batch.video_BTSSC.shape == (8, FRAMES, SIZE, SIZE, 3)
    assert batch.video_BTSSC.dtype == torch.uint8
    assert batch.crop_B4.shape == (8, 4)
    assert batch.tokens["subtitle"].shape == (8, 8)
    assert batch.present["caption"].tolist() == batch.weight_B.bool().tolist()
    assert batch.weight_B.any()
    assert len(set(batch.keys)) > 4


def test_clips_of_one_video_share_a_number_and_keep_their_times(root: Path) -> None:
    batch = next(batches(root).start(0))
    for key, number, (start, end) in zip(batch.keys, batch.video_id_B, batch.span_B2.tolist(), strict=True):
        video, first, last = key.split("_")
        assert (round(start * 1000), round(end * 1000)) == (int(first), int(last))
        same_video = [k.startswith(video) for k in batch.keys]
        assert (batch.video_id_B == number).tolist() == same_video


def test_batches_do_not_depend_on_the_number_of_workers(root: Path) -> None:
    alone = list(islice(batches(root).start(0), 3))
    for workers in (1, 2):
        stream = batches(root, workers=workers).start(0)
        assert all(map(same, alone, islice(stream, 3)))
        stream.close()


def test_two_ranks_split_the_batch_of_one_in_order(root: Path) -> None:
    whole = list(islice(batches(root).start(0), 4))
    parts = [islice(batches(root, Ranks(rank, 2)).start(0), 4) for rank in range(2)]
    for one, first, second in zip(whole, *parts, strict=True):
        assert one.keys == first.keys + second.keys
        assert torch.equal(one.video_BTSSC, torch.cat([first.video_BTSSC, second.video_BTSSC]))


def test_a_start_within_an_epoch_continues_exactly(root: Path) -> None:
    plan = batches(root)
    undisturbed = list(islice(plan.start(0), plan.steps_per_visit + 2))
    for step in (1, plan.steps_per_visit - 1, plan.steps_per_visit):
        resumed = islice(batches(root).start(step), plan.steps_per_visit + 2 - step)
        assert all(map(same, undisturbed[step:], resumed))


def test_an_epoch_sees_each_root_once_and_the_last_batch_is_filled_up(root: Path) -> None:
    plan = batches(root, batch=8)
    source = ShardSource(settings(root), TERMS, seed=3)
    seen = list(islice(plan.start(0), plan.steps_per_visit))
    real = [key for batch in seen for key in batch.keys if key]
    assert len(real) == 2 * source.num_roots
    last = seen[-1]
    fill = [not key for key in last.keys]
    assert any(fill) and len(last) == 8
    assert not last.weight_B[fill].any()
    assert not any(last.present[term][fill].any() for term in TERMS)
    assert not last.skips


def test_a_clip_that_does_not_decode_keeps_its_place_with_weight_0(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1, videos_per_shard=4)
    tar = tmp_path / "dir" / "media" / "0000000.tar"
    wanted = settings(tmp_path / "dir", window_batches=0)
    source = ShardSource(wanted, TERMS, seed=3)
    broken = next(iter(source.epoch(0)))
    data = bytearray(tar.read_bytes())
    begin = broken.media.offset
    data[begin : begin + (broken.media.size or 0)] = os.urandom(broken.media.size or 0)
    tar.write_bytes(data)
    batch = next(batches(tmp_path / "dir", batch=4, window_batches=0).start(0))
    assert batch.weight_B.tolist() == [0.0, 0.0, 1.0, 1.0]
    assert batch.skips == {"undecodable": 2}
    assert not batch.video_BTSSC[:2].any()
    assert not batch.present["caption"][:2].any() and batch.present["caption"][2:].all()


def test_a_tar_cut_short_is_counted_as_truncated(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1, videos_per_shard=4)
    os.truncate(tmp_path / "dir" / "media" / "0000000.tar", 2000)
    plan = batches(tmp_path / "dir", batch=4)
    skips = Counter(reason for batch in islice(plan.start(0), plan.steps_per_visit) for reason in batch.skips)
    assert set(skips) == {"truncated"}


def test_fewer_roots_than_a_batch_are_refused_with_the_number_there_is(root: Path) -> None:
    with pytest.raises(UserError, match=r"--batch-size 400: takes 200 roots a step, but there are only \d+"):
        batches(root, batch=400)


def test_a_batch_that_ranks_can_not_divide_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match=r"--batch-size 6: must be a multiple of data.clips_per_root=2 times 2 ranks"):
        batches(root, Ranks(0, 2), batch=6)


def test_identity_ignores_workers_and_ranks_but_not_the_batch(root: Path) -> None:
    plain = batches(root).identity
    assert plain == batches(root, Ranks(1, 2), workers=2, prefetch=3, cache="elsewhere").identity
    assert plain != batches(root, batch=4).identity
    assert plain != batches(root, level_mix={"short": 1.0}).identity
    assert plain != batches(root, size=SIZE + 16).identity


def test_a_dead_worker_is_a_machine_fault(root: Path) -> None:
    before = set(multiprocessing.active_children())
    stream = batches(root, workers=1).start(0)
    next(stream)
    (worker,) = set(multiprocessing.active_children()) - before
    worker.kill()
    with pytest.raises(MachineError, match="a decoding worker died"):
        for _ in range(50):
            next(stream)


def test_workers_end_when_the_main_process_is_killed(root: Path) -> None:
    code = "from test_clip_loader import batches, Path; import os, sys, psutil; "
    code += "stream = batches(Path(sys.argv[1]), workers=1).start(0); next(stream); "
    code += "print(*(c.pid for c in psutil.Process().children(True))); sys.stdout.flush(); os.kill(os.getpid(), 9)"
    folders = [str(Path(__file__).parents[n]) for n in (3, 0, 2)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run([sys.executable, "-c", code, str(root)], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(done.stdout.split()) > 1, "the fork server and a worker at least"
    until(lambda: not any(map(runs, done.stdout.split())), "the end of the workers")


def runs(pid: str) -> bool:
    """Return True if a process exists and has not ended; a zombie has ended."""
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_evaluation_gives_every_root_once_in_order_with_centre_crops(root: Path) -> None:
    source = ShardSource(settings(root, clips_per_root=1), TERMS, seed=0)
    tasks = [replace(task, clips=tuple(replace(c, crop=ClipTask.crop) for c in task.clips)) for task in source.epoch(0)]
    loader = ClipLoader(tasks, batch_size=3, frames=FRAMES, settings=settings(root))
    seen = list(loader)
    assert len(loader) == len(seen)
    assert [key for batch in seen for key in batch.keys] == [task.clips[0].key for task in tasks]
    assert all(batch.crop_B4.tolist() == [[0.0, 0.0, 1.0, 0.0]] * len(batch) for batch in seen)
    shares = [
        ClipLoader(tasks, batch_size=3, frames=2, settings=settings(root), ranks=Ranks(rank, 2)) for rank in range(2)
    ]
    halves = [[key for batch in share for key in batch.keys] for share in shares]
    assert halves[0] + halves[1] == [task.clips[0].key for task in tasks]


def test_frames_of_a_clip_are_those_of_its_span(root: Path) -> None:
    source = ShardSource(settings(root, clips_per_root=1, augment={"flip": False, "jitter": False}), TERMS, seed=0)
    tasks = [task for task in source.epoch(0) if any(task.clips[0].texts.values())]
    for task in tasks[:4]:
        clip = task.clips[0]
        (batch,) = ClipLoader([task], batch_size=1, frames=FRAMES, settings=settings(root))
        seen = batch.video_BTSSC[0].float().mean(dim=(1, 2, 3)).numpy()
        spacing = (clip.end - clip.start) / FRAMES
        exact = [int((clip.start + (i + 0.5) * spacing) * 8) for i in range(FRAMES)]
        nearby = [[luma_of(n) for n in range(max(f - GOP // 2 - 1, 0), f + GOP // 2 + 2)] for f in exact]
        assert all(np.abs(np.array(options) - value).min() < 6 for options, value in zip(nearby, seen, strict=True))


def test_clips_with_frames_by_duration_have_the_frames_of_their_spans(root: Path) -> None:
    by_duration = {"frames_per_second": 0.5, "frame_buckets": [3, 6, 12], "augment": {"flip": False, "jitter": False}}
    source = ShardSource(settings(root, **by_duration), TERMS, seed=3)
    clips = {clip.key: clip for task in source.epoch(0) for clip in task.clips}
    batch = next(batches(root, **by_duration).start(0))
    assert batch.length_B.tolist() == sorted(batch.length_B.tolist()) and len(set(batch.length_B.tolist())) > 1
    for row in range(len(batch)):
        one, clip = batch.rows(slice(row, row + 1)), clips[batch.keys[row]]
        length = int(one.length_B)
        assert length == max([n for n in (3, 6, 12) if n <= 0.5 * clip.seconds], default=3)
        if one.usable:
            (alone,) = ClipLoader(
                [RootTask("root", "", one_media(source, clip), (replace(clip, frames=None),))],
                batch_size=1,
                frames=length,
                settings=settings(root),
            )
            assert torch.equal(alone.frames_FSSC, one.frames_FSSC)


def one_media(source: ShardSource, clip: ClipTask) -> MediaRef:
    return next(task.media for task in source.epoch(0) if clip.key in [each.key for each in task.clips])


def test_batches_with_frames_by_duration_are_resumed_exactly_on_other_ranks(root: Path) -> None:
    by_duration = {"frames_per_second": 0.5, "frame_buckets": [3, 6], "clips_per_root": 1}
    whole = list(islice(batches(root, **by_duration).start(0), 3))[1:]
    parts = [islice(batches(root, Ranks(rank, 2), workers=1, **by_duration).start(1), 2) for rank in range(2)]
    for one, first, second in zip(whole, *parts, strict=True):
        assert {*first.keys, *second.keys} == {*one.keys}
        assert 0 <= int(second.length_B.sum() - first.length_B.sum()) <= 6 - 3
        both = ClipBatch.cat([first, second])
        for row in range(len(both)):
            own = both.rows(slice(row, row + 1))
            at = one.keys.index(own.keys[0])
            assert not own.keys[0] or torch.equal(own.frames_FSSC, one.rows(slice(at, at + 1)).frames_FSSC)
    assert batches(root, **by_duration).identity != batches(root, clips_per_root=1).identity


def test_frames_are_drawn_within_their_segments_anew_in_each_epoch(root: Path) -> None:
    source = ShardSource(settings(root, clips_per_root=1, only_kept=False), TERMS, seed=0)

    def seen(epoch: int) -> dict[str, ClipBatch]:
        tasks = source.epoch(epoch)
        return {
            task.key: next(iter(ClipLoader([task], batch_size=1, frames=3, settings=settings(root)))) for task in tasks
        }

    first, again, other = seen(0), seen(0), seen(1)
    still = [key for key, batch in first.items() if batch.keys == other[key].keys]
    assert all(torch.equal(batch.video_BTSSC, again[key].video_BTSSC) for key, batch in first.items())
    moved = [not torch.equal(first[key].video_BTSSC[0, 0, 0, 0], other[key].video_BTSSC[0, 0, 0, 0]) for key in still]
    assert still and any(moved)


def test_a_root_with_fewer_clips_leaves_rows_empty_instead_of_repeating_a_clip(root: Path) -> None:
    every = list(islice(batches(root, clips_per_root=8).start(0), 4))
    for batch in every:
        taught = [key for key, weight in zip(batch.keys, batch.weight_B, strict=True) if weight]
        assert len(taught) == len(set(taught))
        assert not batch.skips
    assert any("" in batch.keys for batch in every)
    repeated = list(islice(batches(root, clips_per_root=8, repeat_clips=True).start(0), 4))
    assert not any("" in batch.keys for batch in repeated)


def test_an_epoch_has_as_many_clips_as_the_data(root: Path) -> None:
    source = ShardSource(settings(root), TERMS, seed=3)
    kept = [row for row in marked_rows(root, "grounded") if row["keep"] and row["split"] == "train"]
    assert source.num_clips == len(kept)
    assert batches(root).steps_per_epoch == math.ceil(len(kept) / 8)
    by_roots = batches(root, epoch_of="roots")
    assert by_roots.steps_per_epoch == by_roots.steps_per_visit == math.ceil(source.num_roots / 4)


def test_a_missing_file_is_counted_and_does_not_stop_the_rest(root: Path, tmp_path: Path) -> None:
    clip = ClipTask("a", 0.0, 1.0, 0.0, 1.0, {})
    gone = RootTask("a", "a", MediaRef(str(tmp_path / "gone.mp4")), (clip,))
    there = next(iter(ShardSource(settings(root, clips_per_root=1), {}, seed=0).epoch(0)))
    (batch,) = ClipLoader([gone, there], batch_size=2, frames=FRAMES, settings=settings(root))
    assert batch.skips == {"missing": 1}
    assert batch.weight_B.tolist() == [0.0, 1.0]
