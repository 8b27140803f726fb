"""Interlaced video is stored as whole frames, each of one moment."""

from pathlib import Path

import av
import numpy as np
import pytest
from support.broken_videos import ffmpeg

from curation.media.picture.encode import encode
from curation.media.picture.encode_command import EncodeRequest, encode_command
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.encoded_video import EncodedVideo
from curation.media.picture.interlacing import Fields, fields_of
from curation.media.picture.probe import probe
from curation.media.picture.video_records import VideoSpan

_ILME = ("-flags", "+ildct+ilme")
_SPEED, _BAR = 400, 20  # pixels a second, pixels


def _interlaced(path: Path, *encoder: str, size: str = "720x576", scan: str = "tff") -> Path:
    """Make two seconds of a white bar that moves over grey, a new place in each of 50 fields a second."""
    ground, bar = f"color=gray:s={size}:r=50:d=2[b]", f"color=white:s={_BAR}x1080:r=50:d=2[w]"
    moving = f"[b][w]overlay=x='mod(t*{_SPEED}\\,W)':y=0,interlace=scan={scan}:lowpass=off"
    ffmpeg("-f", "lavfi", "-i", f"{ground};{bar};{moving}", *encoder, path)
    return path


def _encoded(path: Path, folder: Path) -> EncodedVideo:
    found = probe(path)
    return encode(VideoSpan(path, found, 0.0, found.duration), [], EncodeSettings(), folder)


def _luma(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]


def _combed(path: Path) -> float:
    """Return the largest share in a frame of pixels far brighter or darker than both their vertical neighbours."""
    shares = []
    for luma in _luma(path):
        above, here, below = luma[:-2], luma[1:-1], luma[2:]
        ridges = np.minimum(here - above, here - below) > 20
        valleys = np.minimum(above - here, below - here) > 20
        shares.append(float((ridges | valleys).mean()))
    return max(shares)


def _has_one_sharp_bar(encoded: EncodedVideo) -> None:
    for path in (encoded.path, *(still.path for still in encoded.stills)):
        assert _combed(path) == 0, path.name
        for luma in _luma(path)[4:]:
            row = luma[luma.shape[0] // 2]
            width = (row > 190).sum() / len(row)
            assert row.max() > 240
            assert width == pytest.approx(_BAR / 720, abs=0.01)


@pytest.mark.parametrize("scan", ["tff", "bff"])
@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("dvd.mpg", ("-c:v", "mpeg2video", "-q:v", "2", *_ILME)),
        ("broadcast.ts", ("-c:v", "libx264", "-preset", "ultrafast", *_ILME)),
        ("recorded.mp4", ("-c:v", "libx264", "-preset", "ultrafast", *_ILME)),
        ("divx.avi", ("-c:v", "mpeg4", "-q:v", "2", *_ILME)),
        ("edited.mov", ("-c:v", "prores_ks", "-flags", "+ildct", "-pix_fmt", "yuv422p10le")),
        ("archive.mkv", ("-c:v", "ffv1")),
        ("camera.mxf", ("-c:v", "mpeg2video", "-q:v", "2", "-pix_fmt", "yuv422p", *_ILME)),
    ],
)
def test_interlaced_video_is_stored_without_combs(
    name: str, encoder: tuple[str, ...], scan: str, tmp_path: Path
) -> None:
    encoded = _encoded(_interlaced(tmp_path / name, *encoder, scan=scan), tmp_path)
    assert encoded.num_frames == 16
    _has_one_sharp_bar(encoded)


def test_digital_video_tape_is_stored_without_combs(tmp_path: Path) -> None:
    dv = _interlaced(tmp_path / "tape.avi", "-pix_fmt", "yuv420p", "-c:v", "dvvideo", scan="bff")
    _has_one_sharp_bar(_encoded(dv, tmp_path))


def test_the_containers_word_counts_where_frames_are_not_marked(tmp_path: Path) -> None:
    path = _interlaced(tmp_path / "camera.mov", "-c:v", "mjpeg", "-q:v", "2", "-field_order", "tt")
    assert probe(path).video.fields == "top"
    _has_one_sharp_bar(_encoded(path, tmp_path))


def test_a_broadcast_that_turns_interlaced_midway_is_stored_without_combs(tmp_path: Path) -> None:
    first, second = tmp_path / "a.ts", tmp_path / "b.ts"
    x264 = ("-c:v", "libx264", "-preset", "ultrafast")
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=1280x720:r=25:d=1", *x264, first)
    _interlaced(second, *x264, *_ILME)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    encoded = _encoded(joined, tmp_path)
    assert encoded.num_frames in (24, 25)
    assert _combed(encoded.path) == 0


def test_progressive_frames_are_passed_through_unchanged(tmp_path: Path) -> None:
    plain, broadcast = tmp_path / "plain.mp4", tmp_path / "broadcast.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2", "-c:v", "libx264", "-preset", "ultrafast", plain)
    ffmpeg("-i", plain, "-c", "copy", broadcast)
    assert (probe(plain).video.fields, probe(broadcast).video.fields) == ("none", "marked")
    shown = []
    for path in (plain, broadcast):
        folder = tmp_path / path.stem
        folder.mkdir()
        shown.append(np.stack(_luma(_encoded(path, folder).path)))
    assert (shown[0] == shown[1]).all()


def test_a_picture_that_ffmpeg_has_turned_is_not_deinterlaced(tmp_path: Path) -> None:
    upright, turned = tmp_path / "upright.avi", tmp_path / "turned.mov"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-c:v", "mpeg4", "-q:v", "2", upright)
    ffmpeg("-display_rotation", "90", "-i", upright, "-c", "copy", turned)
    used = {}
    for path in (upright, turned):
        span = VideoSpan(path, probe(path), 0.0, 1.0)
        assert span.probe.video.fields == "marked"
        command = encode_command(EncodeRequest.of(span, [], EncodeSettings()), EncodeSettings())
        used[path.stem] = any("bwdif" in argument for argument in command)
    assert used == {"upright": True, "turned": False}


def test_a_single_interlaced_frame_is_stored(tmp_path: Path) -> None:
    path = _interlaced(tmp_path / "one.mpg", "-frames:v", "1", "-c:v", "mpeg2video", *_ILME)
    assert _encoded(path, tmp_path).num_frames == 1


def test_the_reported_video_has_one_sharp_bar(shared_fixtures: Path, tmp_path: Path) -> None:
    encoded = _encoded(shared_fixtures / "faults" / "05-interlaced-combing" / "inter.mpg", tmp_path)
    for path in (encoded.path, *(still.path for still in encoded.stills)):
        assert _combed(path) == 0


@pytest.mark.parametrize(
    ("codec", "container", "order", "marked", "expected"),
    [
        ("h264", "mov", 1, False, "none"),
        ("h264", "mov", 2, False, "marked"),
        ("h264", "mpegts", 1, False, "marked"),
        ("mpeg2video", "mpeg", 2, True, "marked"),
        ("mjpeg", "mov", 2, False, "top"),
        ("rawvideo", "mov", 3, False, "bottom"),
        ("vp9", "matroska", 2, False, "none"),
        ("mpeg4", "avi", 0, False, "marked"),
    ],
)
def test_marks_of_frames_go_before_the_containers_word(
    codec: str, container: str, order: int, marked: bool, expected: Fields
) -> None:
    assert fields_of(codec, container, order, marked) == expected
