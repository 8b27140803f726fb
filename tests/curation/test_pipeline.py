"""Pipelines and their registered stages: content hashes that never change by accident, and settings of every stage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from support.curation_requests import request_of

from curation import stage_registry
from curation.output_folders import stage_outputs
from curation.pipeline import load_pipeline
from curation.pipeline_models import used_models
from curation.stages.stage_definition import StageContext
from runtime.errors import UserError
from runtime.models.model_revisions import look_up

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HASHES = {
    "demo": ("30632b7e7d3595ee", "30469e3344e44359", "5d0a651ba31e4186", "0968e26bd0578a64", "7cc845201c40f67d"),
    "vidla": ("232888752357d354", "91dfb16173af4933", "6cf39306190651da", "a22dbe994154ea03", "b3a538a51040e1c3"),
    "grounded": ("ffba45b0521c9325", "31e450a9634e8466", "c43e8984a8af79d1", "a300bcd07f0961f9", "d76ad68969d72bdf"),
    "grounded-24gb": (
        "08761c627c8eaa9e",
        "70b16836da1f7806",
        "2fc4e99715355b3b",
        "a300bcd07f0961f9",
        "3459360f86f3093d",
    ),
}
"""The content hashes of media, captions, texts and the selection, and a hash of the settings in ``manifest.json``.

Every model of a hub is taken to be at `COMMIT`. A change here makes every DIR stale.
"""


@pytest.mark.parametrize("pipeline", HASHES)
def test_content_hashes_and_manifests_change_only_on_purpose(pipeline: str, tmp_path: Path) -> None:
    request = request_of(pipeline, tmp_path)
    names = [stage.name for stage in stage_registry.STAGES]
    today = look_up(used_models(request.settings, names).values(), lambda uri: COMMIT)
    outputs = stage_outputs(request, today)
    context = StageContext(request.store.root, str(request.scratch), request.settings, outputs)
    contents = {stage.name: stage.content(context.pinned(stage.name).settings) for stage in stage_registry.STAGES}
    contents["resources"] = request.settings.model_dump(mode="json")["resources"]
    manifest = hashlib.sha256(json.dumps(contents, indent=2, ensure_ascii=False).encode()).hexdigest()[:16]
    assert (*(outputs[name].hash for name in ("media", "caption", "rewrite", "select")), manifest) == HASHES[pipeline]
    assert [output.path for output in outputs.values()] == [
        "media",
        f"captions/{pipeline}",
        f"text/{pipeline}",
        f"scores/{pipeline}",
        f"selections/{pipeline}.parquet",
    ]


def test_every_stage_has_its_own_branch_of_settings() -> None:
    settings = load_pipeline("demo", None, ["caption.max_chars=7"])
    branches = [stage.settings for stage in stage_registry.STAGES if stage.settings is not None]
    assert [type(settings.branch(branch)) for branch in branches] == branches
    assert settings.model_dump()["caption"]["max_chars"] == 7


def test_a_pool_that_no_stage_has_is_refused() -> None:
    with pytest.raises(UserError, match=r"resources\.medai: no such pool \(did you mean 'media'\?\)"):
        load_pipeline("demo", None, ["resources.medai.cpus=1"])
