"""What a user asked for, validated: the arguments of `curate run` and `curate plan` as one record."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from curation.pipeline import STAGES, PipelineSettings, StageName, load_pipeline
from runtime.errors import UserError, nearest
from runtime.settings import content_hash
from shards.schema import FAILED_CLASSES
from shards.storage.store import Store

_LAYER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Job:
    """One run or plan."""

    pipeline: str
    settings: PipelineSettings
    inputs: tuple[str, ...]
    store: Store
    scratch: Path
    layer: str
    stages: tuple[StageName, ...]
    in_turn: bool
    """The user named several stages: they run one after another."""
    replace: bool
    limit: int | None
    exclude: frozenset[str]
    retry: frozenset[str] | None
    """Classes of failed sources to try again; none: no retry."""
    address: str | None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Job:
        """Validate the arguments; `UserError` names the first that is wrong."""
        store = Store(arguments.output)
        stages = _stages(arguments.stages)
        layer = arguments.layer or arguments.pipeline
        if not _LAYER.fullmatch(layer):
            raise UserError(f"--layer {layer!r}: use letters, digits, - and _ (at most 64)")
        return cls(
            pipeline=arguments.pipeline,
            settings=load_pipeline(arguments.pipeline, arguments.config, arguments.assignments),
            inputs=tuple(arguments.input),
            store=store,
            scratch=_scratch(store, arguments.scratch),
            layer=layer,
            stages=stages,
            in_turn=arguments.stages is not None and len(stages) > 1,
            replace=arguments.replace,
            limit=arguments.limit,
            exclude=_excluded(arguments.exclude),
            retry=_retry(arguments.retry_failed),
            address=arguments.address,
        )


def _stages(names: tuple[str, ...] | None) -> tuple[StageName, ...]:
    for name in names or ():
        if name not in get_args(StageName):
            raise UserError(f"--stages {name}: no such stage{nearest(name, STAGES)}")
    return tuple(stage for stage in STAGES if names is None or stage in names)


def _scratch(store: Store, wanted: Path | None) -> Path:
    """Work in progress lies beside the DIR (commits are renames then), or on a local disk for an object store."""
    if wanted is not None:
        return wanted.absolute() / f"clipgrove-{content_hash(store.root)}"
    if store.is_local:
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
    for name in classes:
        if name not in FAILED_CLASSES:
            raise UserError(f"--retry-failed {name}: no such class{nearest(name, FAILED_CLASSES)}")
    return frozenset(classes or FAILED_CLASSES)
