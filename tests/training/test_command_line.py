"""Mistakes that need no model to be seen are reported before torch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.shard_factory import build_dir

pytestmark = pytest.mark.slow

VIDLA = "training.vidla.train_vidla"
VIDLANKD = "training.vidlankd.train_vidlankd"
HEAVY = {"torch", "transformers", "open_clip"}

_PROGRAM = """
import json, sys
from {module} import main
try:
    status = main({given!r})
except SystemExit as end:
    status = end.code
print(json.dumps([status, sorted({heavy!r} & set(sys.modules))]))
"""


def run(module: str, given: Sequence[str]) -> tuple[int, str, str]:
    """Run a command; return status, stdout and stderr. Fails if it imported anything heavy."""
    program = _PROGRAM.format(module=module, given=list(given), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shown, _, last = done.stdout.rstrip().rpartition("\n")
    status, imported = json.loads(last)
    assert imported == []
    return status, shown, done.stderr


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("command-line") / "shards"
    build_dir(folder, shards=1, videos_per_shard=1, val_percent=0)
    return folder


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The folder of a run that has a checkpoint."""
    (tmp_path / "run" / "checkpoints" / "step-00000050").mkdir(parents=True)
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("module", "command"),
    [
        (VIDLA, []),
        (VIDLA, ["finetune", "--benchmark", "msvd", "--annotations", "anno", "--videos", "videos"]),
        (VIDLANKD, ["teacher"]),
        (VIDLANKD, ["student"]),
        (VIDLANKD, ["features", "--shards", "shards", "--encoder", "clip:random:tiny"]),
        (VIDLANKD, ["tokenize", "--corpus", "text.txt", "--output", "tokens"]),
        (VIDLANKD, ["evaluate", "--model", "bert"]),
    ],
)
def test_settings_are_printed(module: str, command: list[str]) -> None:
    status, shown, _ = run(module, [*command, "--print-config"])
    assert status == 0
    assert ":" in shown


@pytest.mark.parametrize(("module", "command"), [(VIDLA, []), (VIDLANKD, ["teacher"]), (VIDLANKD, ["student"])])
def test_a_setting_that_does_not_exist_is_refused(module: str, command: list[str]) -> None:
    status, _, message = run(module, [*command, "--set", "loop.stepss=3"])
    assert status == 2
    assert "did you mean 'steps'" in message


@pytest.mark.parametrize(("module", "command"), [(VIDLA, []), (VIDLANKD, ["teacher"])])
def test_a_flag_that_does_not_exist_is_refused(module: str, command: list[str]) -> None:
    status, _, message = run(module, [*command, "--shrads", "x"])
    assert status == 2
    assert "--shrads" in message


@pytest.mark.parametrize(("module", "command"), [(VIDLA, []), (VIDLANKD, ["teacher"])])
def test_a_folder_of_shards_that_does_not_exist_is_refused(module: str, command: list[str], tmp_path: Path) -> None:
    given = [*command, "--shards", str(tmp_path / "none"), "--output", str(tmp_path / "run")]
    if command:
        given += ["--set", f"model.tokenizer=path://{tmp_path}"]
    status, _, message = run(module, given)
    assert status == 2
    assert str(tmp_path / "none") in message


@pytest.mark.parametrize(("module", "command"), [(VIDLA, []), (VIDLANKD, ["teacher"]), (VIDLANKD, ["student"])])
def test_an_output_that_holds_a_run_is_refused(module: str, command: list[str], begun: Path) -> None:
    status, _, message = run(module, [*command, "--output", str(begun)])
    assert status == 2
    assert f"--output {begun}: holds a run" in message


def test_a_checkpoint_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    status, _, message = run(VIDLA, ["--output", str(tmp_path / "run"), "--resume", str(tmp_path / "step-00000050")])
    assert status == 2
    assert "--resume" in message


def test_weights_that_do_not_exist_are_refused(shards: Path, tmp_path: Path) -> None:
    given = ["--shards", str(shards), "--output", str(tmp_path / "run"), "--init", "path:///no/such/model"]
    status, _, message = run(VIDLA, given)
    assert status == 2
    assert "there is no /no/such/model" in message


def test_a_teacher_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    given = ["student", "--corpus", "tokens", "--output", str(tmp_path / "run"), "--teacher", str(tmp_path / "none")]
    status, _, message = run(VIDLANKD, given)
    assert status == 2
    assert "there is no such folder" in message


def test_a_corpus_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    status, _, message = run(
        VIDLANKD, ["student", "--corpus", str(tmp_path / "none"), "--output", str(tmp_path / "run")]
    )
    assert status == 2
    assert str(tmp_path / "none") in message


@pytest.mark.parametrize(
    ("module", "command"),
    [
        (VIDLA, ["finetune", "--init", "random:tiny"]),
        ("training.vidla.eval_vidla", ["retrieval", "--checkpoint", "openai"]),
    ],
)
def test_a_benchmark_whose_files_do_not_exist_is_refused(module: str, command: list[str], tmp_path: Path) -> None:
    files = ["--annotations", str(tmp_path / "none"), "--videos", str(tmp_path / "none")]
    status, _, message = run(module, [*command, "--benchmark", "msvd", *files, "--output", str(tmp_path / "out")])
    assert status == 2
    assert str(tmp_path / "none") in message
