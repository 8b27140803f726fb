"""Rows that may leave this machine: without paths of its folders, and without tokens in URLs."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from shards.export.export_rows import ExportRow
from shards.storage.url_secrets import without_tokens, without_user

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL: Final = ("path://", "file://")


def public_row(row: ExportRow) -> ExportRow:
    """Return a row whose source and models name no folder of this machine and grant access to nothing."""
    models = row["models"]
    public: dict[str, Any] = {**row, "source": public_name(row["source"])}
    if models is not None:
        public["models"] = {role: None if uri is None else public_name(str(uri)) for role, uri in models.items()}
    return cast(ExportRow, public)


def public_name(text: str) -> str:
    """Return a URL without user, password and tokens; of a path, the name of the file."""
    if _URL.match(text) and not text.startswith(_LOCAL):
        return without_tokens(without_user(text))
    return text.rstrip("/").rsplit("/", 1)[-1] if text.startswith(("/", *_LOCAL)) else text
