"""`bench.injected`: sources of claims that are missing are skipped with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import injected


def test_missing_sources_are_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DEMO", "VIDEOS", "DEVELOPMENT"):
        monkeypatch.setattr(injected, name, tmp_path / "missing")
    monkeypatch.setattr("sys.argv", ["bench.injected", "--judges", "words"])
    assert injected.main() == 0
    shown = capsys.readouterr().out
    assert shown.count("skipped, there is no") == 3
    assert "run `make demo` first" in shown


def test_an_unknown_judge_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench.injected", "--shards", str(tmp_path), "--judges", "encodr"])
    assert injected.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
