"""The arguments of `curate run` and `curate plan`, validated, as one record."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation import stage_registry
from curation.pipeline import load_pipeline
from curation.stages.dir_names import checked_name
from curation.stages.pipeline_settings import PipelineSettings
from runtime.errors import UserError, nearest
from runtime.network_mounts import is_on_network
from runtime.settings import content_hash
from shards.schema import FAILED_CLASSES, POSTPONED_CLASSES
from shards.storage.store import Store

LOCAL: Final = "local"
"""Value of ``--address`` that runs all stages in this process, without Ray."""


@dataclass(frozen=True)
class RunRequest:
    """A run or a plan, as the user asked for it."""

    pipeline: str
    settings: PipelineSettings
    inputs: tuple[str, ...]
    """Empty: only the sources that the DIR holds already."""
    store: Store
    scratch: Path
    layer: str
    selection: str
    """Name of the selection that the stage `select` writes."""
    stages: tuple[str, ...]
    """Names of the stages to run, in the order of the pipeline."""
    in_turn: bool
    """The user named several stages: they run one after another."""
    replace: bool
    limit: int | None
    exclude: frozenset[str]
    retry: frozenset[str] | None
    """Classes of failed sources, and failures of clips, to try again; None: no retry."""
    address: str | None
    wait_for_nodes: float = 0.0
    """Seconds to wait for the nodes of a cluster that is too small."""
    tries: frozenset[str] = frozenset(POSTPONED_CLASSES)
    """Classes of pending sources of committed shards that are tried again."""

    @property
    def is_local(self) -> bool:
        """True if all stages run in this process, without Ray."""
        return self.address == LOCAL

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> RunRequest:
        """Validate the arguments.

        Raises:
            UserError: names the first argument that is wrong.
        """
        settings = load_pipeline(arguments.pipeline, arguments.config, arguments.assignments)
        if arguments.output is None:
            raise UserError("--output: must be set; name the folder (or object-store URL) to write")
        store = Store(arguments.output)
        names = _stages(arguments.stages, settings)
        return cls(
            pipeline=arguments.pipeline,
            settings=settings,
            inputs=tuple(arguments.input),
            store=store,
            scratch=scratch_folder(store, arguments.scratch),
            layer=checked_name("--layer", arguments.layer or arguments.pipeline),
            selection=checked_name("--select", arguments.selection or arguments.layer or arguments.pipeline),
            stages=names,
            in_turn=arguments.stages is not None and len(names) > 1,
            replace=arguments.replace,
            limit=arguments.limit,
            exclude=_excluded(arguments.exclude),
            retry=_retry(arguments.retry_failed),
            address=arguments.address,
            wait_for_nodes=arguments.wait_for_nodes,
        )


def _stages(asked: tuple[str, ...] | None, settings: PipelineSettings) -> tuple[str, ...]:
    """Return the names of the stages to run, without those that the settings give nothing to do.

    Raises:
        UserError: no such stage, or one that was asked for has nothing to do.
    """
    known = [stage.name for stage in stage_registry.STAGES]
    for name in asked or ():
        if name not in known:
            raise UserError(f"--stages {name}: no such stage{nearest(name, known)}")
    unused = {stage.name: line for stage in stage_registry.STAGES if (line := stage.unused(settings)) is not None}
    for name in asked or ():
        if name in unused:
            raise UserError(f"--stages {name}: {unused[name]}")
    return tuple(name for name in known if name not in unused and (asked is None or name in asked))


def scratch_folder(store: Store, wanted: Path | None) -> Path:
    """Return the folder for work in progress: inside the DIR (commits are renames then), or on a local disk.

    A DIR on a network file system is as far away as an object store: every node works in its own temporary folder, and
    what is committed is copied once.

    Raises:
        UserError: the wanted folder is a URL.
    """
    if wanted is not None and re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(wanted)):
        raise UserError(f"--scratch {wanted}: must be a folder on a local disk, not a URL")
    if wanted is not None:
        return wanted.absolute() / f"clipgrove-{content_hash(store.root)}"
    if store.is_local and not is_on_network(Path(store.root)):
        return Path(store.root) / ".scratch"
    return Path(tempfile.gettempdir()) / f"clipgrove-{content_hash(store.root)}"


def _excluded(text: str | None) -> frozenset[str]:
    if text is None:
        return frozenset()
    lines = _lines(Path(text)) if os.path.isfile(text) else text.split(",")  # noqa: PTH113  a list may be too long for a path
    if lines == [text] and text.endswith((".txt", ".csv")) and "://" not in text:
        raise UserError(f"--exclude {text}: no such file")
    return frozenset(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--exclude {path}: can't be read as text ({error})") from None


def _retry(classes: tuple[str, ...] | None) -> frozenset[str] | None:
    if classes is None:
        return None
    known = [*FAILED_CLASSES, *(name for stage in stage_registry.STAGES for name in stage.retried)]
    for name in classes:
        if name not in known:
            raise UserError(f"--retry-failed {name}: no such class{nearest(name, known)}")
    return frozenset(classes or FAILED_CLASSES)
