"""The clips of a DIR as a dataset, and frames of a file: the public way to data for code of one's own."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from support.colour_videos import RED, colour_video
from support.selections import marked_rows
from support.shard_factory import build_dir
from torch.utils.data import DataLoader

from runtime.errors import UserError
from training.data.clip_failure import ClipFailed
from training.data.decoding.clip_decoder import decode_clips
from training.vidla import ClipDataset, read_video


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "dir"
    build_dir(folder, shards=2, videos_per_shard=2, val_percent=40)
    return folder


def test_the_kept_clips_of_a_split_come_with_their_facts_and_texts(root: Path) -> None:
    rows = {row["key"]: row for row in marked_rows(root, "grounded") if row["keep"] and row["split"] == "train"}
    clips = ClipDataset(root, split="train", frames=2)
    assert {clip.key for clip in clips} == set(rows) and len(clips) == len(rows)
    for clip in clips:
        row = rows[clip.key]
        assert (clip.video_id, clip.level, clip.start, clip.end) == tuple(
            row[name] for name in ("video_id", "level", "start", "end")
        )
        assert clip.texts["grounded_text"] == row["grounded_text"]
        assert clip.video_THWC.dtype == np.uint8 and clip.video_THWC.shape[0] == 2


def test_both_splits_and_clips_that_are_not_kept_can_be_asked_for(root: Path) -> None:
    rows = marked_rows(root, "grounded")
    assert len(ClipDataset(root)) == sum(row["keep"] for row in rows)
    assert len(ClipDataset(root, only_kept=False)) == len(rows)


def test_frames_are_those_of_the_clip_in_its_root(root: Path) -> None:
    clips = ClipDataset(root, frames=3)
    row = next(row for row in marked_rows(root, "grounded") if row["keep"] and row["offset"] > 0)
    clip = next(clip for clip in clips if clip.key == row["key"])
    media = clips._rows(clips._keys[0][0]).get(clip.key) or clips._rows(1 - clips._keys[0][0])[clip.key]
    tar = Path(media.media.url).read_bytes()
    data = tar[media.media.offset : media.media.offset + (media.media.size or 0)]
    (expected,) = decode_clips(data, [(row["offset"], row["offset"] + row["end"] - row["start"])], 3)
    np.testing.assert_array_equal(clip.video_THWC, expected)


def test_a_dataset_goes_into_a_loader(root: Path) -> None:
    clips = pickle.loads(pickle.dumps(ClipDataset(root, frames=2)))
    keys = [clip.key for batch in DataLoader(clips, batch_size=3, collate_fn=list) for clip in batch]
    assert keys == [key for _, key in clips._keys]


def test_a_split_without_clips_is_refused(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1, videos_per_shard=1, val_percent=0)
    with pytest.raises(UserError, match="no clip to read in the split val"):
        ClipDataset(tmp_path / "dir", split="val")


def test_frames_of_a_file_are_read_from_a_span(tmp_path: Path) -> None:
    video = colour_video(tmp_path / "red.mp4", RED, seconds=2)
    frames = read_video(video, start=0.5, end=1.5, frames=4)
    assert frames.shape[0] == 4 and frames.shape[3] == 3
    assert np.abs(frames.mean(axis=(0, 1, 2)) - np.array(RED)).max() < 12
    assert read_video(str(video)).shape[0] == 12


def test_a_file_that_is_none_or_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_video(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ClipFailed):
        read_video(tmp_path / "text.mp4")
