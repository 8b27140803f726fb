"""The bench for a GPU runs on a CPU at small size."""

import json
from pathlib import Path

import pytest

from bench import gpu


@pytest.mark.slow
def test_every_part_of_the_bench_for_a_gpu_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--small", "--device", "cpu", "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["input"] for row in found["step"]] == ["synthetic, eager", "shards"]
    assert all(row["clips_per_second"] > 0 and row["fetched"] > 0 for row in found["step"])
    assert {row["part"] for row in found["layer"]} > {"whole layer", "attention over time", "global attention"}
    assert found["agreement"][0]["least cosine with float64"] > 0.99
    assert "| random:tiny | 4 | shards |" in capsys.readouterr().out


def test_a_part_that_fails_is_reported_and_ends_with_what_it_had() -> None:
    def rows() -> gpu.Iterator[dict[str, int]]:
        yield {"a": 1}
        raise RuntimeError("no kernel\nfor this device")

    assert gpu._collect("part", rows(), 1e18) == [{"a": 1}, {"failed": "RuntimeError: no kernel"}]


def test_a_part_ends_when_time_is_up() -> None:
    found = gpu._collect("part", iter([{"a": 1}, {"a": 2}]), 0.0)
    assert found == [{"a": 1}, {"left out": "the rest: time is up"}]
