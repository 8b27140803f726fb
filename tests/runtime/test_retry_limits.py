"""The table of bounds is complete, is read where it says, and can be rendered."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import retry_limits
from runtime.retry_limits import TABLE, Bound, as_markdown
from runtime.settings_page import setting_rows

_ROOT = Path(retry_limits.__file__).parents[1]
_PACKAGES = ("curation", "training", "runtime", "shards")
_DEFINED_BELOW = {"shards.storage.dir_lock", "shards.storage.patience", "shards.storage.remote_filesystem"}
"""Modules that import nothing of ours: they hold the number, and the table refers to it."""
_BOUND_NAME = re.compile(r"(RETRIES|RESTARTS|TRIES|PROBES|DEATHS|TIMEOUT|PATIENCE|PATIENCE_SECONDS|GRACE|BACKOFF)$")

_ROWS = {name: value for name, value in vars(retry_limits).items() if isinstance(value, Bound)}


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _numbers(path: Path) -> Iterator[str]:
    """Yield names of module constants that are assigned a plain number."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, int | float):
            yield target.id


def test_every_row_of_the_module_is_in_the_table_once() -> None:
    assert list(_ROWS.values()) == list(TABLE)
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("name", _ROWS)
def test_a_row_is_read_by_the_modules_that_it_names(name: str) -> None:
    readers = {module.strip() for module in _ROWS[name].where.split(",")}
    for module in readers - _DEFINED_BELOW:
        uses = re.search(rf"\b{name}\b", _source(module))
        through = name == "DEATHS_PER_SOURCE" and "DEATHS_ALLOWED" in _source(module)
        through |= name == "RAY_START_SECONDS" and "RAY_START_SECONDS" in _source(module)
        assert uses or through, module


def test_a_bound_that_is_defined_below_the_table_is_the_one_in_use() -> None:
    from shards.storage.dir_lock import HEARTBEAT_SECONDS, STALE_SECONDS
    from shards.storage.patience import STORE_ATTEMPTS, STORE_PAUSE
    from shards.storage.remote_filesystem import CLIENT_ATTEMPTS

    assert retry_limits.LOCK_HEARTBEAT.seconds == HEARTBEAT_SECONDS
    assert retry_limits.LOCK_STALE.seconds == STALE_SECONDS
    assert (retry_limits.STORE_CALLS.count, retry_limits.STORE_BACKOFF.seconds) == (STORE_ATTEMPTS, STORE_PAUSE)
    assert retry_limits.STORE_REQUESTS.count == CLIENT_ATTEMPTS


def test_no_module_has_a_bound_of_its_own() -> None:
    own = {
        f"{path.relative_to(_ROOT)}: {name}"
        for package in _PACKAGES
        for path in (_ROOT / package).rglob("*.py")
        for name in _numbers(path)
        if _BOUND_NAME.search(name)
    }
    assert not own


def test_a_number_of_attempts_is_no_time() -> None:
    with pytest.raises(ValueError, match="not seconds"):
        _ = retry_limits.DOWNLOAD_RETRIES.seconds


def test_the_table_is_rendered_with_one_line_a_row() -> None:
    lines = as_markdown().splitlines()
    assert len(lines) == 2 + len(TABLE)
    assert any(line.startswith("| `media.download.retries` | 3 retries |") for line in lines)


def test_a_setting_has_the_default_of_the_table() -> None:
    from curation.pipeline import settings_class

    rows = list(setting_rows(settings_class()))
    for bound in (row for row in TABLE if row.is_setting):
        name, _, kind = bound.name.partition(" ")
        of_kind = kind.strip("()")
        defaults = {
            row.default
            for row in rows
            if row.name == name and row.description.startswith(f"(`{of_kind}`)" * bool(of_kind))
        }
        assert {float(default) for default in defaults} == {bound.default}, bound.name
