"""The image tagger over real footage, plain pictures and damaged files."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.waiting import PATIENCE

from curation.captions.frames.image_tagger import ImageTagger, TaggerSettings
from curation.engines.engine_interface import CaptionResult, ImageRef
from runtime.errors import UserError
from runtime.processes import ffmpeg_binary, run


@cache
def tagger(**settings: Any) -> ImageTagger:
    return ImageTagger(TaggerSettings(**settings))


def captions(images: Mapping[str, ImageRef], **settings: Any) -> dict[str, CaptionResult]:
    return asyncio.run(tagger(**settings).caption(images))


def still(video: str, target: Path) -> ImageRef:
    """One frame of a video as a JPEG between other bytes, as a tar of keyframes has it."""
    args = [ffmpeg_binary(), "-v", "error", "-ss", "1", "-i", video, "-frames:v", "1", "-q:v", "3"]
    data = run([*args, "-f", "image2pipe", "-c:v", "mjpeg", "-"], timeout=PATIENCE).stdout
    target.write_bytes(b"before" + data + b"after")
    return ImageRef(str(target), len(b"before"), len(data))


def plain(target: Path, colour: Any) -> ImageRef:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 240), colour).save(buffer, "JPEG")
    target.write_bytes(buffer.getvalue())
    return ImageRef(str(target), 0, len(buffer.getvalue()))


@pytest.mark.parametrize(
    ("video", "name"),
    [("clip-video-encode__vid1.mp4", "a brown bear"), ("clip-video-encode__vid2.mp4", "an orangutan")],
)
def test_animals_in_real_footage_are_named_with_confidence(
    shared_fixtures: Path, tmp_path: Path, video: str, name: str
) -> None:
    seen = captions({"k": still(str(shared_fixtures / "video" / video), tmp_path / "still")})["k"]
    assert seen.confidence is not None and seen.confidence > 0.8
    assert seen.caption == f"The picture shows {name}"


def test_a_picture_of_nothing_gets_no_caption(tmp_path: Path) -> None:
    seen = captions({"k": plain(tmp_path / "grey.jpg", (128, 128, 128))})["k"]
    assert seen.caption is None
    assert seen.error is None
    assert seen.confidence is not None and 0 < seen.confidence < 0.4


def test_a_lower_threshold_says_more_names_and_the_likeliest_first(tmp_path: Path) -> None:
    image = {"k": plain(tmp_path / "grey.jpg", (128, 128, 128))}
    (three, five) = (captions(image, threshold=0.0001, top=top)["k"].caption for top in (3, 5))
    assert three is not None and five is not None
    assert five.startswith("The picture shows a") and five.split(", ")[:3] == three.split(", ")
    assert len(five.split(", ")) == 5


def test_every_image_is_answered_under_its_key_across_batches(tmp_path: Path) -> None:
    images = {f"k{n}": plain(tmp_path / f"{n}.jpg", (n * 20, 255 - n * 20, 90)) for n in range(7)}
    whole = captions(images)
    parts = captions(images, batch=3)
    assert list(whole) == list(parts) == list(images)
    assert [s.confidence for s in parts.values()] == pytest.approx([s.confidence for s in whole.values()], rel=1e-3)


def test_an_image_that_can_not_be_read_spoils_no_other(tmp_path: Path) -> None:
    good = plain(tmp_path / "good.jpg", (1, 2, 3))
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xffno jpeg")
    images = {
        "gone": ImageRef(str(tmp_path / "gone.jpg"), 0, 10),
        "bad": ImageRef(str(tmp_path / "bad.jpg"), 0, 10),
        "good": good,
    }
    seen = captions(images)
    assert list(seen) == ["gone", "bad", "good"]
    assert seen["gone"].error and seen["bad"].error
    assert seen["good"].error is None and (seen["good"].confidence or 0) > 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (2000, 30)])
def test_images_of_any_shape_are_taken(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "odd.png"
    Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(path)
    assert captions({"k": ImageRef(str(path), 0, path.stat().st_size)})["k"].error is None


def test_nothing_to_caption_is_no_error() -> None:
    assert captions({}) == {}


def test_weights_of_another_network_are_the_users_mistake(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="not weights of EfficientNet-lite0"):
        ImageTagger(TaggerSettings(model=f"path://{tmp_path}/other.pth"))


def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError):
        ImageTagger(TaggerSettings(model=f"path://{tmp_path}/trap.pth"))
    assert not (tmp_path / "sprung").exists()
