"""Roots are cut by copy: exact frames, exact times, each decodes alone."""

import hashlib
from pathlib import Path

import av
import pytest
from support.broken_videos import clock, path_of

from curation.media.clips.root_cutting import RootFile, cut_roots
from curation.media.picture.encode import encode
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.encoded_video import EncodedVideo
from curation.media.picture.probe import probe
from curation.media.picture.video_records import VideoSpan
from runtime.errors import is_machine_fault

SPANS = [(0.0, 1.5), (1.3, 3.0), (1.35, 1.4), (2.9, 4.0), (0.0, 4.0)]


def _encode(folder: Path, **settings: object) -> EncodedVideo:
    path = path_of("good")
    options = EncodeSettings().model_copy(update=settings)
    return encode(VideoSpan(path, probe(path), 0.0, 4.0), [1.3, 2.9], options, folder)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> EncodedVideo:
    return _encode(tmp_path_factory.mktemp("encoded"))


@pytest.fixture(scope="module")
def roots(encoded: EncodedVideo) -> list[RootFile]:
    return cut_roots(encoded, SPANS, encoded.path.parent)


def _frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def _pictures(path: Path) -> list[str]:
    return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in _frames(path)]


def test_a_root_begins_at_the_idr_frame_at_or_before_its_start(roots: list[RootFile]) -> None:
    assert [root.first_frame_time for root in roots] == [0.0, 1.25, 1.25, 2.875, 0.0]


def test_a_root_ends_with_the_last_frame_before_its_end(roots: list[RootFile]) -> None:
    assert [root.num_frames for root in roots] == [12, 14, 2, 9, 32]


def test_a_root_decodes_alone_to_the_same_pictures(encoded: EncodedVideo, roots: list[RootFile]) -> None:
    whole = _pictures(encoded.path)
    for root in roots:
        first = round(root.first_frame_time * 8)
        assert _pictures(root.path) == whole[first : first + root.num_frames]


def test_time_stamps_begin_at_zero_and_are_even(roots: list[RootFile]) -> None:
    for root in roots:
        assert [frame.time for frame in _frames(root.path)] == [i / 8 for i in range(root.num_frames)]


def test_the_first_picture_is_that_of_the_first_frames_time(roots: list[RootFile]) -> None:
    shown = [clock(_frames(root.path)[0]) for root in roots]
    assert shown == pytest.approx([root.first_frame_time for root in roots], abs=0.03)


def test_the_index_stands_before_the_pictures(roots: list[RootFile]) -> None:
    for root in roots:
        data = root.path.read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_a_container_says_the_exact_number_of_frames(roots: list[RootFile]) -> None:
    for root in roots:
        with av.open(str(root.path)) as container:
            assert container.streams.video[0].frames == root.num_frames
            assert container.duration == root.num_frames * 125_000


def test_an_end_beyond_the_video_is_its_end(encoded: EncodedVideo, tmp_path: Path) -> None:
    assert cut_roots(encoded, [(2.9, 9.0)], tmp_path)[0].num_frames == 9


def test_a_span_without_frames_is_the_callers_mistake(encoded: EncodedVideo, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no frame from 5.0 to 6.0 s"):
        cut_roots(encoded, [(5.0, 6.0)], tmp_path)


def test_sound_is_cut_with_the_picture(tmp_path: Path) -> None:
    encoded = _encode(tmp_path, audio=True)
    for root in cut_roots(encoded, [(0.0, 1.5), (1.3, 3.0)], tmp_path):
        with av.open(str(root.path)) as container:
            video, sound = container.streams.video[0], container.streams.audio[0]
            seconds = float(sound.duration * sound.time_base)
            assert (video.frames, video.start_time) == (root.num_frames, 0)
            assert seconds == pytest.approx(root.num_frames / 8, abs=0.05)
            assert 0 <= sound.start_time * sound.time_base < 0.025
            assert sum(1 for _ in container.decode(sound)) > 0


def test_a_full_disk_is_a_fault_of_the_machine(encoded: EncodedVideo, tmp_path: Path) -> None:
    (tmp_path / "root_000000.mp4").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as failure:
        cut_roots(encoded, [(0.0, 4.0)], tmp_path)
    assert is_machine_fault(failure.value)
