"""Columns of exported tables in types that any reader of Parquet or Lance takes, with the video and the still.

The video and the still are structs of ``bytes`` and ``path``, as Hugging Face's `datasets` stores its features
``Video`` and ``Image``; the schema's metadata names these features.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa

from shards.export.export_source import ExportSample

VIDEO: Final = "video"
IMAGE: Final = "image"
_FILE: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def plain_fields(schema: pa.Schema) -> list[pa.Field]:
    """Return the fields of a schema, nullable, with text in the place of dictionaries."""
    return [
        pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in schema
    ]


def featured_schema(schema: pa.Schema, *, video: bool) -> pa.Schema:
    """Return the columns of a sample, the still and (if `video`) the video first, marked as features of `datasets`."""
    names = ([VIDEO] if video else []) + [IMAGE]
    features = {name: {"_type": name.capitalize()} for name in names}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([*(pa.field(name, _FILE) for name in names), *plain_fields(schema)], metadata)


def featured_row(sample: ExportSample, *, video: bool) -> dict[str, Any]:
    """Return a sample as a row of `featured_schema`; the paths have no folder and tell what the bytes are."""
    key = sample.row["key"]
    still = None if sample.jpg is None else {"bytes": sample.jpg, "path": f"{key}.jpg"}
    files = {IMAGE: still}
    if video:
        files[VIDEO] = {"bytes": sample.mp4, "path": f"{key}.mp4"}
    return {**files, **sample.row}
