"""Settings files (`--config`) and assignments (`--set`) that are damaged or made to harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.hostile_rows import Row, outcome_of

from curation.pipeline import load_pipeline
from runtime.settings import load_yaml

REFUSED = r"refused: "


def _config(text: Callable[[], str | bytes]) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        data = text()
        path = folder / "p.yaml"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return outcome_of(lambda: len(load_yaml(path)))

    return act


def _set(assignment: str) -> Callable[[Path], str]:
    return lambda folder: outcome_of(lambda: type(load_pipeline("demo", None, [assignment])).__name__)


def _laughs(levels: int) -> str:
    """Aliases of aliases: ten times as many values with each level."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


ROWS = [
    Row("nothing", _config(bytes), REFUSED),
    Row("a list", _config(lambda: "- a\n- b\n"), REFUSED),
    Row("a number", _config(lambda: "3"), REFUSED),
    Row("bytes that are no text", _config(lambda: b"\xff\xfe\0a"), REFUSED),
    Row("zeros", _config(lambda: bytes(10_000)), REFUSED),
    Row("a tab", _config(lambda: "a:\n\t- b"), REFUSED),
    Row("a Python object", _config(lambda: "a: !!python/object/apply:os.system ['touch /tmp/no']"), REFUSED),
    Row("an unknown tag", _config(lambda: "a: !secret b"), REFUSED),
    Row("an alias of nothing", _config(lambda: "a: *b"), REFUSED),
    Row("an alias of itself", _config(lambda: "a: &a [*a]"), REFUSED),
    Row("aliases that stand for a billion values", _config(lambda: _laughs(9)), REFUSED, seconds=10),
    Row("lists nested 20,000 deep", _config(lambda: "a: " + "[" * 20_000), REFUSED, seconds=10),
    Row("mappings nested 20,000 deep", _config(lambda: "a: " + "{b: " * 20_000), REFUSED, seconds=10),
    Row("an integer of 10,000 digits", _config(lambda: "a: " + "9" * 10_000), r"(read|refused): "),
    Row("two documents", _config(lambda: "a: 1\n---\nb: 2\n"), REFUSED),
    Row("a file of 50 MB", _config(lambda: b"# \n" * (50 << 20 >> 2)), REFUSED, megabytes=300),
    Row("a key that is a list", _config(lambda: "? [a, b]\n: c\n"), REFUSED),
    Row("an assignment without a value", _set("seed"), REFUSED),
    Row("an assignment without a name", _set("=3"), REFUSED),
    Row("an assignment to nothing", _set("no.such.thing=3"), REFUSED),
    Row("an assignment through a value", _set("seed.a.b=3"), REFUSED),
    Row("an assignment of a Python object", _set("seed=!!python/name:os.system"), REFUSED),
    Row("an assignment of NaN", _set("filters.min_words=.nan"), REFUSED),
    Row("an assignment of infinity", _set("media.video.min_seconds=.inf"), REFUSED),
    Row("an assignment of 10,000 digits", _set("seed=" + "9" * 10_000), REFUSED),
    Row("an assignment of a megabyte", _set("filters.min_words=" + "a" * 1_000_000), REFUSED),
    Row("an assignment nested 5,000 deep", _set("filters.min_words=" + "[" * 5000), REFUSED),
    Row("a name with an escape", _set("\x1b[2J=3"), REFUSED),
]
