"""Croissant metadata (MLCommons, version 1.0) of the tables of a DIR: files, record sets and fields from the schemas.

Tables of one file a shard are a `FileSet` beside the metadata; a table over all shards is a `FileObject` with its
SHA-256. Lists and structures become repeated fields and fields below fields. The tars of videos and stills are named
without fields; vectors are not named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from curation.reporting.spoken_numbers import counted, length
from curation.view.card.card_facts import CardFacts
from curation.view.card.output.hub_head import hub_licence
from curation.view.card.output.published_tables import PublishedTable
from runtime.terminal import on_one_line
from shards.card_files import MARK
from shards.storage.store import Store

_VERSION: Final = "http://mlcommons.org/croissant/1.0"
_PARQUET: Final = "application/x-parquet"
_LONGEST_NAME: Final = 200
_TARS: Final = {
    "media": "Videos: <root_key>.mp4 and <root_key>.json of each root clip; the table of clips has times and offsets.",
    "keyframes": "Stills: <root_key>.<milliseconds>.jpg.",
}
_LICENCES: Final = "https://choosealicense.com/licenses"
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of the format's specification, word for word; readers warn about any other."""


def croissant_json(store: Store, facts: CardFacts, tables: Sequence[PublishedTable], title: str | None = None) -> str:
    """Return the metadata of some tables as JSON.

    Args:
        store: the DIR that holds the tables.
        facts: of the card.
        tables: at least one.
        title: name for people; None: that of the DIR.
    """
    total = facts.totals
    description = (
        f"{counted(total.clips, 'clip')} of video with text in layer {facts.layer}, {length(total.hours)} of "
        f"{counted(total.videos, 'video')}; {counted(total.kept, 'clip')} are kept. {MARK}"
    )
    metadata = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": on_one_line(title or facts.name)[:_LONGEST_NAME],
        "description": description,
        "conformsTo": _VERSION,
        **_licence(facts),
        "inLanguage": [each.name for each in facts.languages if each.name and each.name.isalpha()],
        "distribution": [*(_distribution(store, table) for table in tables), *_tars(store)],
        "recordSet": [_record_set(table) for table in tables],
    }
    return json.dumps({name: value for name, value in metadata.items() if value}, indent=2, ensure_ascii=False) + "\n"


def _licence(facts: CardFacts) -> dict[str, str]:
    licence = hub_licence([share.name for share in facts.licences])
    return {} if licence in ("unknown", "other") else {"license": f"{_LICENCES}/{licence}/"}


def _distribution(store: Store, table: PublishedTable) -> dict[str, Any]:
    named = {"@id": _files_of(table), "name": _files_of(table), "description": table.description}
    if not table.is_file:
        return {"@type": "cr:FileSet", **named, "encodingFormat": _PARQUET, "includes": table.path}
    return {
        "@type": "cr:FileObject",
        **named,
        "contentUrl": table.path,
        "contentSize": f"{store.entry(table.path).size} B",
        "encodingFormat": _PARQUET,
        "sha256": store.sha256(table.path),
    }


def _tars(store: Store) -> Iterator[dict[str, Any]]:
    """Yield the tars of videos and stills; their members are named by keys of root clips."""
    for folder, description in _TARS.items():
        if any(name.endswith(".tar") for name in store.list(folder)):
            id_ = f"{folder}-tar"
            yield {
                "@type": "cr:FileSet",
                "@id": id_,
                "name": id_,
                "description": description,
                "encodingFormat": "application/x-tar",
                "includes": f"{folder}/*.tar",
            }


def _record_set(table: PublishedTable) -> dict[str, Any]:
    fields = [field for column in table.schema if (field := _field(table, column)) is not None]
    key = next(name for name in ("key", "root_key") if name in table.schema.names)
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.description,
        "key": {"@id": f"{table.name}/{key}"},
        "field": fields,
    }


def _field(table: PublishedTable, column: pa.Field) -> dict[str, Any] | None:
    """Return the field of a column; None for a type that the format has no word for."""
    repeated = {"repeated": True} if _is_list(column.type) else {}
    inner = column.type.value_type if repeated else column.type
    id_ = f"{table.name}/{column.name}"
    head = {"@type": "cr:Field", "@id": id_, "name": id_}
    if pa.types.is_struct(inner):
        members = [inner.field(place) for place in range(inner.num_fields)]
        below = [field for member in members for field in _members(table, column.name, id_, member)]
        return {**head, **repeated, "subField": below} if below else None
    kind = _data_type(inner)
    return None if kind is None else {**head, "dataType": kind, **repeated, "source": _source(table, column.name)}


def _members(table: PublishedTable, column: str, parent: str, member: pa.Field) -> Iterator[dict[str, Any]]:
    """Yield the field of a member of a structure."""
    repeated = {"repeated": True} if _is_list(member.type) else {}
    kind = _data_type(member.type.value_type if repeated else member.type)
    if kind is not None:
        id_ = f"{parent}/{member.name}"
        source = {**_source(table, column), "transform": {"jsonPath": member.name}}
        yield {"@type": "cr:Field", "@id": id_, "name": id_, "dataType": kind, "source": source}


def _source(table: PublishedTable, column: str) -> dict[str, Any]:
    kind = "fileObject" if table.is_file else "fileSet"
    return {kind: {"@id": _files_of(table)}, "extract": {"column": column}}


def _files_of(table: PublishedTable) -> str:
    return f"{table.name}-parquet"


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _data_type(kind: pa.DataType) -> str | None:
    """Return the format's name of a type; None if it has none."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(inner) or pa.types.is_large_string(inner):
        return "sc:Text"
    if pa.types.is_boolean(inner):
        return "sc:Boolean"
    if pa.types.is_integer(inner):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(inner) else None
