"""The report computes its tables and its figure from finished runs alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from bench.learns.__main__ import read
from bench.learns.queries import QUERIES
from bench.learns.report import draw, tables
from bench.learns.training import OVER_TWIN, R1, Outcome


def outcome(variant: str, seed: int, percent: float) -> Outcome:
    scores = {measure: dict.fromkeys(QUERIES, percent) for measure in (OVER_TWIN, R1)}
    return Outcome(variant, seed, scores, 1.0, 2.0)


def hierarchy(gains: list[float]) -> list[Outcome]:
    made = []
    for seed, gain in enumerate(gains):
        for suffix in ("", " + local"):
            made += [outcome(f"1-12-1{suffix}", seed, 60.0), outcome(f"3-4-2{suffix}", seed, 60.0 + gain)]
    return made


def test_the_primary_comparison_is_decided_from_the_seeds_that_are_there() -> None:
    text = tables([*hierarchy([4.0, 5.0, 6.0]), outcome("1-12-1", 3, 60.0)])
    row = next(line for line in text.splitlines() if line.startswith("| **hierarchy**"))
    # standard deviation 1, three seeds: 4.303 * 1 / sqrt(3) = 2.48 around 5
    assert "| 3 | +5.0 | +2.5 to +7.5 | better |" in row


def test_a_comparison_with_one_seed_or_none_is_not_decided() -> None:
    text = tables(hierarchy([4.0]))
    assert "| 1 | +4.0 | | not decided |" in text
    assert "| bottleneck: hierarchy with one [MST] a level | 0 |  | | not decided |" in text


def test_runs_are_read_as_they_were_written(tmp_path: Path) -> None:
    made, file = hierarchy([1.0, 2.0]), tmp_path / "runs.jsonl"
    assert read(file) == []
    file.write_text("".join(json.dumps(asdict(each)) + "\n" for each in made), encoding="utf-8")
    assert read(file) == made


def test_the_figure_shows_every_variant_that_has_run(tmp_path: Path) -> None:
    draw(hierarchy([4.0, 5.0, 6.0]), tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    for variant in ("1-12-1", "3-4-2", "1-12-1 + local", "3-4-2 + local"):
        assert f"<!-- {variant} (3 seeds) -->" in text
