"""Pipelines and their registered stages: content hashes that never change by accident, and settings of every stage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from curation import stage_registry
from curation.output_folders import stage_outputs
from curation.pipeline import load_pipeline, stage_contents
from curation.run_request import RunRequest
from runtime.errors import UserError
from shards.storage.store import Store

HASHES = {
    "demo": ("a3331b65212a2a01", "9433475a4b8e09fe", "7b07769a6d76e74d", "a5f190ae68f657fe"),
    "vidla": ("1fe53659c0c8d1e4", "b9dfa84646081f20", "c9f391400bc22432", "db1843a3f8e6fcb0"),
    "grounded": ("a7e61574303e5506", "03c3a3c3b89eb723", "5d7d113fdde130d5", "ca392a64b51616db"),
}
"""The content hashes of media, captions and texts, and a hash of the settings in ``manifest.json``.

The revision of every model is taken to be ``revision of <its URI>``. A change here makes every DIR stale.
"""


def request_of(pipeline: str, folder: Path) -> RunRequest:
    """Return a run of a pipeline of the package with all its stages, into a new DIR."""
    return RunRequest(
        pipeline=pipeline,
        settings=load_pipeline(pipeline, None, []),
        inputs=(),
        store=Store(folder),
        scratch=folder / ".scratch",
        layer=pipeline,
        stages=tuple(stage.name for stage in stage_registry.STAGES),
        in_turn=False,
        replace=False,
        limit=None,
        exclude=frozenset(),
        retry=None,
        address=None,
    )


@pytest.mark.parametrize("pipeline", HASHES)
def test_content_hashes_and_manifests_change_only_on_purpose(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = ("curation.media.media_definition", "curation.captions.caption_stage", "curation.engines.engine_settings")
    for module in users:
        monkeypatch.setattr(f"{module}.revision_of", lambda uri: f"revision of {uri}")
    request = request_of(pipeline, tmp_path)
    outputs = stage_outputs(request)
    contents = stage_contents(request.settings)
    contents["resources"] = request.settings.model_dump(mode="json")["resources"]
    manifest = hashlib.sha256(json.dumps(contents, indent=2, ensure_ascii=False).encode()).hexdigest()[:16]
    assert (*(outputs[name].hash for name in ("media", "caption", "rewrite")), manifest) == HASHES[pipeline]
    assert [output.path for output in outputs.values()] == ["media", f"captions/{pipeline}", f"text/{pipeline}"]


def test_every_stage_has_its_own_branch_of_settings() -> None:
    settings = load_pipeline("demo", None, ["caption.max_chars=7"])
    assert [type(settings.branch(stage.settings)) for stage in stage_registry.STAGES] == [
        s.settings for s in stage_registry.STAGES
    ]
    assert settings.model_dump()["caption"]["max_chars"] == 7


def test_a_pool_that_no_stage_has_is_refused() -> None:
    with pytest.raises(UserError, match=r"resources\.medai: no such pool \(did you mean 'media'\?\)"):
        load_pipeline("demo", None, ["resources.medai.cpus=1"])
