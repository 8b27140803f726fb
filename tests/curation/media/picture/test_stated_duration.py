"""The duration of a video is its length, wherever the clock of its container starts and whatever its header means."""

import struct
from pathlib import Path

import av
import pytest
from support.broken_videos import SECONDS, clock, ffmpeg, path_of, picture

from curation.media.picture.encode import encode
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.header_duration import header_duration
from curation.media.picture.probe import probe
from curation.media.picture.video_records import VideoSpan

OFFSETS = ("60", "5", "0.3", "-1")
CONTAINERS = (
    ("good", "clock.mkv", OFFSETS),
    ("vp8_webm", "clock.webm", OFFSETS),
    ("wmv", "clock.wmv", OFFSETS),
    ("h264_ts", "clock.ts", OFFSETS),
    ("good", "clock.mov", OFFSETS[:3]),  # these hold no times below 0
    ("good", "clock.flv", OFFSETS[:3]),
    ("good", "clock.nut", OFFSETS[:3]),
    ("theora_ogv", "clock.ogv", OFFSETS[:3]),
)


@pytest.mark.parametrize(
    ("base", "name", "offset"), [(base, name, offset) for base, name, offsets in CONTAINERS for offset in offsets]
)
def test_a_clock_that_starts_elsewhere_does_not_change_the_length(
    base: str, name: str, offset: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    ffmpeg("-i", path_of(base), "-c", "copy", "-output_ts_offset", offset, "-avoid_negative_ts", "disabled", path)
    found = probe(path)
    assert found.duration == pytest.approx(SECONDS, abs=0.15)
    if name != "clock.ts":  # its header states no duration
        assert header_duration(path) == pytest.approx(SECONDS, abs=0.15)
    assert found.video.duration is None or found.video.duration <= found.duration


def test_a_live_flash_video_that_states_its_end_has_the_length_of_its_recording(tmp_path: Path) -> None:
    path = tmp_path / "live.flv"
    ffmpeg("-i", path_of("good"), "-c", "copy", "-output_ts_offset", "90", "-flvflags", "no_duration_filesize", path)
    assert probe(path).duration == pytest.approx(SECONDS, abs=0.15)


def test_a_segment_out_of_the_middle_of_a_stream_has_its_own_length(tmp_path: Path) -> None:
    init, segments = tmp_path / "init.mp4", tmp_path / "s%d.m4s"
    stream: list[str | Path] = [
        "-f",
        "lavfi",
        "-i",
        picture(12.0, (160, 120)),
        "-g",
        "24",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    ]
    naming: list[str | Path] = ["-hls_fmp4_init_filename", init.name, "-hls_segment_filename", segments]
    ffmpeg(*stream, "-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "4", *naming, tmp_path / "list.m3u8")
    part = tmp_path / "part.mp4"
    part.write_bytes(init.read_bytes() + (tmp_path / "s2.m4s").read_bytes())
    assert probe(part).start_time == pytest.approx(8.0)
    assert probe(part).duration == pytest.approx(4.0)
    assert header_duration(part) == pytest.approx(4.0)


@pytest.mark.parametrize("states_length", [True, False])
def test_both_meanings_of_matroskas_duration_are_understood(states_length: bool, tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    ffmpeg("-i", path_of("good"), "-c", "copy", "-output_ts_offset", "60", path)
    if states_length:
        _state_duration(path, SECONDS)
    assert probe(path).duration == pytest.approx(SECONDS, abs=0.1)


def _state_duration(path: Path, seconds: float) -> None:
    """Overwrite Matroska's duration (element 44 89, eight bytes, milliseconds)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3
    assert 60_000 < struct.unpack(">d", data[at : at + 8])[0] < 70_000
    data[at : at + 8] = struct.pack(">d", seconds * 1000)
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["live5.mkv", "live60.webm"])
def test_recordings_of_live_streams_are_encoded_whole(name: str, shared_fixtures: Path, tmp_path: Path) -> None:
    path = shared_fixtures / "faults" / "01-mkv-start-time" / name
    found = probe(path)
    assert found.duration == pytest.approx(8.0, abs=1 / 24)
    encoded = encode(VideoSpan(path, found, 0.0, found.duration), [], EncodeSettings(), tmp_path)
    assert encoded.num_frames in (64, 65)


@pytest.mark.parametrize("name", ["clock.mkv", "clock.nut", "clock.flv"])
def test_a_span_counts_from_the_first_time_stamp(name: str, tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.mkv", tmp_path / name
    ffmpeg("-f", "lavfi", "-i", picture(30.0, (160, 120)), "-g", "120", "-pix_fmt", "yuv420p", plain)
    ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", "100", path)
    encoded = encode(VideoSpan(path, probe(path), 23.0, 25.0), [], EncodeSettings(), tmp_path)
    with av.open(str(encoded.path)) as container:
        shown = [clock(frame) for frame in container.decode(video=0)]
    assert shown[::4] == pytest.approx([3.0, 3.5, 4.0, 4.5], abs=0.04)
