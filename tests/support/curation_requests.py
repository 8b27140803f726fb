"""Requests of `curate run` for tests that plan and do not run."""

from __future__ import annotations

from pathlib import Path

from curation import stage_registry
from curation.pipeline import load_pipeline
from curation.run_request import RunRequest
from shards.storage.store import Store


def request_of(pipeline: str, folder: Path) -> RunRequest:
    """Return a run of a pipeline of the package with all its stages, into a new DIR."""
    return RunRequest(
        pipeline=pipeline,
        settings=load_pipeline(pipeline, None, []),
        inputs=(),
        store=Store(folder),
        scratch=folder / ".scratch",
        layer=pipeline,
        selection=pipeline,
        stages=tuple(stage.name for stage in stage_registry.STAGES),
        in_turn=False,
        replace=False,
        limit=None,
        exclude=frozenset(),
        retry=None,
        address=None,
    )
