"""Checks before anything heavy: no model is fetched, Ray is not started and no media is made until all have passed.

`curate plan` and `curate run` both call `check_cluster`, `check_output` and `check_run`, in this order. Each mistake is
one line with exit status 2.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from curation import stage_registry
from curation.pipeline_models import used_engines, used_models
from curation.plan import RunPlan
from curation.run_request import RunRequest
from curation.stages.writable_output import check_can_write
from runtime.errors import UserError, UserErrors
from runtime.models.model_uri import check_available
from runtime.models.parallel_questions import ask_all
from runtime.ray_runner.cluster import ClusterSettings, check_address
from runtime.retry_limits import CHECKS_SECONDS
from shards.errors import ShardError
from shards.manifest import MANIFEST
from shards.reader import read_artifact
from shards.sources.source_parts import SINGLE_TABLE, SOURCES_FOLDER, SourceParts
from shards.storage.store import Store

_SHOWN: Final = 3


def check_cluster(request: RunRequest) -> None:
    """Refuse the address of a Ray cluster where nothing answers: the first check, before inputs are read.

    Raises:
        UserError: names the option and the remedy.
    """
    if not request.is_local:
        check_address(ClusterSettings(address=request.address))


def check_output(store: Store) -> None:
    """Refuse a DIR that can't be written, or that holds files of something else.

    Raises:
        UserError: names the folder and the remedy.
    """
    check_can_write(store)
    if store.is_local:
        _check_writable(Path(store.root), "--output")
    if store.exists(MANIFEST):
        return
    own = {SOURCES_FOLDER, SINGLE_TABLE} if _began(store) else set()  # a run was killed before it wrote the manifest
    others = sorted({*store.list(), *store.folders()} - own)
    if others:
        names = ", ".join(others[:_SHOWN]) + (", …" if len(others) > _SHOWN else "")
        raise UserError(
            f"--output {store.root}: holds files that `curate run` did not write ({names}); choose an empty folder"
        )


def _began(store: Store) -> bool:
    """Return True if a DIR holds a table of sources that `curate run` wrote."""
    try:
        return all(read_artifact(store, name).stage == "sources" for name in SourceParts(store).names)
    except (FileNotFoundError, ShardError):
        return False


def check_run(plan: RunPlan) -> None:
    """Refuse a run that would fail as soon as its workers start.

    Raises:
        UserError: an unreachable server, a key variable that is not set, a model that is not there, an engine that
            takes more of a GPU than its pool reserves, or a scratch folder that can't be written.
    """
    request = plan.request
    _check_inputs_of_stages(plan)
    _check_writable(request.scratch, "--scratch")
    names = [name for name, shards in plan.todo.items() if shards]
    if not names:
        return
    _check_models(request, names)


def _check_inputs_of_stages(plan: RunPlan) -> None:
    """Refuse stages none of which has anything to read: they would end at once, having made nothing.

    Raises:
        UserError: names the stages that have to run first.
    """
    if not plan.stages or any(stage.work.done or stage.work.todo for stage in plan.stages):
        return
    missing = {name for stage in plan.stages for name in stage.stage.inputs(plan.request.settings)} - set(
        plan.request.stages
    )
    if missing:
        names = ",".join(stage.name for stage in stage_registry.STAGES if stage.name in missing)
        raise UserError(
            f"--stages {','.join(plan.request.stages)}: {plan.request.store.root} holds nothing for them to read yet; "
            f"run --stages {names} first, or leave --stages out"
        )


def _check_models(request: RunRequest, names: list[str]) -> None:
    """Check all models and servers that the named stages use, at once.

    Raises:
        UserErrors: several checks failed.
        UserError: one check failed.
    """
    checks: dict[str, Callable[[], object]] = {
        uri: partial(check_available, uri) for uri in used_models(request.settings, names).values()
    }
    for name in used_engines(request.settings, names):
        engine = request.settings.engines[name]
        engine.check_gpus(name, request.settings.pool(name).gpus)
        checks[name] = partial(engine.check_ready, f"engines.{name}")
    answers = ask_all(checks, CHECKS_SECONDS.seconds)
    failed = [answer for answer in answers.values() if isinstance(answer, Exception)]
    mistakes = [error for error in failed if isinstance(error, UserError)]
    for error in failed:
        if not isinstance(error, UserError | TimeoutError):
            raise error
    if mistakes:
        raise mistakes[0] if len(mistakes) == 1 else UserErrors(mistakes)


def _check_writable(folder: Path, option: str) -> None:
    """Refuse a folder that is a file, or whose nearest existing parent can't be written; nothing is created."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"{option} {folder}: {existing} is a file; name a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{option} {folder}: {existing} can't be written to; choose another folder")
