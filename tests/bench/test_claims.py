"""The measurement of judges on labelled pairs of claims."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.claim_pairs import read_pairs, spread
from bench.claims import JudgedPair, last_line, separation, table
from bench.intervals import wilson_interval
from curation.grounding.claims import Verdict
from runtime.errors import UserError

ROOT = Path(__file__).parents[2]


def pairs_in(folder: Path, count: int = 8) -> Path:
    """Write pairs of two kinds; every fourth true claim repeats its evidence."""
    lines = [
        {
            "kind": "swap_att" if number % 2 else "replace_obj",
            "evidence": f"A man holds {number} onions.",
            "supported": f"a man holds {number} onions" if number % 4 == 0 else f"{number} onions are held by a man",
            "unsupported": f"A man holds {number} dogs.",
        }
        for number in range(count)
    ]
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.claims", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_one_judge_is_measured_alone_and_the_last_line_has_both_figures(tmp_path: Path) -> None:
    done = run("--pairs", pairs_in(tmp_path), "--judge", "words")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "true accepted 25.0 % · false accepted 0.0 %"
    assert re.search(r"\| swap_att \| 4 \| 0\.0 % \(0\.0–49\.0\) \| 0\.0 %", done.stdout)
    assert "| all | 8 | 25.0 % (7.1–59.1) |" in done.stdout


def test_a_limit_spreads_the_pairs_over_the_file(tmp_path: Path) -> None:
    pairs = read_pairs(pairs_in(tmp_path, 100))
    assert [pair.id for pair in spread(pairs, 4)] == ["1", "26", "51", "76"]
    assert spread(pairs, None) == spread(pairs, 1000) == pairs


@pytest.mark.parametrize(
    "line", ["{", "[]", "3", '{"kind": "a"}', '{"kind": "a", "evidence": "b", "supported": 3, "unsupported": "c"}']
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(pairs_in(tmp_path, 1).read_text() + "\n" + line)
    with pytest.raises(UserError, match=r"bad\.jsonl:2: must be a JSON object with texts for kind, evidence"):
        read_pairs(path)


@pytest.mark.parametrize("arguments", [["--judge", "txt"], ["--pairs", "absent.jsonl"], ["--pipeline", "dmeo"]])
def test_a_mistake_ends_with_one_line_and_status_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr


def test_unjudged_claims_are_not_accepted_and_are_counted(tmp_path: Path) -> None:
    (pair,) = read_pairs(pairs_in(tmp_path, 1))
    kept = Verdict("a", "supported", ("f",), "", "text", 0.8)
    judged = [JudgedPair(pair, kept, Verdict("b", "unjudged", ("f",), "timeout", "text"))]
    assert "| all | 1 | 100.0 % (20.7–100.0) | 0.0 % (0.0–79.3) | 1 |" in table(judged)
    assert last_line(judged) == "true accepted 100.0 % · false accepted 0.0 %"
    assert separation(judged) == "no scores"


def test_the_intervals_are_wilson_s() -> None:
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)
