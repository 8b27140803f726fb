"""Models of a hub in whole runs: looked up once, recorded, and kept while the hub's branch moves on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.curate_runs import CHEAP, config_in, run_arguments, talk, talks
from support.fake_llm import FakeLLM
from support.model_hub import ModelHub, hub_environment
from support.model_replies import careful
from support.tiny_punctuator import tiny_punctuator
from support.waiting import PATIENCE

pytestmark = pytest.mark.slow

URI = "hf://org/marks"
OLD, NEW = "a" * 40, "b" * 40


class Runs:
    """Commands over one DIR, in processes whose model hub is on loopback."""

    def __init__(self, root: Path, hub: ModelHub, llm: FakeLLM) -> None:
        self.root, self.hub, self.llm = root, hub, llm
        self.inputs = talks(root / "in", 6)
        self.config = config_in(root)

    def start(
        self, command: str, *extra: str, port: int | None = None, output: str = "out"
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        arguments = run_arguments(CHEAP, self.config, self.inputs, self.root / output, self.llm)
        arguments[0] = command
        model = f"media.video.transcribe.punctuation={{model: '{URI}'}}"
        all_ = [*map(str, arguments), "--set", model, "--address", "local", "--stages", "media"]
        environment = hub_environment(port or self.hub.port, self.root / "home")
        return subprocess.run(
            [sys.executable, "-m", "curation.cli", *all_],
            env={**environment, **_kept(), "CLIPGROVE_CACHE": str(self.root / "cache")},
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip

    def record(self, name: str, output: str = "out") -> dict[str, Any]:
        """Return a record of the DIR."""
        values: dict[str, Any] = json.loads((self.root / output / name).read_text())
        return values


def _kept() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A DIR whose media were made with a punctuation model at the OLD commit; `main` has moved to the NEW one since."""
    root = tmp_path_factory.mktemp("revisions")
    files = {path.name: path.read_bytes() for path in tiny_punctuator(root / "model").iterdir()}
    with ModelHub() as hub, FakeLLM(careful) as llm:
        hub.publish("org/marks", OLD, files)
        made = Runs(root, hub, llm)
        ended = made.start("run")
        assert ended.returncode == 0, ended.stderr
        hub.publish(
            "org/marks", NEW, {name: data + b"\n" if name == "config.json" else data for name, data in files.items()}
        )
        talk(made.inputs / "new.mp4", 5)
        yield made


def test_the_revision_and_the_versions_are_recorded(runs: Runs) -> None:
    manifest, stage = runs.record("manifest.json"), runs.record("media/_stage.json")
    assert manifest["models"] == {"media": {URI: OLD}}
    assert stage["models"] == {URI: OLD}
    assert stage["settings"]["video"]["transcribe"]["punctuation"]["model"] == f"{URI}@{OLD}"
    assert set(stage["versions"]) == {"av", "clipgrove", "ffmpeg", "torch", "transformers", "yt-dlp"}
    assert all(len(versions) == 1 and versions[0] for versions in stage["versions"].values())
    assert stage["versions"].items() <= manifest["versions"].items()


def test_main_is_looked_up_once_a_run_and_every_file_is_fetched_at_the_commit(runs: Runs) -> None:
    asked = list(runs.hub.requests)
    assert sum(path == "/api/models/org/marks" for path in asked) == 1
    files = [path for path in asked if "/resolve/" in path]
    assert files and all(path.startswith(f"/org/marks/resolve/{OLD}/") for path in files)


def test_a_plan_says_in_one_line_that_the_branch_has_moved(runs: Runs) -> None:
    ended = runs.start("plan")
    assert ended.returncode == 0, ended.stderr
    (line,) = (line for line in ended.stdout.splitlines() if "has moved" in line)
    assert f"{URI} has moved to {NEW[:12]}" in line and f"media ({OLD[:12]})" in line
    assert f"{URI}@{OLD}" in ended.stdout.replace("\n", ""), "the table of models shows the revision that is used"


def test_a_new_dir_takes_the_new_revision(runs: Runs) -> None:
    ended = runs.start("run", output="other")
    assert ended.returncode == 0, ended.stderr
    assert runs.record("media/_stage.json", "other")["models"] == {URI: NEW}


def test_a_dir_that_grows_keeps_its_revision_even_if_the_hub_is_away(runs: Runs) -> None:
    asked = len(runs.hub.requests)
    ended = runs.start("run", port=9)
    assert ended.returncode == 0, ended.stderr
    assert len(runs.hub.requests) == asked
    assert (runs.root / "out" / "media" / "0000001.parquet").exists()
    assert runs.record("media/_stage.json")["models"] == {URI: OLD}
    began = time.monotonic()
    assert runs.start("run", port=9).stderr.startswith("nothing to do: ")
    assert time.monotonic() - began < 20
