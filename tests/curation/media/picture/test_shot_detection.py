"""Shots begin where the picture changes at once; motion says how much it changes otherwise."""

import json
from pathlib import Path

import numpy as np
import pytest

from curation.media.picture.encode import encode
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.encoded_video import EncodedVideo
from curation.media.picture.probe import probe
from curation.media.picture.shot_detection import ShotDetector
from curation.media.picture.video_records import VideoSpan


def _watch(frames: list[np.ndarray], **options: float) -> ShotDetector:
    watcher = ShotDetector(8.0, options.get("min_shot", 1.0), options.get("threshold", 3.0))
    for frame in frames:
        watcher.add(frame)
    return watcher


def _plain(*colours: tuple[int, int, int], each: int = 16) -> list[np.ndarray]:
    return [np.full((36, 64, 3), colour, np.uint8) for colour in colours for _ in range(each)]


def _encode(path: Path, folder: Path) -> EncodedVideo:
    found = probe(path)
    return encode(VideoSpan(path, found, 0.0, found.duration), [], EncodeSettings(), folder)


def test_a_hard_cut_begins_a_shot() -> None:
    assert _watch(_plain((0, 0, 200), (0, 200, 0), (200, 0, 0))).cuts == [16, 32]


def test_a_still_picture_has_no_shots_and_no_motion() -> None:
    watcher = _watch(_plain((10, 100, 50), each=80))
    assert watcher.cuts == []
    assert not watcher.motion.any()


def test_a_shot_has_a_shortest_length() -> None:
    assert _watch(_plain((0, 0, 200), (0, 200, 0), (200, 0, 0), each=6)).cuts == [12]


def test_motion_is_the_share_of_full_brightness_that_changes() -> None:
    motion = _watch(_plain((0, 0, 0), (51, 51, 51), each=2)).motion
    assert motion == pytest.approx([0, 0, 0.2, 0])


def test_every_real_cut_is_found_at_its_frame(shared_fixtures: Path, tmp_path: Path) -> None:
    truth = json.loads((shared_fixtures / "derived" / "long_mix_120s.cuts.json").read_text())["cuts_seconds"]
    shots = np.array(_encode(shared_fixtures / "derived" / "long_mix_120s.mp4", tmp_path).shots)
    distance = [float(np.abs(shots - cut).min()) for cut in truth]
    assert sum(d == 0 for d in distance) >= len(truth) - 1
    assert max(distance) <= 0.5  # a scene that cuts itself right before is found instead


@pytest.mark.parametrize("name", ["moviepy__smpte-2997.mp4", "opencv-doc__vtest.avi", "gradio__world.mp4"])
def test_one_shot_is_not_divided(shared_fixtures: Path, name: str, tmp_path: Path) -> None:
    assert _encode(shared_fixtures / "video" / name, tmp_path).shots == ()


def test_motion_between_leaves_out_the_cut_at_a_clips_beginning(tmp_path: Path) -> None:
    watcher = _watch(_plain((0, 0, 0), (255, 255, 255), each=8))
    encoded = EncodedVideo(tmp_path, 2, 2, 8.0, 16, 10.0, (0, 8), (11.0,), (), watcher.motion)
    assert encoded.motion_between(11.0, 12.0) == 0
    assert encoded.motion_between(10.0, 12.0) == pytest.approx(1 / 15)
    assert encoded.motion_between(20.0, 21.0) == 0
