"""A flash is no shot boundary: the picture comes back. A cut beside a flash is still found."""

from pathlib import Path

import numpy as np
import pytest

from curation.media.picture.encode import encode
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.flash_filter import FlashFilter, Frame
from curation.media.picture.probe import probe
from curation.media.picture.shot_detection import ShotDetector
from curation.media.picture.video_records import VideoSpan

WHITE, BLACK, BLUE = (255, 255, 255), (0, 0, 0), (255, 40, 40)


def _scene(seed: int, count: int, step: int = 0) -> list[Frame]:
    """Return frames of a smooth random picture that moves `step` pixels a frame."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 10, 3))
    picture = np.kron(coarse, np.ones((6, 8, 1))).astype(np.uint8)[:36, :80]
    return [np.ascontiguousarray(np.roll(picture, step * i, axis=1)[:, :64]) for i in range(count)]


def _cuts(frames: list[Frame]) -> list[int]:
    detector = ShotDetector(8.0, 1.0, 3.0)
    for frame in frames:
        detector.add(frame)
    return detector.cuts


def _lit(frame: Frame, colour: tuple[int, int, int], share: float = 1.0) -> Frame:
    return (frame * (1 - share) + np.array(colour) * share).astype(np.uint8)


@pytest.mark.parametrize("colour", [WHITE, BLACK, BLUE])
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_a_flash_of_any_colour_is_no_cut(colour: tuple[int, int, int], length: int) -> None:
    frames = _scene(0, 48)
    for i in range(20, 20 + length):
        frames[i] = _lit(frames[i], colour, 0.9)
    assert _cuts(frames) == []


def test_a_flash_that_fades_is_no_cut() -> None:
    frames = _scene(0, 48)
    for i, share in enumerate([1.0, 0.7, 0.45], start=20):
        frames[i] = _lit(frames[i], WHITE, share)
    assert _cuts(frames) == []


def test_a_burst_of_flashes_is_no_cut() -> None:
    frames = _scene(0, 48)
    for i in (16, 18, 21, 23, 30):
        frames[i] = _lit(frames[i], WHITE)
    assert _cuts(frames) == []


def test_a_flash_while_the_camera_pans_is_no_cut() -> None:
    frames = _scene(0, 64, step=1)
    frames[30] = _lit(frames[30], WHITE)
    assert _cuts(frames) == _cuts(_scene(0, 64, step=1)) == []


@pytest.mark.parametrize("flash", [17, 20, 22, 25, 28])
def test_a_cut_near_a_flash_is_found_at_its_frame(flash: int) -> None:
    frames = _scene(0, 24) + _scene(1, 24)
    frames[flash] = _lit(frames[flash], WHITE)
    assert _cuts(frames) == [24]


def test_a_cut_under_a_flash_is_found() -> None:
    frames = _scene(0, 24) + _scene(1, 24)
    frames[23] = _lit(frames[23], WHITE)
    assert _cuts(frames) in ([23], [24])


def test_a_picture_that_stays_away_longer_is_another_shot() -> None:
    assert _cuts(_scene(0, 24) + _scene(1, 10) + _scene(0, 24)) == [24, 34]


def test_frames_are_passed_on_in_order_and_soon() -> None:
    frames = _scene(0, 10) + _scene(1, 10)
    flashes = FlashFilter(longest=4)
    passed = []
    for number, frame in enumerate(frames, start=1):
        passed += flashes.add(frame)
        assert number - len(passed) <= 4
    assert all((one == other).all() for one, other in zip(passed, frames, strict=True))


def test_the_reported_flashes_leave_only_the_real_cut(shared_fixtures: Path, tmp_path: Path) -> None:
    path = shared_fixtures / "faults" / "25-camera-flash-is-a-cut" / "flash.mp4"
    found = probe(path)
    encoded = encode(VideoSpan(path, found, 0.0, found.duration), [], EncodeSettings(), tmp_path)
    assert encoded.shots == (4.5,)
