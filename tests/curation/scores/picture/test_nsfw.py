"""NSFW: the network is fed as its makers feed it; only harmless pictures are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from support.scored_videos import Picture, clip_row, named, scores_of, texture, video_of

from curation.scores.picture.nsfw import OPEN_NSFW
from curation.scores.root_frames import root_frames
from curation.scores.root_scores import NamedScorer
from curation.scores.scorer import Sampling
from runtime.errors import UserError
from runtime.models.model_uri import resolve


@pytest.fixture(scope="module")
def scorer() -> NamedScorer:
    """The score with the real network, at one frame a second."""
    return named("nsfw", frames_per_second=1, batch=2)


def coloured(seed: int) -> Picture:
    """Return a picture of skin colours, to which the network reacts somewhat."""
    blobs = texture(seed=seed, blob=40)[..., None] / 255
    return (np.array([150, 100, 80]) + blobs * np.array([90, 80, 60])).astype(np.uint8)


def reference(picture: Picture) -> float:
    """Return the probability as the package of the network computes it (Pillow, no re-encoding)."""
    image = Image.fromarray(picture).resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
    pixels = np.asarray(image, np.float32)[:, :, ::-1] - np.array([104, 117, 123], np.float32)
    session = onnxruntime.InferenceSession(str(resolve(OPEN_NSFW).path))
    (answer,) = session.run(None, {session.get_inputs()[0].name: pixels[None]})
    return float(answer[0, 1])


def test_probabilities_are_those_of_the_packages_own_way(scorer: NamedScorer) -> None:
    data = video_of([coloured(seed) for seed in range(3) for _ in range(8)])
    decoded = [frame.rgb for part in root_frames(data, {"a": Sampling(1)}) for frame in part.frames]
    expected = [reference(picture) for picture in decoded]
    (row,) = scores_of(scorer, data, [clip_row(0, 3)])
    assert row["nsfw"] == pytest.approx(max(expected), abs=0.03)
    assert row["nsfw_mean"] == pytest.approx(float(np.mean(expected)), abs=0.03)


def test_a_textured_wall_is_harmless(scorer: NamedScorer) -> None:
    assert scores_of(scorer, [texture()] * 9)[0]["nsfw"] < 0.5


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"score\.nsfw\.model=.*not a network in ONNX"):
        named("nsfw", model=f"path://{tmp_path}/x.onnx")


def test_a_device_that_is_not_there_is_refused() -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(UserError, match=r"score\.nsfw\.device='cuda'.*set it to cpu"):
        named("nsfw", device="cuda")
