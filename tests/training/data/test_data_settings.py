"""Settings of the data: contradictions are refused, and reading them needs neither torch nor a decoder."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from runtime.errors import UserError
from runtime.settings import build
from training.data.data_settings import AugmentSettings, DataSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "webdataset", "clips_per_root": 2}, "clips_per_root=2; set clips_per_root=1"),
        ({"level_mix": {"short": 0.0}}, "at least one above 0"),
        ({"layers": {}}, "layers={}: give weights"),
        ({"frame_buckets": [16, 8]}, r"frame_buckets=\[16, 8\]: give increasing"),
        ({"clips_per_roots": 3}, "did you mean 'clips_per_root'"),
    ],
)
def test_contradictory_settings_are_refused_in_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        build(DataSettings, values, "data")
    assert "\n" not in str(refused.value)


def test_settings_of_the_machine_are_not_content() -> None:
    assert not {"workers", "prefetch", "cache", "cache_gb"} & set(DataSettings().content())


def test_later_settings_with_the_meaning_from_before_them_are_no_content() -> None:
    before = {"window_batches": 0, "repeat_clips": True, "augment": {"jitter": False, "flip_directions": True}}
    content = DataSettings.model_validate(before).content()
    assert not {"window_batches", "repeat_clips", "frames_per_second", "frame_buckets"} & content.keys()
    assert content["augment"].keys() == {"scales", "flip", "center"}
    assert {"window_batches", "repeat_clips"} <= DataSettings().content().keys()


@pytest.mark.parametrize("scales", [(), (0.0,), (1.5,)])
def test_scales_outside_0_to_1_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="scales"):
        AugmentSettings(scales=scales)


@pytest.mark.parametrize("module", ["training.data.data_settings", "training.features.features_settings"])
def test_settings_are_imported_without_torch_and_without_a_decoder(module: str) -> None:
    code = f"import {module}, sys; print(*{{'torch', 'av', 'ray'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
