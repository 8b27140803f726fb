import io
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.shard_factory import FPS, GOP, encode_root, luma_of

from shards.export.clip_cutting import ClipFile, OpenRoot, frames_between

FRAMES = 80


def cut_clip(root: bytes, start: float, end: float, fps: float) -> ClipFile:
    with OpenRoot(root) as opened:
        return opened.cut(start, end, fps)


def _lumas(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data)) as container:
        return [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]


@given(start=st.floats(0, 9.9), length=st.floats(0.05, 10))
@settings(max_examples=40, deadline=None)
def test_a_cut_holds_exactly_the_frames_it_names(start: float, length: float) -> None:
    cut = cut_clip(encode_root(FRAMES), start, start + length, FPS)
    first, after = frames_between(start, start + length, FPS, FRAMES)
    assert cut.first_frame == first - first % GOP
    assert cut.first_frame + cut.num_frames == after
    whole = _lumas(encode_root(FRAMES))
    assert _lumas(cut.data) == whole[cut.first_frame : after]


def test_the_frames_of_the_factory_tell_their_number() -> None:
    assert np.allclose(_lumas(encode_root(FRAMES)), [luma_of(n) for n in range(FRAMES)], atol=20)
    assert np.argmin(np.abs(np.array([luma_of(n) for n in range(FRAMES)]) - _lumas(encode_root(FRAMES))[7])) == 7


def test_sound_is_cut_along() -> None:
    cut = cut_clip(encode_root(FRAMES), 2.0, 5.0, FPS)
    with av.open(io.BytesIO(cut.data)) as container:
        seconds = sum(frame.samples for frame in container.decode(audio=0)) / 16_000
    assert seconds == pytest.approx(3.0, abs=0.15)


def test_a_root_without_sound_is_cut() -> None:
    assert cut_clip(encode_root(FRAMES, audio=False), 1.0, 3.0, FPS).num_frames == 16


def test_frames_stored_out_of_order_are_cut_at_whole_groups(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"x264-params": "keyint=8:scenecut=0:bframes=3:b-adapt=0:open-gop=0"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(FRAMES):
            image = np.full((48, 64, 3), luma_of(number), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    cut = cut_clip(path.read_bytes(), 2.2, 4.1, FPS)
    whole = _lumas(path.read_bytes())
    assert (cut.first_frame, cut.num_frames) == (16, 24)
    assert _lumas(cut.data) == whole[16:40]


def test_bytes_that_are_no_video_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="can't be read"):
        cut_clip(b"what" * 100, 0, 1, FPS)


def test_clips_of_one_root_do_not_depend_on_those_cut_before() -> None:
    spans = [(2.0, 5.0), (0.0, 9.0), (2.0, 5.0), (4.5, 6.1)]
    with OpenRoot(encode_root(FRAMES)) as opened:
        together = [opened.cut(start, end, FPS) for start, end in spans]
    assert together == [cut_clip(encode_root(FRAMES), start, end, FPS) for start, end in spans]


def test_bytes_without_video_are_a_value_error(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(ValueError, match="has no video"):
        cut_clip((tmp_path / "a.mp4").read_bytes(), 0, 1, FPS)
