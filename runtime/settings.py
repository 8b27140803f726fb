"""The configuration system: YAML, ``--set a.b=c``, and pydantic models that refuse unknown settings.

Each component has a small `Settings` class beside its code. A field marked `Runtime` changes how a component runs
(addresses, retries, pools) and never its results, so it is left out of the content hash.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, TypeGuard, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.errors import UserError, nearest, one_line
from shards.storage.url_secrets import without_secrets


class _RuntimeOnly:
    """Marks a field that can't change an artifact's content."""


T = TypeVar("T")
Runtime = Annotated[T, _RuntimeOnly()]


class Settings(BaseModel):
    """Base of all settings: frozen; unknown keys, infinity and NaN are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    def content(self) -> dict[str, Any]:
        """Return the settings that change the content of results, as plain values; `Runtime` fields are left out."""
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
    """Return sixteen hex digits over plain values: equal content gives equal hashes, in any order of keys."""
    text = json.dumps([_plain(p) for p in parts], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


S = TypeVar("S", bound=Settings)


def build(model: type[S], values: Mapping[str, Any], where: str) -> S:
    """Validate `values` into `model`.

    Raises:
        UserError: the message names the setting (as ``where.a.b``), its value, and the valid values.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(_refusal(model, error, where)) from None


def _refusal(model: type[BaseModel], error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    names, known = _along(model, first["loc"])
    path = ".".join(name for name in (where, *names) if name != "")
    if first["type"] == "extra_forbidden":
        return f"{path}: no such setting{nearest(names[-1], known)}"
    if first["type"] == "missing":
        return f"{path}: must be set"
    message = first["msg"].removeprefix("Value error, ")
    value = "" if isinstance(first["input"], Mapping) else f"={without_secrets(repr(first['input']))}"
    return f"{path}{value}: {message}" if path else message  # settings that don't agree name themselves


def _along(model: type[BaseModel], location: Sequence[int | str]) -> tuple[list[str], Iterable[str]]:
    """Return the names along pydantic's `location` as the user writes them, and the fields beside the last.

    For a union with a discriminating field, pydantic adds the tag to the location; the user does not write it.
    """
    names: list[str] = []
    known: Iterable[str] = ()
    here: Any = model
    for part in location:
        here = unwrapped(here)
        members = [member for member in map(unwrapped, get_args(here)) if _is_model(member)]
        if get_origin(here) in (Union, UnionType) and (tagged := _tagged(members, part)):
            here = tagged
            continue
        if get_origin(here) in (Union, UnionType):
            if len(members) != 1:
                break  # plain values: what follows is pydantic's own name for one of them
            here = members[0]
        names.append(str(part))
        if _is_model(here):
            known = here.model_fields
            here = here.model_fields[part].annotation if part in here.model_fields else None
        else:
            here = get_args(here)[-1] if get_origin(here) in (dict, Mapping) else None
    return names, known


def unwrapped(annotation: Any) -> Any:
    """Return a type without its `Annotated` marks."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tagged(members: Iterable[type[BaseModel]], tag: int | str) -> type[BaseModel] | None:
    """Return the member of a union that has a field whose only value is `tag`."""
    for member in members:
        if any(get_args(field.annotation) == (tag,) for field in member.model_fields.values()):
            return member
    return None


def load_yaml(path: Path, option: str = "--config") -> dict[str, Any]:
    """Read a YAML mapping, safely; `option` is the flag that names the file.

    Raises:
        UserError: the file can't be read, or is not a mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            raise ValueError(f"it has more than {_LARGEST_BYTES >> 20} MiB")
        values = _read_yaml(data.decode("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: no UTF-8
        raise UserError(f"{option} {path}: can't be read as YAML ({one_line(error)})") from None
    if not isinstance(values, dict):
        raise UserError(f"{option} {path}: must be a mapping of names to settings, found {type(values).__name__}")
    copied: dict[str, Any] = _copied(values, "")
    return copied


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values in which those of `above` replace those of `below`; neither is changed."""
    result = dict(below)
    for name, value in above.items():
        inner = result.get(name)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[name] = merged(inner, value) if both else value  # type: ignore[arg-type]
    return result


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `values` with each ``a.b=c`` applied; the value is read as YAML (``3``, ``true``, ``[a, b]``).

    Raises:
        UserError: an assignment has no ``=``, its path leads through a value, or its value is not one that a setting
            can hold.
    """
    result: dict[str, Any] = _copied(values, "")
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
            value = _read_yaml(text)
        except (ValueError, yaml.YAMLError):
            raise UserError(f"--set {assignment!r}: {text!r} is not a YAML value") from None
        target[last] = _copied(value, path)
    return result


_LARGEST_BYTES: Final = 4 << 20
"""Bytes of a configuration file."""
_MOST_VALUES: Final = 20_000
"""Values of a configuration, with each alias counted as often as it is used."""
_LARGEST_INTEGER: Final = (1 << 63) - 1
_DEEPEST: Final = 100
"""Levels of lists and mappings."""


class _Loader(yaml.SafeLoader):
    """The safe loader, except that ``2024-01-31`` is read as text, and that merged mappings can't grow without bound.

    No setting holds a date, and some packages change for the whole process how the library's loader reads one.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the merged mappings (``<<``) in their place; each alias of an alias can multiply them."""
        super().flatten_mapping(node)
        if len(node.value) > _MOST_VALUES:
            raise ValueError(_TOO_MANY)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


_TOO_MANY: Final = f"its aliases give more than {_MOST_VALUES} values"


def _read_yaml(text: str) -> Any:
    """Return the values of a text in YAML.

    Raises:
        yaml.YAMLError: it is not YAML.
        ValueError: it holds too many values, or is nested too deeply.
    """
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506  the loader above is a safe one
        _check_extent(values)
    except RecursionError:
        raise ValueError(f"it is nested more than {_DEEPEST} deep") from None
    return values


def _check_extent(values: Any) -> None:
    """Refuse values that a small text makes large: aliases of aliases, an alias of what holds it, deep nesting.

    Raises:
        ValueError: more than `_MOST_VALUES` values.
        RecursionError: more than `_DEEPEST` levels.
    """
    waiting = [(values, 0)]
    for seen in itertools.count(1):
        if not waiting:
            return
        value, depth = waiting.pop()
        if seen + len(waiting) > _MOST_VALUES:
            raise ValueError(_TOO_MANY)
        if depth > _DEEPEST:
            raise RecursionError
        inner = (*value.keys(), *value.values()) if isinstance(value, Mapping) else value
        if isinstance(inner, list | tuple):
            waiting += [(item, depth + 1) for item in inner]


def _copied(value: Any, path: str) -> Any:
    """Return a deep copy of plain values as JSON would hold them: lists for tuples, text for names."""
    if isinstance(value, Mapping):
        names = {name: name if isinstance(name, str) else json.dumps(_copied(name, path)) for name in value}
        return {names[name]: _copied(inner, f"{path}.{names[name]}".lstrip(".")) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(inner, f"{path}.{number}") for number, inner in enumerate(value)]
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise UserError(f"{path}: the number has {value.bit_length()} bits, and no setting holds more than 63")
    if value is None or isinstance(value, str | int | float):
        return value
    raise UserError(
        f"{path}: YAML reads {value} as a {type(value).__name__}, which no setting holds; write it as text or a number"
    )
