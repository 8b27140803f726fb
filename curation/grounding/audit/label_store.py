"""The sample and the labels of a text layer's audit, in ``audit/<layer>/`` of its DIR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa

from curation.grounding.audit.audit_records import LABELS, SAMPLE, AuditClip, Label, label_table
from shards.artifact import Artifact
from shards.manifest import read_stage
from shards.reader import read_artifact, read_table
from shards.storage.store import Store
from shards.writer import commit_tables

SAMPLE_TABLE: Final = "sample.parquet"
WHERE: Final = "where"
"""Key of the note in the footer of a sample: the condition on the clips that it was drawn from."""
LABEL_TABLE: Final = "labels.parquet"
_STAGE: Final = "audit"


def audit_file(layer: str, file: str) -> str:
    """Return the name, in the DIR, of a file of a layer's audit."""
    return f"audit/{layer}/{file}"


def stored_sample(store: Store, layer: str) -> list[AuditClip] | None:
    """Return the clips of the sample, in the order in which they are labelled; None if none was drawn yet.

    Raises:
        ShardError: the table is damaged.
    """
    try:
        rows = read_table(store, audit_file(layer, SAMPLE_TABLE), SAMPLE.names).to_pylist()
    except FileNotFoundError:
        return None
    return [AuditClip.from_row(row) for row in rows]


def is_outdated(store: Store, layer: str) -> bool:
    """Return True if the layer was made anew since the sample was drawn.

    Raises:
        ShardError: a table is damaged.
    """
    made_from = read_artifact(store, audit_file(layer, SAMPLE_TABLE)).inputs
    try:
        return any(read_artifact(store, name).digest != digest for name, digest in made_from.items())
    except FileNotFoundError:
        return True


def place_in_sample(store: Store, layer: str, key: str) -> int | None:
    """Return the place of a clip in the sample, from 0; None if the sample lacks it, or none was drawn yet.

    Raises:
        ShardError: the table is damaged.
    """
    try:
        keys = read_table(store, audit_file(layer, SAMPLE_TABLE), ["key"])["key"].to_pylist()
    except FileNotFoundError:
        return None
    return keys.index(key) if key in keys else None


def stored_labels(store: Store, layer: str) -> list[Label]:
    """Return all labels of a layer; none if nobody has labelled yet.

    Raises:
        ShardError: the table is damaged.
    """
    try:
        rows = read_table(store, audit_file(layer, LABEL_TABLE), LABELS.names).to_pylist()
    except FileNotFoundError:
        return []
    return [Label(**row) for row in rows]


def store_labels(store: Store, layer: str, labels: Sequence[Label]) -> None:
    """Replace the labels of a layer.

    Raises:
        OSError: disk full, no permission, network; the labels of before are kept.
    """
    commit_audit_table(store, layer, LABEL_TABLE, label_table(labels), LABELS, {}, {"labels": len(labels)})


def judges_of(store: Store, layer: str) -> Sequence[str]:
    """Return the judges of a layer in their order, from its settings; none if they are not recorded."""
    mark = read_stage(store, f"text/{layer}")
    ground: Any = {} if mark is None else mark.settings.get("ground")
    judges = ground.get("judges") if isinstance(ground, Mapping) else None
    return [str(name) for name in judges] if isinstance(judges, list) else []


def commit_audit_table(
    store: Store,
    layer: str,
    file: str,
    table: pa.Table,
    schema: pa.Schema,
    inputs: Mapping[str, str],
    counts: Mapping[str, float],
    notes: Mapping[str, str] | None = None,
) -> None:
    """Commit a table of a layer's audit."""
    with TemporaryDirectory() as scratch:
        record = Artifact(_STAGE, "", inputs=inputs, counts=counts)
        name = audit_file(layer, file)
        commit_tables(store, Path(scratch), name, [table], lambda: record, schema, notes)
