from typing import Annotated, Literal

import yaml
from pydantic import Field

from runtime.settings import Runtime, Settings, build
from runtime.settings_page import setting_rows, settings_markdown, settings_yaml


class _Local(Settings):
    """A model in this process."""

    kind: Literal["local"] = "local"
    """Which engine."""
    threads: Runtime[int | None] = None
    """Threads; null: all."""


class _Remote(Settings):
    """A model behind a server."""

    kind: Literal["remote"] = "remote"
    """Which engine."""
    url: str
    """Address of the server."""


class _Crop(Settings):
    """Cuts the picture."""

    size: int = 224
    """Pixels of the
    shorter side."""
    modes: tuple[Literal["a|b", "c"], ...] = ("c",)
    """Modes to use."""


class _Whole(Settings):
    """All settings."""

    title: str = "ünï"
    crop: _Crop = _Crop()
    engines: dict[str, Annotated[_Local | _Remote, Field(discriminator="kind")]] = Field(default_factory=dict)
    """Engines by name."""


_SETTINGS = build(_Whole, {"engines": {"x": {"kind": "remote", "url": "http://a"}}}, "")


def test_printed_settings_can_be_read_back() -> None:
    assert build(_Whole, yaml.safe_load(settings_yaml(_SETTINGS)), "") == _SETTINGS


def test_each_setting_has_its_description_above_it() -> None:
    lines = settings_yaml(_SETTINGS).splitlines()
    assert lines[lines.index("  size: 224") - 1] == "  # Pixels of the shorter side."
    assert lines[lines.index("    url: http://a") - 1] == "    # Address of the server."


def test_a_branch_without_a_description_has_that_of_its_class() -> None:
    lines = settings_yaml(_SETTINGS).splitlines()
    assert lines[lines.index("crop:") - 1] == "# Cuts the picture."


def test_rows_have_dotted_names_types_defaults_and_descriptions() -> None:
    rows = {row.name: row for row in setting_rows(_Whole, "all")}
    assert rows["all.crop.size"][1:] == ("integer", "224", "Pixels of the shorter side.")
    assert rows["all.engines.NAME.threads"][1:] == ("integer or null", "null", "(`local`) Threads; null: all.")
    assert rows["all.engines.NAME.url"][1:] == ("text", "required", "(`remote`) Address of the server.")


def test_bars_in_a_cell_do_not_break_the_table() -> None:
    line = next(line for line in settings_markdown(_Whole).splitlines() if "`crop.modes`" in line)
    assert line == '| `crop.modes` | list of `a\\|b` or `c` | `["c"]` | Modes to use. |'
