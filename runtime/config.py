"""The one configuration system: YAML, ``--set a.b=c``, and pydantic models that refuse what they don't know.

Each component owns a small `Settings` class that stands beside its code. A field marked `Runtime` says how a
thing runs (addresses, retries, pools), never what it makes: it stays out of the content hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.errors import UserError, nearest


class _RuntimeOnly:
    """Marks a field that can't change an artifact's content."""


T = TypeVar("T")
Runtime = Annotated[T, _RuntimeOnly()]


class Settings(BaseModel):
    """Base of all settings: frozen, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    def content(self) -> dict[str, Any]:
        """The settings that decide what is made, as plain values; `Runtime` fields are left out."""
        return {
            name: _plain(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if not any(isinstance(mark, _RuntimeOnly) for mark in field.metadata)
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.content()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def content_hash(*parts: Any) -> str:
    """Sixteen hex digits over plain values: equal content gives equal hashes, whatever the order of keys."""
    text = json.dumps([_plain(p) for p in parts], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


S = TypeVar("S", bound=Settings)


def build(model: type[S], values: Mapping[str, Any], where: str) -> S:
    """Validate `values` into `model`.

    Raises:
        UserError: one line that names the setting (as ``where.a.b``), its value, and what would be valid.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(_first_line(model, error, where)) from None


def _first_line(model: type[BaseModel], error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in (where, *first["loc"]) if part != "")
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        return f"{path}: no such setting{nearest(str(first['loc'][-1]), known)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{path}={first['input']!r}: {message}"


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Iterable[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        inner = None if field is None else field.annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model.model_fields


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping, safely; `UserError` where it can't be read or is no mapping."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"--config {path}: can't be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise UserError(f"--config {path}: must be a mapping of names to settings, found {type(values).__name__}")
    return values


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of `values` with each ``a.b=c`` applied; the value is read as YAML (``3``, ``true``, ``[a, b]``).

    Raises:
        UserError: an assignment without ``=``, or through something that is no mapping.
    """
    result: dict[str, Any] = json.loads(json.dumps(values))
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise UserError(f"--set {assignment!r}: write it as a.b=value")
        *parents, last = path.split(".")
        target = result
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise UserError(f"--set {assignment!r}: {parent!r} holds a value, not settings")
        try:
            target[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"--set {assignment!r}: {text!r} is not a YAML value") from None
    return result
