"""Objects: a real detector with random weights, built on the spot, and what becomes of its findings."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curation.captions.objects.object_observer import ObjectObserver, ObjectSettings
from curation.captions.observation import Observation
from curation.captions.observer import ShardPictures
from curation.engines.engine_interface import DetectedObject, Detection, ImageRef
from curation.engines.engine_registry import engine_for
from curation.engines.models.object_detector import DetectorSettings, ObjectDetector
from curation.pipeline import settings_class
from runtime.errors import UserError
from runtime.ray_runner.stage import LocalService
from runtime.settings import build
from shards.storage.store import Store

LABELS = {0: "dog", 1: "red ball"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLOS of two layers with random weights."""
    import torch
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("yolos")
    config = YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=[64, 64],
        patch_size=16, num_detection_tokens=6, id2label=LABELS, label2id={name: n for n, name in LABELS.items()},
        use_mid_position_embeddings=False,
    )  # fmt: skip
    YolosForObjectDetection(config).save_pretrained(path)
    YolosImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}).save_pretrained(path)
    return path


def still(folder: Path, name: str, data: bytes | None = None) -> ImageRef:
    if data is None:
        buffer = io.BytesIO()
        Image.effect_noise((80, 60), 90).convert("RGB").save(buffer, "JPEG")
        data = buffer.getvalue()
    (folder / name).write_bytes(data)
    return ImageRef(str(folder / name), 0, len(data))


def test_a_detector_names_scores_and_sizes_what_it_finds_under_the_keys_of_its_pictures(
    folder: Path, tmp_path: Path
) -> None:
    engine = engine_for(DetectorSettings(model=f"path://{folder}", least_score=0.0, batch=2))
    assert isinstance(engine, ObjectDetector)
    images = {f"k{n}": still(tmp_path, f"{n}.jpg") for n in range(3)} | {"broken": still(tmp_path, "b.jpg", b"x" * 9)}
    found = engine.detect(images)
    assert list(found) == list(images)
    assert found["broken"].error and not found["broken"].objects
    for key in ("k0", "k1", "k2"):
        assert found[key].error is None and len(found[key].objects) == 6
        for each in found[key].objects:
            assert each.name in LABELS.values() and 0 <= each.score <= 1 and 0 <= each.share <= 1
    engine.close()


def test_a_folder_without_a_detector_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model='path://.*': transformers finds no objects with it"):
        engine_for(DetectorSettings(model=f"path://{tmp_path}"))


class Finding:
    """A detector with the test's findings."""

    def __init__(self, **found: Detection) -> None:
        self._found = found

    def detect(self, images: dict[str, ImageRef]) -> dict[str, Detection]:
        return {key: self._found[key.partition(".")[0]] for key in reversed(images) if key[0] in self._found}


def observe(engine: Finding, **settings: Any) -> tuple[list[Observation], Counter[str]]:
    counts: Counter[str] = Counter()
    names = {f"{root}.{ms}.jpg": ImageRef("x", 0, 1) for root, ms in (("a", 2500), ("b", 0), ("c", 7000))}
    observer = ObjectObserver(LocalService(engine), ObjectSettings(engine="d", **settings))
    return asyncio.run(observer.observe(ShardPictures(Store("/nowhere"), names, (), "m"), counts)), counts


def test_objects_are_counted_by_name_the_largest_first_and_doubtful_ones_left_out() -> None:
    objects = (
        DetectedObject("dog", 0.9, 0.1), DetectedObject("ball", 0.8, 0.4), DetectedObject("dog", 0.7, 0.1),
        DetectedObject("cat", 0.59, 0.9),
    )  # fmt: skip
    engine = Finding(a=Detection(objects), b=Detection(), c=Detection(error="not a readable JPEG"))
    (seen,), counts = observe(engine)
    assert (seen.root_key, seen.kind, seen.start, seen.end) == ("a", "object", 2.5, 2.5)
    assert seen.text == "1 × ball, 2 × dog"
    assert (seen.confidence, seen.share) == (0.7, pytest.approx(0.6))
    assert counts == {"failed:objects": 1, "objects": 3}
    assert observe(engine, max_names=1)[0][0].text == "1 × ball"


def test_a_picture_without_an_answer_is_counted_as_failed() -> None:
    assert observe(Finding(a=Detection(), b=Detection()))[1]["failed:objects"] == 1


@pytest.mark.parametrize(
    ("setting", "engine", "words"),
    [
        ("caption.objects.engine", "vlm", "an engine of kind 'vllm' that answers prompts; name one that finds objects"),
        ("caption.engine", "finder", "an engine of kind 'detector' that finds objects; name one that answers prompts"),
        (
            "caption.events.engine",
            "finder",
            "an engine of kind 'detector' that finds objects; name one that answers prompts",
        ),
        ("rewrite.engine", "finder", "an engine of kind 'detector' that finds objects; name one that answers prompts"),
    ],
)
def test_an_engine_of_the_wrong_kind_is_refused_in_one_line(setting: str, engine: str, words: str) -> None:
    engines = {"vlm": {"kind": "vllm", "model": "path:///m"}, "finder": {"kind": "detector", "model": "path:///d"}}
    values: dict[str, Any] = {"engines": engines}
    *branches, last = setting.split(".")
    inner = values
    for branch in branches:
        inner = inner.setdefault(branch, {})
    inner[last] = engine
    with pytest.raises(UserError, match=f"{setting}='{engine}': {words}"):
        build(settings_class(), values, "mine")
