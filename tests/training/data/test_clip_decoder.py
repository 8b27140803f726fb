"""Decoding the frames of clips from stored roots and from any file; failures have a reason."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.broken_videos import CLOCK_AT_ZERO, CLOCK_PER_SECOND, SECONDS, path_of
from support.colour_videos import BLUE, GREEN, RED, colour_video
from support.shard_factory import FPS, GOP, encode_root, luma_of
from support.turned_videos import MATRICES, shown, with_matrix

from training.data.clip_failure import ClipFailed
from training.data.decoding import packet_index
from training.data.decoding.clip_decoder import decode_clips, decode_spans, stream_span
from training.data.decoding.frame_sampling import Timeline, frames_of_clip, segment_midpoints
from training.data.decoding.packet_index import open_video


def brightness(clip: NDArray[np.uint8]) -> list[float]:
    return [float(frame.mean()) for frame in clip]


def clock(frame: NDArray[np.uint8]) -> float:
    """Return the second that a frame of `support.broken_videos` encodes as brightness (luma 219/255 of RGB)."""
    height, width = frame.shape[:2]
    strip = frame[-height // 16 : -2, width // 4 : -width // 4].astype(float)
    luma = np.median(strip) * 219 / 255 + 16
    return float((luma - CLOCK_AT_ZERO) / CLOCK_PER_SECOND)


# --- which frames ---


def test_frames_are_at_the_middles_of_equal_segments() -> None:
    assert segment_midpoints(2.0, 6.0, 4).tolist() == [2.5, 3.5, 4.5, 5.5]


def test_a_time_between_two_frames_means_the_frame_that_is_shown() -> None:
    timeline = Timeline.of([0.0, 1.0, 1.5, 4.0], [0])
    assert frames_of_clip(timeline, 0.0, 4.0, 8).tolist() == [0, 0, 1, 2, 2, 2, 2, 2]


def test_frames_snap_to_keyframes_if_every_segment_has_one() -> None:
    timeline = Timeline.even(96, fps=8, gop=8)
    assert frames_of_clip(timeline, 0.0, 12.0, 12).tolist() == [8 * n for n in range(12)]
    assert not set(frames_of_clip(timeline, 0.0, 12.0, 12, snap=False)) & set(timeline.keyframes)


def test_frames_closer_than_keyframes_do_not_snap() -> None:
    timeline = Timeline.even(96, fps=8, gop=8)
    plain = frames_of_clip(timeline, 0.0, 6.0, 12, snap=False)
    assert frames_of_clip(timeline, 0.0, 6.0, 12).tolist() == plain.tolist()


@given(
    st.integers(1, 200),
    st.integers(1, 20),
    st.floats(-5, 30, allow_nan=False),
    st.floats(0.01, 40, allow_nan=False),
    st.integers(1, 40),
)
def test_frames_are_in_order_inside_the_video_and_at_most_half_a_segment_off(
    count: int, gop: int, start: float, length: float, frames: int
) -> None:
    timeline = Timeline.even(count, fps=8, gop=gop)
    first, last = max(start, 0.0), min(start + length, timeline.end)
    if first >= last:
        with pytest.raises(ValueError, match="a clip from"):
            frames_of_clip(timeline, start, start + length, frames)
        return
    numbers = frames_of_clip(timeline, start, start + length, frames)
    assert ((numbers >= 0) & (numbers < count)).all() and (np.diff(numbers) >= 0).all()
    half = (last - first) / frames / 2
    assert np.abs(timeline.times[numbers] - segment_midpoints(first, last, frames)).max() <= max(half, 1 / 8) + 1e-5


@given(st.integers(1, 200), st.integers(1, 20), st.floats(0.01, 40, allow_nan=False), st.integers(1, 40))
def test_frames_at_drawn_moments_are_in_order_and_within_their_segments(
    count: int, gop: int, length: float, frames: int
) -> None:
    timeline = Timeline.even(count, fps=8, gop=gop)
    moments = np.random.default_rng(count).random(frames)
    numbers = frames_of_clip(timeline, 0.0, length, frames, moments=moments)
    assert ((numbers >= 0) & (numbers < count)).all() and (np.diff(numbers) >= 0).all()
    segment = min(length, timeline.end) / frames
    begins = np.arange(frames) * segment
    shown = timeline.times[numbers]
    assert (shown > begins - 1 / 8 - 1e-5).all() and (shown < begins + segment + 1e-5).all()


def test_the_middles_are_one_choice_of_moments() -> None:
    timeline = Timeline.even(96, fps=8, gop=8)
    for snap, end in ((True, 12.0), (False, 12.0), (True, 6.0)):
        given_moments = frames_of_clip(timeline, 0.0, end, 12, snap, np.full(12, 0.5))
        assert given_moments.tolist() == frames_of_clip(timeline, 0.0, end, 12, snap).tolist()


# --- stored roots ---


@pytest.mark.parametrize("span", [(0.0, 24.0), (0.25, 5.75), (12.3, 24.0), (23.9, 24.0)])
def test_a_stored_root_gives_exactly_the_frames_of_the_plan(span: tuple[float, float]) -> None:
    (clip,) = decode_clips(encode_root(192), [span], 12)
    numbers = frames_of_clip(Timeline.even(192, FPS, GOP), *span, 12)
    assert clip.shape == (12, 48, 64, 3)
    np.testing.assert_allclose(brightness(clip), [luma_of(int(n)) for n in numbers], atol=4)


def test_bytes_and_file_give_the_same_frames(tmp_path: Path) -> None:
    data = encode_root(96)
    (tmp_path / "root.mp4").write_bytes(data)
    spans = [(0.0, 12.0), (3.0, 7.0)]
    for a, b in zip(decode_clips(data, spans, 12), decode_clips(tmp_path / "root.mp4", spans, 12), strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_the_needed_packets_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    fed = 0
    made = av.Packet

    def counting(data: bytes) -> av.Packet:
        nonlocal fed
        fed += 1
        return made(data)

    monkeypatch.setattr(packet_index.av, "Packet", counting)
    decode_clips(encode_root(192), [(0.0, 24.0), (0.0, 24.0)], 12)
    assert fed == 12


def test_a_span_outside_the_video_fails_and_an_overlapping_one_is_clipped() -> None:
    out, clipped, whole = decode_spans(encode_root(48), [(7.0, 9.0), (4.0, 99.0), (0.0, math.inf)], 6)
    assert isinstance(out, ClipFailed) and out.reason == "out_of_range"
    assert not isinstance(clipped, ClipFailed) and not isinstance(whole, ClipFailed)
    np.testing.assert_allclose(brightness(np.stack(clipped))[-1], luma_of(46), atol=4)
    with pytest.raises(ClipFailed, match=r"a clip from 7 to 9 s in a video of 6 s"):
        decode_clips(encode_root(48), [(7.0, 9.0)], 6)


def test_frames_are_scaled_to_the_given_short_side() -> None:
    assert decode_clips(encode_root(16), [(0.0, 2.0)], 2, size=96)[0].shape == (2, 96, 128, 3)


def test_a_truncated_root_gives_its_frames_and_fails_for_the_missing_ones() -> None:
    data = encode_root(192)
    early, late = decode_spans(data[: len(data) * 2 // 3], [(0.0, 4.0), (20.0, 24.0)], 4)
    assert not isinstance(early, ClipFailed)
    assert isinstance(late, ClipFailed) and late.reason == "truncated"


# --- any file ---

CLOCKED = [
    "good",
    "index_at_end",
    "no_duration",
    "ten_bit",
    "odd_size",
    "vp9_webm",
    "hevc_mov",
    "below_zero_mkv",
    "late_start",
    "attached_picture",
]


@pytest.mark.parametrize("name", CLOCKED)
def test_any_file_gives_the_frames_shown_at_the_given_times(name: str) -> None:
    (clip,) = decode_clips(path_of(name), [(1.0, 3.0)], 5, snap=False)
    (start,) = decode_clips(path_of(name), [(0.0, 0.05)], 1, snap=False)
    shown = np.array([clock(frame) for frame in clip]) - clock(start[0])
    np.testing.assert_allclose(shown, [1.2, 1.6, 2.0, 2.4, 2.8], atol=0.09)


@pytest.mark.parametrize("name", ["good", "variable_rate"])
def test_seeking_gives_the_same_frames_as_decoding_everything(name: str) -> None:
    with av.open(str(path_of(name))) as container:
        every = [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    with open_video(path_of(name)) as video:
        stamps = video.stamps.tolist()
        numbers = frames_of_clip(video.timeline, 0.5, 3.5, 7, snap=False)
    assert stamps == [pts for pts, _ in every]
    (clip,) = decode_clips(path_of(name), [(0.5, 3.5)], 7, snap=False)
    for frame, number in zip(clip, numbers, strict=True):
        assert np.abs(frame.astype(int) - every[number][1]).max() <= 3


def test_a_large_file_whose_packets_are_not_kept_gives_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    held = decode_clips(path_of("good"), [(1.0, 3.0), (0.0, 4.0)], 4)
    monkeypatch.setattr(packet_index, "_HELD_BYTES", 0)
    for a, b in zip(held, decode_clips(path_of("good"), [(1.0, 3.0), (0.0, 4.0)], 4), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("held", [64 << 20, 0])
@pytest.mark.parametrize(("frames", "snap"), [(4, True), (24, True), (200, False)])
def test_streamed_frames_are_those_of_a_clip(
    held: int, frames: int, snap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clip,) = decode_clips(path_of("good"), [(0.5, 3.5)], frames, size=48, snap=snap)
    monkeypatch.setattr(packet_index, "_HELD_BYTES", held)
    with open_video(path_of("good")) as video:
        streamed = list(stream_span(video, 0.5, 3.5, frames, size=48, snap=snap))
    np.testing.assert_array_equal(np.stack(streamed), clip)


def test_a_large_file_is_read_once_for_neighbouring_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_index, "_HELD_BYTES", 0)
    with open_video(path_of("good")) as video:
        asked: list[int] = []
        watched = replace(video, packets=lambda first, after: asked.append(first) or video.packets(first, after))
        assert len(list(stream_span(watched, 0.0, 4.0, 64, snap=False))) == 64
    assert len(asked) == 1 and len(np.unique(video.start_of)) > 1


def test_a_span_outside_the_video_ends_the_stream_with_the_reason() -> None:
    with open_video(encode_root(64)) as video, pytest.raises(ClipFailed) as failed:
        list(stream_span(video, 90.0, 95.0, 4))
    assert failed.value.reason == "out_of_range"


def test_frames_of_a_video_without_time_stamps_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "raw.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(32):
            picture = np.full((48, 64, 3), luma_of(number), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    (clip,) = decode_clips(path, [(1.0, 3.0)], 4, snap=False)
    np.testing.assert_allclose(brightness(clip), [luma_of(n) for n in (10, 14, 18, 22)], atol=6)


def test_rotation_and_pixel_shape_are_those_of_a_player() -> None:
    upright = decode_clips(path_of("good"), [(0.0, 1.0)], 1)[0][0]
    turned = decode_clips(path_of("rotated"), [(0.0, 1.0)], 1)[0][0]
    assert turned.shape[:2] == upright.shape[1::-1]
    np.testing.assert_allclose(np.rot90(upright).mean(axis=(0, 1)), turned.mean(axis=(0, 1)), atol=1)
    assert np.abs(np.rot90(upright).astype(int) - turned).mean() < 2
    wide = decode_clips(path_of("wide_pixels"), [(0.0, 1.0)], 1, size=90)[0]
    assert wide.shape == (1, 90, 160, 3)


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
@pytest.mark.parametrize("as_file", [True, False])
def test_a_turned_or_mirrored_video_is_shown_as_its_matrix_says(
    matrix: tuple[int, int, int, int], as_file: bool, tmp_path: Path
) -> None:
    plain = colour_video(tmp_path / "plain.mp4", RED, GREEN, BLUE)
    (stored,) = decode_clips(plain, [(0.0, 1.0)], 1)[0]
    path = tmp_path / "turned.mp4"
    path.write_bytes(with_matrix(plain.read_bytes(), *matrix))
    (clip,) = decode_clips(path if as_file else path.read_bytes(), [(0.0, 1.0)], 1)
    np.testing.assert_array_equal(clip[0], shown(stored, *matrix))


def test_a_matrix_of_zeros_turns_nothing(tmp_path: Path) -> None:
    plain = colour_video(tmp_path / "plain.mp4", RED, GREEN, BLUE).read_bytes()
    (clip,) = decode_clips(with_matrix(plain, 0, 0, 0, 0), [(0.0, 1.0)], 1)
    np.testing.assert_array_equal(clip[0], decode_clips(plain, [(0.0, 1.0)], 1)[0][0])


def test_a_video_whose_size_changes_gives_frames_of_one_size() -> None:
    (clip,) = decode_clips(path_of("size_changes"), [(0.0, math.inf)], 6, size=64)
    assert clip.shape[1] == 64


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("zero_bytes", "undecodable"),
        ("text", "undecodable"),
        ("noise", "undecodable"),
        ("hls_playlist", "undecodable"),
        ("concat_playlist", "undecodable"),
        ("audio_only", "no_video"),
        ("truncated_without_index", "undecodable"),
        ("huge_picture", "undecodable"),
    ],
)
def test_data_that_is_not_a_video_is_refused_with_a_reason(name: str, reason: str) -> None:
    path = path_of(name)
    for data in (path, path.read_bytes()):
        with pytest.raises(ClipFailed) as failed:
            decode_clips(data, [(0.0, SECONDS)], 4)
        assert failed.value.reason == reason


def test_a_file_that_does_not_exist_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ClipFailed) as failed:
        decode_clips(tmp_path / "none.mp4", [(0.0, 1.0)], 1)
    assert failed.value.reason == "missing"


def test_damage_in_the_middle_leaves_the_rest_usable() -> None:
    (clip,) = decode_clips(path_of("damaged_midway"), [(0.0, 1.0)], 4)
    assert clip.shape[0] == 4


def test_a_failure_can_be_pickled() -> None:
    failure = pickle.loads(pickle.dumps(ClipFailed("truncated", "why")))
    assert (failure.reason, str(failure)) == ("truncated", "why")


def test_pixels_of_an_absurd_shape_fail_as_a_clip_and_not_as_a_run(tmp_path: Path) -> None:
    data = encode_root(8)
    path, stretched = tmp_path / "plain.mp4", tmp_path / "stretched.mp4"
    path.write_bytes(data)
    with av.open(str(path)) as source, av.open(str(stretched), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.sample_aspect_ratio = Fraction(20_000, 1)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(stretched)) as container:
        assert container.streams.video[0].sample_aspect_ratio == 20_000
    with pytest.raises(ClipFailed, match="pixels"):
        decode_clips(stretched.read_bytes(), [(0.0, 1.0)], 2, size=256)
