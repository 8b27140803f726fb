"""Values that YAML reads as something no setting holds, and those that it can hold."""

import re
from pathlib import Path

import pytest

from runtime.errors import UserError
from runtime.settings import load_yaml, override


def test_a_date_is_text_whether_any_calendar_has_it_or_not(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: 2024-13-01\nb: [2024-01-31]\n")
    assert load_yaml(tmp_path / "c.yaml") == {"a": "2024-13-01", "b": ["2024-01-31"]}
    assert override({}, ["a.b=2024-01-31"]) == {"a": {"b": "2024-01-31"}}


def test_a_value_that_no_setting_holds_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("video: {notes: [old, !!set {one}]}")
    with pytest.raises(UserError, match=rf"^{re.escape('video.notes.1: YAML reads')}.* as a set"):
        override(load_yaml(tmp_path / "c.yaml"), [])


def test_the_values_are_copied_with_text_for_names() -> None:
    values = {"a": {"b": [1, {"c": None}]}, 1: True, "d": (1.5, "x")}
    copied = override(values, ["a.b=2"])
    assert copied == {"a": {"b": 2}, "1": True, "d": [1.5, "x"]}
    assert values["a"] == {"b": [1, {"c": None}]}


def _laughs(levels: int) -> str:
    """Return YAML in which each of `levels` lists holds the one before nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def _merges(levels: int) -> str:
    """Return YAML in which each of `levels` mappings merges the one before nine times."""
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


HOSTILE = {
    "aliases of aliases": (_laughs(12), "aliases give more than"),
    "merges of merges": (_merges(12), "aliases give more than"),
    "an alias of what holds it": ("a: &a [*a]", "nested|aliases"),
    "a mapping that holds itself": ("a: &a {b: *a}", "nested|aliases"),
    "nested lists": ("a: " + "[" * 20_000, "nested"),
    "nested lists that are closed": ("a: " + "[" * 150 + "]" * 150, "nested"),
    "nested mappings": ("{a: " * 20_000, "nested"),
    "a huge integer": (f"a: {'9' * 5000}", "can't be read as YAML"),
    "a huge integer in hexadecimal": (f"a: 0x{'f' * 5000}", "no setting holds more than 63"),
    "an integer of 65 bits": (f"a: {1 << 64}", "no setting holds more than 63"),
    "bytes that are not UTF-8": ("a: \udcff", "can't be read as YAML"),
    "more than can be a configuration": ("a: " + "x" * (5 << 20), "it has more than 4 MiB"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_configuration_is_refused_at_once_in_one_line(tmp_path: Path, name: str) -> None:
    text, words = HOSTILE[name]
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=words) as refused:
        override(load_yaml(path), [])
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["[" * 20_000, "&a [*a]", "9" * 5000, str(1 << 64)])
def test_a_hostile_assignment_is_refused_at_once(text: str) -> None:
    with pytest.raises(UserError, match=r"a\.b|YAML value"):
        override({}, [f"a.b={text}"])


def test_anchors_and_merges_in_an_ordinary_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("base: &base {a: 1, b: [x]}\nmine: {<<: *base, a: 2}\n3: *base\n")
    assert load_yaml(tmp_path / "c.yaml")["mine"] == {"a": 2, "b": ["x"]}
    assert load_yaml(tmp_path / "c.yaml")["3"] == {"a": 1, "b": ["x"]}
