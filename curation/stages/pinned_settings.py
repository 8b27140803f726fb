"""Settings whose model URIs are replaced by pinned ones, so that no worker asks what a branch points to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from runtime.models.model_revisions import pinned
from runtime.settings import Settings

S = TypeVar("S", bound=Settings)


def pinned_settings(settings: S, revisions: Mapping[str, str]) -> S:
    """Return `settings` with each model of `revisions` (URI as written, to revision) pinned, at any depth."""
    changed: S = _replaced(settings, {uri: pinned(uri, revision) for uri, revision in revisions.items()})
    return changed


def _replaced(value: Any, uris: Mapping[str, str]) -> Any:
    """Return a value with the URIs in it replaced; the same object if it holds none of them."""
    if isinstance(value, str):
        return uris.get(value, value)
    if isinstance(value, Settings):
        inner = {name: getattr(value, name) for name in type(value).model_fields}
        changed = _changed(inner, uris)
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, dict):
        return {**value, **_changed(value, uris)}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(item, uris) for item in value)
    return value


def _changed(values: Mapping[str, Any], uris: Mapping[str, str]) -> dict[str, Any]:
    replaced = {name: _replaced(value, uris) for name, value in values.items()}
    return {name: value for name, value in replaced.items() if value != values[name]}
