"""Values that YAML reads as something no setting holds, and those that it can hold."""

import re
from pathlib import Path

import pytest
import yaml

from runtime.config import load_yaml, override
from runtime.errors import UserError


def test_a_date_in_a_file_is_named_with_the_remedy() -> None:
    values = yaml.safe_load("video: {notes: [old, 2024-01-31]}")
    message = "video.notes.1: YAML reads 2024-01-31 as a date, which no setting holds; put it in quotes"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        override(values, [])


def test_a_date_that_is_set_is_named_and_in_quotes_it_is_text() -> None:
    with pytest.raises(UserError, match=r"^a\.b: YAML reads 2024-01-31 as a date"):
        override({}, ["a.b=2024-01-31"])
    assert override({}, ["a.b='2024-01-31'"]) == {"a": {"b": "2024-01-31"}}


def test_a_date_that_no_calendar_has_is_no_yaml_value(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'2024-13-01' is not a YAML value"):
        override({}, ["a=2024-13-01"])
    (tmp_path / "c.yaml").write_text("a: 2024-13-01")
    with pytest.raises(UserError, match=r"c\.yaml: can't be read as YAML \(month must be"):
        load_yaml(tmp_path / "c.yaml")


def test_the_values_are_copied_with_text_for_names() -> None:
    values = {"a": {"b": [1, {"c": None}]}, 1: True, "d": (1.5, "x")}
    copied = override(values, ["a.b=2"])
    assert copied == {"a": {"b": 2}, "1": True, "d": [1.5, "x"]}
    assert values["a"] == {"b": [1, {"c": None}]}
