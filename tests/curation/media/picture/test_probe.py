"""A file is probed by its content: its streams, or the reason why it is not a video."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.broken_videos import CASES, SECONDS, path_of

from curation.media.picture.probe import probe
from curation.media.picture.video_records import Probe
from curation.sources.ledger import SourceFailed
from runtime.picture.orientation import Orientation

REFUSED = [name for name, case in CASES.items() if case.expected_class == "not_video"]


def _probed(name: str) -> Probe:
    return probe(path_of(name))


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_not_a_video_is_refused(name: str) -> None:
    with pytest.raises(SourceFailed) as refusal:
        _probed(name)
    assert refusal.value.class_ == "not_video"


def test_a_file_without_its_index_is_corrupt() -> None:
    with pytest.raises(SourceFailed, match="a MP4 file that can't be opened") as refusal:
        _probed("truncated_without_index")
    assert refusal.value.class_ == "corrupt"


def test_a_missing_file_is_not_a_failure_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "missing.mp4")


def test_an_ordinary_file_is_described() -> None:
    found = _probed("good")
    assert (found.duration, found.start_time, found.format, found.faults) == (SECONDS, 0.0, "mov", ())
    assert (found.video.codec, found.video.width, found.video.height, found.video.fps) == ("h264", 320, 240, 24.0)
    assert (found.video.orientation, found.video.sar, found.video.variable_rate) == (Orientation(), 1.0, False)
    assert [(stream.codec, stream.rate, stream.channels) for stream in found.audio] == [("aac", 44100, 1)]


@pytest.mark.parametrize(
    ("name", "codec", "format_"),
    [
        ("vp8_webm", "vp8", "matroska"),
        ("vp9_webm", "vp9", "matroska"),
        ("av1_mkv", "av1", "matroska"),
        ("hevc_mov", "hevc", "mov"),
        ("mpeg4_avi", "mpeg4", "avi"),
        ("h264_ts", "h264", "mpegts"),
        ("mpeg2_ps", "mpeg2video", "mpeg"),
        ("h264_flv", "h264", "flv"),
        ("theora_ogv", "theora", "ogg"),
        ("wmv", "wmv2", "asf"),
    ],
)
def test_codecs_and_containers_are_named_as_ffmpeg_does(name: str, codec: str, format_: str) -> None:
    found = _probed(name)
    assert (found.video.codec, found.format) == (codec, format_)
    assert found.duration == pytest.approx(SECONDS, abs=0.15)
    assert len(found.audio) == 1


def test_rotation_turns_the_displayed_size() -> None:
    video = _probed("rotated").video
    assert (video.width, video.height, video.orientation) == (320, 240, Orientation(True, upside_down=True))
    assert video.display_size == (240, 320)


def test_wide_pixels_widen_the_displayed_size() -> None:
    video = _probed("wide_pixels").video
    width, height = video.display_size
    assert width / height == pytest.approx(16 / 9)


def test_a_variable_rate_is_detected() -> None:
    assert _probed("variable_rate").video.variable_rate


def test_a_cover_is_not_the_video() -> None:
    assert (_probed("attached_picture").video.codec, _probed("attached_picture").video.width) == ("h264", 320)


def test_all_sound_tracks_are_listed() -> None:
    assert [stream.codec for stream in _probed("several_audio").audio] == ["aac", "mp3", "opus"]


def test_the_duration_is_measured_if_the_container_states_none() -> None:
    found = _probed("no_duration")
    assert found.duration == pytest.approx(SECONDS, abs=0.1)
    assert "no_duration" in found.faults


def test_the_search_for_a_duration_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 100.0)
    monkeypatch.setattr("curation.media.picture.timestamps.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with pytest.raises(SourceFailed, match="the container states no duration, and reading it took over 60 s"):
        _probed("no_duration")


def test_time_stamps_may_begin_anywhere() -> None:
    assert _probed("late_start").start_time == pytest.approx(101.4, abs=0.1)
    assert _probed("below_zero_ts").start_time < -0.9
    assert _probed("late_start").duration == pytest.approx(SECONDS, abs=0.1)


def test_jumps_of_the_clock_do_not_count_as_duration() -> None:
    found = _probed("jump_forwards")
    assert found.duration == pytest.approx(SECONDS, abs=0.1)
    assert "jump" in found.faults


def test_the_largest_of_several_videos_is_used(shared_fixtures: Path) -> None:
    found = probe(shared_fixtures / "video" / "torchcodec__nasa_13013.mp4")
    assert (found.video.index, found.video.width) == (3, 480)
    assert [(stream.codec, stream.language) for stream in found.subtitles] == [("mov_text", "eng")] * 2
