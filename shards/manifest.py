"""The records of a DIR and its folders: ``manifest.json``, and one ``_stage.json`` a folder.

A folder holds artifacts of one content hash only. The hash is in its ``_stage.json``, so that a run over a finished DIR
compares two strings instead of opening every table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar, get_origin, get_type_hints

from shards.errors import ShardError, one_line
from shards.schema import READ_VERSIONS, SCHEMA_VERSION
from shards.storage.store import Store

MANIFEST = "manifest.json"
STAGE = "_stage.json"


@dataclass(frozen=True)
class Manifest:
    """The facts that all shards of a DIR share; written by the first run, then kept."""

    pipeline: str
    """Name of the pipeline that made the media."""
    settings: Mapping[str, Any]
    """All its settings, defaults filled in, secrets left out."""
    videos_per_shard: int
    """Most sources in a shard: of the first run, or of a later one whose shards were larger."""
    media_hash: str
    """Content hash of the media settings: a DIR has one media."""
    schema_version: int = SCHEMA_VERSION
    """The highest schema version of its tables; those of other folders may be of an earlier one."""
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each folder, the revision of each model that its artifacts were made with, by the URI in the settings."""
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All versions of each program that took part in making the DIR, the oldest first."""


@dataclass(frozen=True)
class StageMark:
    """The settings that the artifacts of one folder were made with."""

    stage: str
    content_hash: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings behind the hash, for people."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The revision of each model, by the URI in the settings; runs that add to the folder use the same revisions."""
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All versions of each program that made artifacts of the folder, the oldest first."""


def read_manifest(store: Store) -> Manifest | None:
    """Return the manifest of a DIR; None if the DIR is new.

    Raises:
        ShardError: it is damaged, or its schema version is not one that this program reads.
    """
    manifest = _read(store, MANIFEST, Manifest)
    if manifest is not None and manifest.schema_version not in READ_VERSIONS:
        remedy = "install a newer version" if manifest.schema_version > SCHEMA_VERSION else "curate it again"
        raise ShardError(
            f"{store.path(MANIFEST)}: schema version {manifest.schema_version}, "
            f"this program reads versions {' and '.join(map(str, READ_VERSIONS))}; {remedy}"
        )
    return manifest


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Write `manifest` into its DIR."""
    _write(store, MANIFEST, asdict(manifest))


def read_stage(store: Store, folder: str) -> StageMark | None:
    """Return the record of `folder` (``media``, ``captions/<name>``, ``text/<layer>``); None if it is new.

    Raises:
        ShardError: its record is damaged.
    """
    return _read(store, f"{folder}/{STAGE}", StageMark)


def write_stage(store: Store, folder: str, mark: StageMark) -> None:
    """Write the record of `folder`; done before its first artifact is committed."""
    _write(store, f"{folder}/{STAGE}", asdict(mark))


T = TypeVar("T")


def _read(store: Store, name: str, record: type[T]) -> T | None:
    try:
        data = store.read_bytes(name)
    except FileNotFoundError:
        return None
    try:
        values = json.loads(data)
        _check_types(record, values)
        return record(**values)
    except (ValueError, TypeError, RecursionError) as error:
        reason = one_line(error, limit=200)
        raise ShardError(f"{store.path(name)}: damaged ({reason}); put back the file as it was") from None


def _check_types(record: type[Any], values: Any) -> None:
    """Refuse values of other types than the record's fields.

    Raises:
        TypeError: names the field.
    """
    if not isinstance(values, dict):
        raise TypeError("it is not a JSON object")
    for name, annotation in get_type_hints(record).items():
        expected = get_origin(annotation) or annotation
        if name in values and type(values[name]) is not (dict if expected is Mapping else expected):
            raise TypeError(f"{name} is of type {type(values[name]).__name__}")


def _write(store: Store, name: str, values: Mapping[str, Any]) -> None:
    store.commit_bytes((json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode(), name)
