"""Settings as text: YAML with each setting's description, and a Markdown page of all settings of a class.

``--print-config`` of every command prints the first; the documentation holds the second. Both read the docstrings
under the fields of a `Settings` class, so a description is written once.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from runtime.settings import Settings, unwrapped

_WIDTH: Final = 110
_PLAIN_NAMES: Final = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}


class SettingRow(NamedTuple):
    """One setting as the Markdown page shows it."""

    name: str
    """Dotted name, as ``--set`` takes it."""
    type: str
    default: str
    """As JSON; ``required`` if there is no default."""
    description: str


def settings_yaml(settings: Settings) -> str:
    """Return settings as YAML that ``--config`` reads, each with its description as a comment above it.

    Values are shown as the settings serialize them: secrets stay hidden.
    """
    return "".join(_yaml_lines(settings, settings.model_dump(mode="json"), ""))


def print_settings(settings: Settings) -> int:
    """Print `settings_yaml` and return exit status 0."""
    print(settings_yaml(settings), end="")
    return 0


def settings_markdown(model: type[Settings], prefix: str = "") -> str:
    """Return a Markdown table of all settings of a class: name, type, default, description.

    Args:
        model: the class; nested classes are shown with dotted names.
        prefix: name of the branch that `model` is, such as ``download``.
    """
    lines = ["| setting | type | default | description |", "|---|---|---|---|"]
    for row in setting_rows(model, prefix):
        cells = (f"`{row.name}`", row.type, f"`{row.default}`", row.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def setting_rows(model: type[Settings], prefix: str = "") -> Iterator[SettingRow]:
    """Yield the settings of a class and of all classes nested in it, in the order of their fields.

    ``NAME`` in a dotted name is a name that the user chooses. If a setting may be one of several classes, the
    description begins with the kind that has it.
    """
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        nested = _settings_classes(field.annotation)
        if nested and get_origin(unwrapped(field.annotation)) in (dict, Mapping):
            path += ".NAME"
        for class_ in nested:
            kind = f"(`{_kind(class_)}`) " if len(nested) > 1 else ""
            for row in setting_rows(class_, path):
                yield row._replace(description=kind + row.description)
        if not nested:
            yield SettingRow(path, _type_name(field.annotation), _default(field), _description(field))


def _yaml_lines(settings: Settings, dumped: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, field in type(settings).model_fields.items():
        if name not in dumped:
            continue
        value = getattr(settings, name)
        yield from _comment(_description(field), indent)
        yield from _yaml_entry(name, value, dumped[name], indent)


def _yaml_entry(name: str, value: Any, dumped: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Settings) and dumped:
        yield f"{indent}{name}:\n"
        yield from _yaml_lines(value, dumped, indent + "  ")
    elif isinstance(value, Mapping) and any(isinstance(item, Settings) for item in value.values()):
        yield f"{indent}{name}:\n"
        for key, item in value.items():
            yield from _yaml_entry(str(key), item, dumped[str(key)], indent + "  ")
    else:
        yield textwrap.indent(yaml.safe_dump({name: dumped}, sort_keys=False, allow_unicode=True), indent)


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - len(indent) - 2):
        yield f"{indent}# {line}\n"


def _description(field: FieldInfo) -> str:
    """Return the docstring under a field as one line; for nested settings without one, their class's first line."""
    if field.description:
        return " ".join(field.description.split())
    nested = _settings_classes(field.annotation)
    return (nested[0].__doc__ or "").strip().partition("\n")[0] if len(nested) == 1 else ""


def _settings_classes(annotation: Any) -> list[type[Settings]]:
    """Return the `Settings` classes that an annotation allows: itself, members of unions, values of mappings."""
    bare = unwrapped(annotation)
    if isinstance(bare, type) and issubclass(bare, Settings):
        return [bare]
    if get_origin(bare) in (Union, UnionType):
        return [class_ for member in get_args(bare) for class_ in _settings_classes(member)]
    if get_origin(bare) in (dict, Mapping):
        return _settings_classes(get_args(bare)[1])
    return []


def _kind(model: type[Settings]) -> str:
    """Return the value that tells a class from the others of its union: that of its first field with one value."""
    values = (get_args(field.annotation) for field in model.model_fields.values())
    return next((str(value[0]) for value in values if len(value) == 1), model.__name__)


def _type_name(annotation: Any) -> str:
    """Return a type as a reader of YAML would call it."""
    bare = unwrapped(annotation)
    origin, inner = get_origin(bare), get_args(bare)
    if bare is NoneType:
        return "null"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(member) for member in inner)
    if origin in (list, tuple, set, frozenset):
        return f"list of {_type_name(inner[0])}" if inner else "list"
    if origin in (dict, Mapping) or bare is dict:
        return "mapping"
    return _PLAIN_NAMES.get(bare, getattr(bare, "__name__", str(bare)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    return json.dumps(value, default=str, ensure_ascii=False)
