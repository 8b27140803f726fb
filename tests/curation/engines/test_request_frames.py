"""Frames of a stored video in a request: which frames, in which colours, and in which form they reach a model."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from support.fake_llm import Body, FakeLLM, Reply
from support.shard_factory import FPS, encode_root, luma_of

from curation.engines.chat_messages import ImageUrlPart, TextPart, video_options
from curation.engines.endpoint.openai_endpoint import EndpointEngine, EndpointSettings
from curation.engines.engine_interface import FramesRef, ImageRef, Request
from curation.engines.request_frames import frame_parts, jpeg_url, load_frames
from curation.engines.request_images import UnreadableImage
from runtime.errors import MachineError

FRAMES = 96


@pytest.fixture
def stored(tmp_path: Path) -> ImageRef:
    """A root in the middle of a file."""
    data = encode_root(FRAMES)
    path = tmp_path / "0000000.tar"
    path.write_bytes(b"x" * 512 + data + b"y" * 512)
    return ImageRef(str(path), 512, len(data))


def frames_of(stored: ImageRef, *times: float, as_video: bool = False) -> FramesRef:
    return FramesRef(stored, times, tuple(f"{time:.1f} s:" for time in times), as_video)


def assert_shown(stored: ImageRef, times: Sequence[float], numbers: Sequence[int]) -> None:
    """The pictures at these times are the frames of these numbers, told by their brightness."""
    luma = [float(np.asarray(image).mean()) for image in load_frames(frames_of(stored, *times))]
    assert luma == pytest.approx([luma_of(number) for number in numbers], abs=3)


def test_the_frame_that_is_on_the_screen_at_a_time_is_shown(stored: ImageRef) -> None:
    times = (0.0, 0.1, 0.125, 0.24, 0.3, 5.0, 5.06, 11.875, 30.0)
    assert_shown(stored, times, [0, 0, 1, 1, 2, 40, 40, 95, 95])


def test_frames_far_apart_are_those_of_a_whole_decode(stored: ImageRef) -> None:
    times = [second + 0.51 for second in range(12)]
    assert_shown(stored, times, [int(time * FPS) for time in times])


def test_colours_are_those_of_the_matrix_that_the_file_states(tmp_path: Path) -> None:
    path = tmp_path / "red.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.options = {"x264-params": "colormatrix=bt709:colorprim=bt709:transfer=bt709"}
        red = av.VideoFrame.from_ndarray(np.full((64, 64, 3), (200, 30, 60), np.uint8), "rgb24")
        for _ in range(4):
            container.mux(stream.encode(red.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode(None))
    (image,) = load_frames(frames_of(ImageRef(str(path), 0, path.stat().st_size), 0.1))
    assert np.abs(np.asarray(image).mean(axis=(0, 1)) - (200, 30, 60)).max() < 6


@pytest.mark.parametrize("damage", ["noise", "cut", "no video"])
def test_a_file_that_is_no_readable_video_is_unreadable(stored: ImageRef, tmp_path: Path, damage: str) -> None:
    data = Path(stored.url).read_bytes()[512:-512]
    broken = {"noise": b"\x07" * 4000, "cut": data[: len(data) // 3], "no video": b""}[damage]
    path = tmp_path / "broken.mp4"
    path.write_bytes(broken)
    with pytest.raises(UnreadableImage):
        load_frames(frames_of(ImageRef(str(path), 0, len(broken)), 0.0, 11.0))


def test_a_file_that_may_not_be_read_is_a_fault_of_the_machine(
    stored: ImageRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(MachineError):
        load_frames(frames_of(stored, 0.0))


def test_pictures_have_their_times_before_them_and_a_video_is_one_part(stored: ImageRef) -> None:
    def part_of(picture: Image.Image) -> ImageUrlPart:
        return ImageUrlPart(type="image_url", image_url={"url": jpeg_url(picture)})

    parts = asyncio.run(frame_parts(frames_of(stored, 0.0, 2.0), part_of))
    assert [part["type"] for part in parts] == ["text", "image_url", "text", "image_url"]
    assert [part["text"] for part in parts if part["type"] == "text"] == ["0.0 s:", "2.0 s:"]
    (video,) = asyncio.run(frame_parts(frames_of(stored, 0.0, 2.0, as_video=True), part_of))
    assert video["type"] == "video_url"
    pictures = video["video_url"]["url"].removeprefix("data:video/jpeg;base64,").split(",")
    assert [Image.open(io.BytesIO(base64.b64decode(each))).size for each in pictures] == [(64, 48)] * 2
    assert asyncio.run(frame_parts(None, part_of)) == []


def test_the_rate_of_a_video_is_that_of_its_frames(stored: ImageRef) -> None:
    assert video_options(frames_of(stored, 1.0, 3.0, 5.0, as_video=True)) == {"video": {"num_frames": -1, "fps": 0.5}}
    assert video_options(frames_of(stored, 1.0, as_video=True)) == {"video": {"num_frames": -1, "fps": 1.0}}
    assert video_options(frames_of(stored, 1.0, 3.0)) is None


def test_a_server_gets_labelled_pictures_before_the_text(stored: ImageRef) -> None:
    bodies: list[Body] = []

    def record(body: Body) -> Reply:
        bodies.append(body)
        return Reply("ok")

    with FakeLLM(record) as server:
        engine = EndpointEngine(EndpointSettings(base_url=server.url, model="fake"))
        requests = [Request("k", "", "what?", frames=frames_of(stored, 0.0, 2.0)),
                    Request("v", "", "what?", frames=frames_of(stored, 0.0, 2.0, as_video=True)),
                    Request("broken", "", "what?", frames=frames_of(ImageRef(stored.url, 0, 512), 0.0))]  # fmt: skip
        answers = asyncio.run(engine.generate(requests))
        engine.close()
    assert answers["k"].text == answers["v"].text == "ok"
    assert (answers["broken"].error or "").startswith("image:")
    contents = sorted((body["messages"][-1]["content"] for body in bodies), key=len)
    texts = [part["text"] for part in contents[1] if part["type"] == "text"]
    assert texts == ["0.0 s:", "2.0 s:", "what?"]
    assert isinstance(contents[0][0], dict) and contents[0][0]["type"] == "video_url"
    assert sorted("media_io_kwargs" in body for body in bodies) == [False, True]
    assert TextPart(type="text", text="what?") == contents[0][-1]
