"""One decode gives the stored video, shots, motion and stills; times of frames are those of the source."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from support.broken_videos import CASES, CLOCK_ROUND, clock, ffmpeg, path_of, picture
from support.colour_videos import BLUE, GREEN, RED, colour_video
from support.turned_videos import MATRICES, shown, with_matrix

from curation.media.clips.root_cutting import cut_roots
from curation.media.picture import encode as module
from curation.media.picture.encode import encode
from curation.media.picture.encode_command import EncodeRequest, encode_command, scale_to
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.encoded_video import EncodedVideo
from curation.media.picture.probe import probe
from curation.media.picture.video_records import VideoSpan
from curation.sources.ledger import SourceFailed
from runtime.errors import MachineError
from runtime.retry_limits import ENCODE_GRACE

pytestmark = pytest.mark.slow

SETTINGS = EncodeSettings()
# What the clock shows in frame 0; odd containers begin their picture a little after their sound.
FIRST = {"edited_mp4": 1.0}
LATE = {
    "h264_flv": 0.1,
    "below_zero_flv": 0.1,
    "wmv": 0.12,
    "theora_ogv": 0.06,
    "below_zero_mkv": 0.06,
    "mpeg4_avi": 0.05,
}


@pytest.fixture(scope="session")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds with the clock, GOPs of 5 s with B-frames."""
    path = tmp_path_factory.mktemp("long") / "long.mkv"
    source = picture(40.0, (160, 120))
    ffmpeg(
        "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "120", "-sc_threshold", "0", path
    )
    return path


def _encoded(path: Path, folder: Path, start: float = 0.0, end: float = math.inf, **settings: object) -> EncodedVideo:
    found = probe(path)
    boundaries = [start + 0.7, start + 1.3]
    span = VideoSpan(path, found, start, min(end, found.duration))
    return encode(span, boundaries, SETTINGS.model_copy(update=settings), folder)


