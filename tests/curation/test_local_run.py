"""`curate run … --address local`: all stages in one process, without Ray."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.curate_runs import CHEAP, config_in, curate, next_command, run_arguments, talks
from support.dir_contents import all_rows, assert_texts_hold, latest_states
from support.fake_llm import FakeLLM
from support.model_replies import careful

from curation.reporting.prediction import read_prediction
from curation.reporting.run_costs import run_costs
from shards.storage.store import Store

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class LocalRun:
    """A run that has ended, and its command line."""

    arguments: list[str | Path]
    dir: Path
    ended: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeLLM]:
    """A model server."""
    with FakeLLM(careful) as llm:
        yield llm


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, server: FakeLLM) -> LocalRun:
    """Two videos, curated by a process that exits with the names of the runners that it imported."""
    root = tmp_path_factory.mktemp("local")
    inputs, output = talks(root / "in", 20, 6), root / "out"
    arguments = [*run_arguments(CHEAP, config_in(root), inputs, output, server), "--address", "local"]
    code = (
        f"import sys\nfrom curation.cli import main\nassert main({[str(a) for a in arguments]!r}) == 0\n"
        "sys.exit(f'imported {found}' if (found := {'ray', 'vllm'} & set(sys.modules)) else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return LocalRun(arguments, output, ended)


def test_it_makes_all_texts_and_never_imports_ray(made: LocalRun) -> None:
    assert made.ended.returncode == 0, made.ended.stderr
    store = Store(made.dir)
    assert latest_states(store) == {"written": 2}
    assert assert_texts_hold(store, CHEAP) == {"ok": len(all_rows(store, "media"))}
    assert curate("check", made.dir).status == 0


def test_the_next_command_that_it_prints_works(made: LocalRun) -> None:
    command = next_command(made.ended.stderr)
    assert command == ["curate", "inspect", str(made.dir)]
    shown = curate(*command[1:])
    assert shown.status == 0
    assert curate(*next_command(shown.out)[1:]).status == 0


def test_it_says_what_it_took_and_status_says_the_same_with_money(made: LocalRun, tmp_path: Path) -> None:
    (line,) = [line for line in made.ended.stderr.splitlines() if line.startswith("this run: ")]
    assert re.search(r"CPU-hours, [\d,]+ tokens in and [\d,]+ out$", line)
    costs = run_costs(Store(made.dir))
    assert (costs.runs, costs.unmeasured) == (1, 0)
    assert costs.cpu_hours and costs.gpu_hours == 0
    caption, rewrite = (next(pool for pool in costs.pools if pool.pool == name) for name in ("caption", "rewrite"))
    assert caption.prompt_tokens > caption.completion_tokens > 0 and rewrite.prompt_tokens > 0
    (tmp_path / "prices.yaml").write_text("currency: EUR\nmillion_prompt_tokens: 1e6\n", encoding="utf-8")
    shown = curate("status", made.dir, "--prices", tmp_path / "prices.yaml").out
    assert f"money: {costs.prompt_tokens:,.2f} EUR" in shown and "costs of 1 run" in shown


def test_a_probe_predicts_the_whole_run_and_status_compares_them(
    made: LocalRun, server: FakeLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    inputs, output = made.arguments[made.arguments.index("--input") + 1], tmp_path / "out"
    arguments = run_arguments(CHEAP, config_in(tmp_path), inputs, output, server)
    arguments += ["--address", "local", "--set", "videos_per_shard=1"]
    planned = curate("plan", *arguments[1:], "--probe", "1")
    assert planned.status == 0, planned.err
    assert "prediction for 2 sources in 2 shards" in planned.out
    assert "Extrapolated by seconds of video, from a probe of 1 shard." in planned.out
    assert not output.exists() and not list((tmp_path / "temporary").glob("curate-probe-*"))
    assert curate(*arguments).status == 0
    prediction = read_prediction(Store(output))
    assert prediction is not None and prediction.video_hours == pytest.approx(26 / 3600, rel=0.05)
    tokens = run_costs(Store(output)).prompt_tokens
    assert prediction.figures.prompt_tokens.value == pytest.approx(tokens, rel=0.5)
    assert "2 of 2 shards made" in curate("status", output).out


def test_the_same_command_again_has_nothing_to_do(made: LocalRun) -> None:
    ended = curate(*made.arguments)
    assert (ended.status, ended.err.startswith("nothing to do: ")) == (0, True), ended.err


def test_a_run_of_media_alone_ends_with_a_command_that_has_something_to_show(tmp_path: Path) -> None:
    arguments = run_arguments(CHEAP, config_in(tmp_path), talks(tmp_path / "in", 6), tmp_path / "out")
    ended = curate(*arguments, "--address", "local", "--stages", "media")
    assert ended.status == 0, ended.err
    command = next_command(ended.err)
    assert command == ["curate", "status", str(tmp_path / "out")]
    assert "1 in = 1 written" in curate(*command[1:]).out


def test_a_layer_over_a_dir_needs_no_input(made: LocalRun, server: FakeLLM) -> None:
    config = made.arguments[made.arguments.index("--config") + 1]
    ended = curate(
        "run", CHEAP, "--config", config, "--output", made.dir, "--layer", "second", "--address", "local",
        "--set", f"engines.llm.base_url={server.url}", "--set", "rewrite.max_claims=2",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert len(all_rows(Store(made.dir), "text/second")) == len(all_rows(Store(made.dir), "media"))
    assert next_command(ended.err)[1:] == ["inspect", str(made.dir), "--layer", "second"]
