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
