"""Frame hashes: at which times, of which clips, and that copies have the hashes of their original."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.scored_videos import HEIGHT, WIDTH, Picture, clip_row, flat, named, scores_of, texture, video_of

SCENES = [texture(seed=seed) for seed in range(4)]
FILM = [scene for scene in SCENES for _ in range(8)]


def hashes(frames: list[Picture], crf: int = 12) -> list[int]:
    return list(scores_of(named("frame_hashes"), video_of(frames, crf))[0]["frame_hashes"] or [])


def distances(one: list[int], other: list[int]) -> list[int]:
    """Return the number of bits that differ, frame by frame."""
    return [(first ^ second).bit_count() for first, second in zip(one, other, strict=True)]


def test_a_root_has_two_hashes_a_second_and_clips_inside_it_have_none() -> None:
    clips = [clip_row(0.25, 3.75), clip_row(0.25, 2, parent="clip_0.25_3.75")]
    root, child = scores_of(named("frame_hashes"), video_of(FILM), clips)
    assert root["frame_hash_times"] == pytest.approx([0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25])
    assert len(root["frame_hashes"]) == 7 and all(0 <= value < 2**64 for value in root["frame_hashes"])
    assert child == {"frame_hash_times": None, "frame_hashes": None}


def test_hashes_are_those_of_imagehash() -> None:
    from imagehash import phash
    from PIL import Image

    ours = hashes([SCENES[0]] * 8)
    reference = int(str(phash(Image.fromarray(SCENES[0]))), 16)
    assert max(distances(ours, [reference] * len(ours))) <= 4


@pytest.mark.parametrize("copy", ["encoded", "letterboxed", "smaller", "brighter"])
def test_a_copy_has_about_the_hashes_of_its_original(copy: str) -> None:
    def changed(picture: Picture) -> Picture:
        if copy == "letterboxed":
            return np.pad(np.maximum(picture, 40), ((40, 40), (0, 0)))
        if copy == "smaller":
            return cv2.resize(picture, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
        return (picture * 0.8 + 40).astype(np.uint8) if copy == "brighter" else picture

    found = distances(hashes(FILM), hashes([changed(picture) for picture in FILM], crf=33))
    assert max(found) <= 8


def test_other_pictures_have_other_hashes() -> None:
    found = hashes(FILM)
    assert min(distances(found[:2] * 3, found[2:])) > 16


def test_flat_frames_have_no_hash() -> None:
    (row,) = scores_of(named("frame_hashes"), [flat(0)] * 8 + [SCENES[1]] * 8 + [flat(120)] * 8)
    assert row["frame_hash_times"] == pytest.approx([1, 1.5])
    (black,) = scores_of(named("frame_hashes"), [flat(0)] * 8)
    assert black == {"frame_hash_times": [], "frame_hashes": []}
