"""Mistakes that need no model to be seen are reported before torch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.feature_sets import write_features
from support.shard_factory import build_dir
from support.tiny_bert import tiny_tokenizer
from support.tiny_corpus import sentences, tiny_corpus

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


@pytest.fixture(scope="module")
def made(shards: Path) -> Path:
    """A folder with a tokenised corpus `c/tokens`, its tokenizer `tokenizer` and features of the shards."""
    folder = shards.parent
    write_features(shards)
    tiny_corpus(folder / "c", sentences(60))
    tiny_tokenizer(folder / "tokenizer")
    return folder


EVALUATE = ["evaluate", "--model", "{made}/tokenizer", "--data", "{made}"]
EVAL = ["retrieval", "--checkpoint", "random:tiny", "--benchmark", "shards", "--shards", "{made}/shards"]
GROUND = ["ground", "--shards", "{made}/shards", "--features", "seconds", "--sentence", "a"]
TEACHER = ["teacher", "--shards", "{made}/shards", "--set", "model.tokenizer=path://{made}/tokenizer"]
STUDENT = ["student", "--corpus", "{made}/c/tokens"]
SHORT = "model.shape={{layers: 1, hidden: 32, heads: 2, intermediate: 64, positions: 8}}"
MISTAKES = [
    (VIDLANKD, [*TEACHER, "--features", "none"], "features 'none'"),
    (VIDLANKD, [*TEACHER, "--device", "gpu"], "compute.device='gpu': must be cpu, cuda or cuda:N"),
    (VIDLANKD, [*TEACHER, "--set", "data.text=[none]"], "data.text='none': no text column"),
    (VIDLANKD, [*TEACHER, "--output", "/proc/run"], "--output /proc/run: can't be written"),
    (VIDLANKD, [*TEACHER, "--set", "model.tokenizer=path://{made}/shards"], "{made}/shards"),
    (VIDLANKD, ["student"], "--corpus: name at least one folder"),
    (VIDLANKD, [*STUDENT, "--set", "teacher.cache=/tmp/c"], "nothing to cache without teacher.teacher"),
    (VIDLANKD, [*STUDENT, "--teacher", "{made}/c", "--set", "teacher.cache=/tmp/c"], "static_copies=None"),
    (VIDLANKD, [*STUDENT, "--teacher", "{made}/shards"], "holds no vidlankd-teacher model"),
    (VIDLANKD, [*STUDENT, "--set", SHORT], "model.shape.positions=8: blocks of the corpus have 16 tokens"),
    (VIDLANKD, [*STUDENT, "--output", "/proc/run"], "--output /proc/run: can't be written"),
    (VIDLANKD, ["features", "--shards", "{made}/shards", "--encoder", "clip:random:tiny", "--device", "x"], "device="),
    (VIDLANKD, ["export", "--checkpoint", "{made}/shards", "--output", "{made}/bert"], "no student and no teacher"),
    (VIDLANKD, ["evaluate", "--model", "{made}/none"], "there is no such folder"),
    (
        VIDLANKD,
        [*EVALUATE, "--tasks", "qnli,sst3"],
        "there is no task sst3 (did you mean 'sst2'?); choose from sst2,qnli",
    ),
    (VIDLANKD, [*EVALUATE, "--tasks", "sst2,sst2"], "sst2 is named twice; name it once"),
    (VIDLANKD, [*EVALUATE, "--tasks", ""], "--tasks '': names no task; choose from sst2,qnli"),
    (VIDLANKD, ["student", "--corpus", "{made}/none"], "{made}/none: there is no such folder; check the path"),
    (VIDLANKD, ["student", "--corpus", "{made}/shards"], "is a DIR of shards; tokenize its texts with"),
    (VIDLANKD, [*GROUND, "--teacher", "{made}/c"], "holds no vidlankd-teacher model"),
    (VIDLANKD, [*GROUND, "--teacher", "x", "--top", "0"], "--top 0: must be at least 1"),
    (VIDLA, ["--shards", "{made}/shards", "--set", "loss.terms={{a: none}}"], "loss.terms.a='none'"),
    (VIDLA, ["--shards", "{made}/shards", "--device", "tpu"], "compute.device='tpu'"),
    (VIDLA, ["--shards", "{made}/shards", "--output", "/proc/run"], "--output /proc/run: can't be written"),
    ("training.vidla.eval_vidla", [*EVAL, "--device", "tpu"], "--device tpu: must be cpu, cuda or cuda:N"),
]


@pytest.mark.parametrize(("module", "command", "words"), MISTAKES)
def test_a_mistake_that_needs_no_model_is_told_before_torch_is_imported(
    module: str, command: list[str], words: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, message = run(module, [part.format(made=made) for part in command])
    assert status == 2
    assert words.format(made=made) in message.splitlines()[-1]


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


@pytest.mark.parametrize(
    ("module", "given", "hint"),
    [
        (VIDLA, ["--lr", "3"], "unrecognized arguments: --lr 3 (write --set optim.lr=VALUE)"),
        (VIDLA, ["--window-shards=3"], "(write --set data.window_shards=VALUE)"),
        (VIDLANKD, ["teacher", "--shards", "x", "--weight-decay", "3"], "(write --set optim.weight_decay=VALUE)"),
        (VIDLA, ["--resume", "latest"], "--resume auto continues from the newest checkpoint"),
    ],
)
def test_a_flag_that_is_a_setting_or_another_word_gets_a_hint(module: str, given: list[str], hint: str) -> None:
    status, _, message = run(module, given)
    assert status == 2
    assert hint in message
