"""`curate pipelines` and `curate run … --print-config`: the pipelines, what they need, and all their settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.curate_runs import CHEAP, TAGGER, config_in, curate

from curation.pipeline import load_pipeline


def test_every_pipeline_is_listed_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = curate("pipelines").out
    assert "demo (tested): two CPU cores" in shown
    assert "needs no GPU, models from: package registry" in shown
    assert "vidla (untested): " in shown
    assert "needs 1 GPU, or 2 to run all stages at once, models from: model hub" in shown
    assert [word for word in ("blip2", "vllm", "Salesforce/blip2-opt-2.7b") if word not in shown] == []
    assert "stages, in order: media, caption, rewrite" in shown


def test_a_pipeline_of_ones_own_names_its_model_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = curate("pipelines", "--config", config_in(tmp_path)).out
    assert f"{TAGGER} (untested)" in shown and f"{CHEAP} (untested)" in shown
    assert "endpoint" in shown and "fake at http://127.0.0.1:9/v1" in shown and "a model server" in shown


def test_settings_are_printed_as_a_file_that_gives_the_same_settings(tmp_path: Path) -> None:
    printed = curate("run", "demo", "--set", "caption.max_chars=7", "--print-config").out
    (tmp_path / "mine.yaml").write_text(printed)
    assert yaml.safe_load(printed)["demo"]["caption"]["max_chars"] == 7
    before = load_pipeline("demo", None, ["caption.max_chars=7"])
    assert load_pipeline("demo", tmp_path / "mine.yaml", []).model_dump() == before.model_dump()


def test_every_printed_setting_has_its_description_above_it() -> None:
    printed = curate("run", "grounded", "--print-config").out
    described = "longer ones are cut after a sentence, else at a clause or word with a `…`."
    assert f"# Most characters of a caption; {described}\n    max_chars: 500" in printed


def test_a_wrong_setting_is_refused_there_too() -> None:
    ended = curate("run", "demo", "--set", "caption.max_char=7", "--print-config")
    assert ended.status == 2 and "did you mean 'max_chars'" in ended.err


@pytest.mark.parametrize("command", [["pipelines"], ["run", "grounded", "--print-config"]])
def test_neither_imports_what_only_a_run_needs(command: list[str]) -> None:
    code = (
        f"import sys\nfrom curation.cli import main\nassert main({command!r}) == 0\n"
        "sys.exit(f'imported {found}' if (found := {'ray', 'torch', 'vllm', 'yt_dlp'} & set(sys.modules)) else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