def _clocks(path: Path, edge: str = "bottom") -> list[float]:
    with av.open(str(path)) as container:
        return [clock(frame, edge) for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", CASES)
def test_every_odd_video_ends_as_it_should(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    if case.expected_state == "failed":
        with pytest.raises(SourceFailed) as failure:
            _encoded(path_of(name), tmp_path)
        assert failure.value.class_ == case.expected_class
        return
    encoded = _encoded(path_of(name), tmp_path)
    with av.open(str(encoded.path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (stream.average_rate, stream.pix_fmt, stream.codec_context.has_b_frames) == (8, "yuv420p", 0)
    assert len(frames) == encoded.num_frames == len(encoded.motion)
    assert [round(frame.time * 8, 6) for frame in frames] == list(range(len(frames)))
    assert {(frame.width, frame.height) for frame in frames} == {(encoded.width, encoded.height)}
    assert min(encoded.width, encoded.height) == 256
    assert encoded.width % 2 == encoded.height % 2 == 0
    assert {5, 10} <= set(encoded.idr_frames)
    assert max(after - before for before, after in pairwise(encoded.idr_frames)) <= 8
    assert len(encoded.stills) == math.ceil(encoded.num_frames / 16)
    if name != "rotated":
        assert clock(frames[0]) == pytest.approx(FIRST.get(name, 0.0), abs=0.04)
        assert clock(frames[8]) == pytest.approx(FIRST.get(name, 0.0) + 1, abs=0.04 + LATE.get(name, 0.0))


def test_frame_i_shows_the_source_at_start_plus_i_over_fps(tmp_path: Path) -> None:
    encoded = _encoded(path_of("good"), tmp_path)
    shown = [math.floor(i / 8 * 24 + 1e-6) / 24 for i in range(encoded.num_frames)]
    assert _clocks(encoded.path) == pytest.approx(shown, abs=0.02)


def test_uneven_frames_are_held_until_the_next(tmp_path: Path) -> None:
    encoded = _encoded(path_of("variable_rate"), tmp_path)
    shown = _clocks(encoded.path)
    assert shown[8:20] == pytest.approx([1, 1, 1.25, 1.25, 1.5, 1.5, 1.75, 1.75, 2, 2, 2.25, 2.25], abs=0.02)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "avi"])
@pytest.mark.parametrize("start", [3.3, 23.3])
def test_a_span_begins_with_the_frame_shown_then(long_video: Path, suffix: str, start: float, tmp_path: Path) -> None:
    path = long_video
    if suffix != "mkv":
        path = tmp_path / f"long.{suffix}"
        codec = ["-c", "copy"] if suffix != "avi" else ["-c:v", "mpeg4", "-g", "60", "-q:v", "3"]
        ffmpeg("-i", long_video, *codec, path)
    encoded = _encoded(path, tmp_path, start, start + 2)
    assert (encoded.num_frames, encoded.start, encoded.end) == (16, start, start + 2)
    shown = [(math.floor((start + i / 8) * 24 + 1e-6) / 24) % CLOCK_ROUND for i in range(16)]
    assert _clocks(encoded.path) == pytest.approx(shown, abs=0.02)


def test_a_slide_that_began_before_the_span_is_its_first_picture(tmp_path: Path) -> None:
    slides = tmp_path / "slides.mkv"
    ffmpeg(
        "-f", "lavfi", "-i", picture(12.0, (160, 120), 1), "-vf", "select=not(mod(n\\,4))", "-fps_mode", "vfr", slides
    )
    encoded = _encoded(slides, tmp_path, 2.0, 6.0)
    assert _clocks(encoded.path) == pytest.approx([0.0] * 16 + [4.0] * 16, abs=0.03)


def test_rotation_is_applied(tmp_path: Path) -> None:
    encoded = _encoded(path_of("rotated"), tmp_path)
    assert (encoded.width, encoded.height) == (256, 342)
    assert _clocks(encoded.path, "right")[:9:4] == pytest.approx([0, 0.5, 1], abs=0.03)


@pytest.mark.parametrize("matrix", [*MATRICES.values(), (0, 0, 0, 0)], ids=[*MATRICES, "zeros"])
def test_a_turned_or_mirrored_video_is_stored_as_its_matrix_says(
    matrix: tuple[int, int, int, int], tmp_path: Path
) -> None:
    plain = colour_video(tmp_path / "plain.mp4", RED, GREEN, BLUE)
    with av.open(str(plain)) as container:
        source = next(container.decode(video=0)).to_ndarray(format="rgb24")
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(with_matrix(plain.read_bytes(), *matrix))
    expected = shown(source, *matrix) if any(matrix) else source
    with av.open(str(_encoded(turned, tmp_path).path)) as container:
        frame = next(container.decode(video=0))
        height, width = expected.shape[:2]
        small = frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
    assert (frame.width > frame.height) == (width > height)
    assert np.abs(small.astype(int) - expected).mean() < 6


def test_pixels_become_square(tmp_path: Path) -> None:
    encoded = _encoded(path_of("wide_pixels"), tmp_path)
    assert (encoded.width, encoded.height) == (456, 256)
    with av.open(str(encoded.path)) as container:
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)


def test_stills_keep_the_sources_size_where_it_is_small(tmp_path: Path) -> None:
    encoded = _encoded(path_of("good"), tmp_path)
    assert [still.time for still in encoded.stills] == [0.0, 2.0]
    with av.open(str(encoded.stills[1].path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (320, 240)


def test_stills_are_made_smaller_to_the_side_asked_for(tmp_path: Path) -> None:
    encoded = _encoded(path_of("good"), tmp_path, still_short_side=120, still_every=1.0)
    assert [still.time for still in encoded.stills] == [0.0, 1.0, 2.0, 3.0]
    with av.open(str(encoded.stills[1].path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (160, 120)


def test_thousands_of_boundaries_all_become_idr_frames(long_video: Path, tmp_path: Path) -> None:
    boundaries = [i * 40 / 3000 for i in range(3000)]
    encoded = encode(VideoSpan(long_video, probe(long_video), 0.0, 40.0), boundaries, SETTINGS, tmp_path)
    assert encoded.idr_frames == tuple(range(320))


@pytest.mark.parametrize("number", [3_000, 30_000])
def test_any_number_of_boundaries_fits_into_the_arguments(number: int) -> None:
    span = VideoSpan(Path("/x.mp4"), probe(path_of("good")), 0.0, number * 2.0)
    request = EncodeRequest.of(span, range(0, number * 16, 11), SETTINGS)
    longest = max(len(arg) for arg in encode_command(request, SETTINGS))
    assert longest < 1 << 17
    if number == 3_000:
        assert len(request.idr_frames) == sum(
            arg.count(",") + 1 for arg in encode_command(request, SETTINGS) if arg.startswith("1.375,")
        )


@pytest.mark.parametrize("fps", [1.0, 12.5, 29.97])
def test_other_frame_rates_are_as_even(fps: float, tmp_path: Path) -> None:
    encoded = _encoded(path_of("good"), tmp_path, fps=fps)
    assert encoded.num_frames in (math.floor(4 * fps), math.ceil(4 * fps))
    assert _clocks(encoded.path)[-1] == pytest.approx((encoded.num_frames - 1) / fps, abs=0.06)


def test_sound_is_stored_on_request(tmp_path: Path) -> None:
    encoded = _encoded(path_of("good"), tmp_path, audio=True)
    with av.open(str(encoded.path)) as container:
        sound = container.streams.audio[0]
        assert (sound.codec_context.name, sound.channels) == ("aac", 1)
        assert float(sound.duration * sound.time_base) == pytest.approx(4.0, abs=0.05)


def test_ffmpeg_gets_the_container_format_and_may_open_files_only() -> None:
    span = VideoSpan(Path("/tmp/-odd%name.mp4"), probe(path_of("good")), 0.0, 4.0)
    args = encode_command(EncodeRequest.of(span, [], SETTINGS), SETTINGS)
    before_input = args[: args.index("-i")]
    assert before_input[before_input.index("-f") + 1] == "mov"
    assert before_input[before_input.index("-protocol_whitelist") + 1] == "file,pipe"
    assert args[args.index("-i") + 1] == "file:/tmp/-odd%name.mp4"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1920, 1080), (456, 256)), ((321, 243), (338, 256)), ((1, 1), (256, 256)), ((100_000, 10), (4096, 2))],
)
def test_sizes_are_even_and_limited(shape: tuple[float, float], expected: tuple[int, int]) -> None:
    got = scale_to(shape, 256)
    assert (got.width, got.height) == expected


def test_a_full_disk_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "encoded.mp4").symlink_to("/dev/full")
    with pytest.raises(MachineError, match="No space left on device"):
        _encoded(path_of("good"), tmp_path)


def test_encoding_has_a_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENCODE_GRACE", replace(ENCODE_GRACE, default=0.0))
    with pytest.raises(SourceFailed, match="took longer than 0 s") as failure:
        _encoded(path_of("good"), tmp_path, time_limit_factor=1e-4)
    assert failure.value.class_ == "internal"


def test_every_real_file_is_encoded_and_cut_or_refused_for_the_right_reason(
    shared_fixtures: Path, tmp_path: Path
) -> None:
    refused: dict[str, str] = {}
    for path in sorted((shared_fixtures / "video").iterdir()):
        folder = tmp_path / path.name
        folder.mkdir()
        try:
            encoded = _encoded(path, folder, end=1.0)
        except SourceFailed as failure:
            refused[path.name] = failure.class_
            continue
        (root,) = cut_roots(encoded, [(0.0, encoded.end)], folder)
        with av.open(str(root.path)) as container:
            frames = sum(1 for _ in container.decode(video=0))
        assert (path.name, frames) == (path.name, encoded.num_frames)
        assert encoded.num_frames == 8 or path.name.startswith("pyscenedetect__delayed_start"), path.name
    assert refused == {"moviepy__result.webm": "not_video"}
