"""What release 0.1.0 wrote is read today: a DIR, features, tokens, and checkpoints of all three trainings.

`data/made_by_0.1.0.tar.xz` was made with the commands below from four generated videos of coloured squares;
`losses_of_steps_5_and_6.json` in it holds what 0.1.0 logged when it resumed the same checkpoints.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from support.commands import here
from transformers import AutoModel

from curation.cli import main as curate
from training.vidla.eval_vidla import main as eval_vidla
from training.vidla.train_vidla import main as train_vidla
from training.vidlankd.train_vidlankd import main as train_vidlankd

pytestmark = pytest.mark.slow

ARCHIVE = Path(__file__).parent / "data" / "made_by_0.1.0.tar.xz"
SHAPE = "model.shape={layers: 1, hidden: 16, heads: 2, intermediate: 32, positions: 64}"
CURATED_WITH = ["rewrite.engine=null", "media.video.transcribe.asr=null", "val_percent=50.0"]


@pytest.fixture
def made_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpack what 0.1.0 made and work in that folder, as its paths are relative."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def resumed(*given: str) -> list[str]:
    """The arguments of a run of six steps that goes on from the checkpoint of step 4."""
    changes = ("loop.log_every=1", "loop.save_every=4", "optim.lr=1e-3", "compute.threads=1")
    flags = ["--steps", "6", "--device", "cpu", "--resume", "auto"]
    return [*given, *flags, *(part for change in changes for part in ("--set", change))]


def losses_of(run: Path) -> dict[str, dict[str, float]]:
    """Logged losses of the steps after the fourth, by step and term."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        str(row["step"]): {name.removeprefix("loss/"): row[name] for name in row if name.startswith("loss/")}
        for row in rows
        if row["kind"] == "train" and row["step"] > 4
    }


def assert_same_losses(run: Path) -> None:
    """The losses of a resumed run are those that 0.1.0 logged."""
    expected = json.loads(Path("losses_of_steps_5_and_6.json").read_text())[run.name]
    found = losses_of(run)
    assert found.keys() == expected.keys()
    for step, terms in expected.items():
        assert found[step] == pytest.approx(terms, rel=1e-3, abs=1e-5)


def test_a_new_layer_is_written_over_its_media(made_before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = [part for change in CURATED_WITH for part in ("--set", change)]
    layer = ["--stages", "caption,rewrite", "--layer", "new", "--address", "local"]
    assert here(curate, ["run", "demo", "--output", "shards", *changes, *layer]) == 0
    tables = {path.name for path in Path("shards/text/new").glob("*.parquet")}
    assert tables == {path.name for path in Path("shards/text/demo").glob("*.parquet")}


def test_new_media_beside_media_of_another_stage_version_is_refused_with_the_remedy(
    made_before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [part for change in CURATED_WITH for part in ("--set", change)]
    assert here(curate, ["run", "demo", "--output", "shards", *changes]) == 2
    assert "the program has changed" in capsys.readouterr().err


def test_a_curated_dir_passes_its_check_and_is_shown(made_before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert here(curate, ["check", "shards"]) == 0
    assert here(curate, ["status", "shards"]) == 0
    capsys.readouterr()
    assert here(curate, ["inspect", "shards"]) == 0
    assert "A red square fills the picture." in capsys.readouterr().out


def test_a_curated_dir_is_exported(made_before: Path) -> None:
    assert here(curate, ["export", "shards", "--format", "webdataset", "--output", "tars", "--unit", "clip"]) == 0
    with tarfile.open(next(Path("tars").glob("*.tar"))) as archive:
        assert {Path(name).suffix for name in archive.getnames()} >= {".mp4", ".json"}


def test_features_need_nothing(made_before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["features", "--shards", "shards", "--encoder", "clip:random:tiny", "--name", "tiny", "--device", "cpu"]
    assert here(train_vidlankd, given) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_vidla_resumes_to_the_same_losses(made_before: Path) -> None:
    given = ["--shards", "shards", "--init", "random:architecture.json", "--output", "vidla", "--frames", "6"]
    given += ["--batch-size", "4", "--set", "data.workers=0", "--set", "loss.terms={subtitle: subtitle}"]
    assert here(train_vidla, resumed(*given)) == 0
    assert_same_losses(Path("vidla"))


def test_vidla_checkpoint_is_scored(made_before: Path) -> None:
    given = ["retrieval", "--checkpoint", "vidla/checkpoints/step-00000004", "--benchmark", "shards"]
    given += ["--shards", "shards", "--text", "subtitle", "--device", "cpu", "--frames", "6"]
    assert here(eval_vidla, given) == 0


def test_vidla_checkpoint_scores_every_clip(made_before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["score", "--checkpoint", "vidla/checkpoints/step-00000004", "--shards", "shards", "--name", "seen"]
    assert here(eval_vidla, [*given, "--text", "subtitle", "--device", "cpu", "--frames", "6"]) == 0
    assert "0 matches" not in capsys.readouterr().out
    assert here(curate, ["check", "shards"]) == 0


def test_a_teachers_run_is_refused_since_its_masks_would_be_others(
    made_before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["teacher", "--shards", "shards", "--features", "tiny", "--output", "teacher", "--batch-size", "2"]
    given += ["--set", SHAPE, "--set", f"model.tokenizer=path://{made_before}/vocabulary", "--set", "model.block=32"]
    assert here(train_vidlankd, resumed(*given, "--set", "data.text=[subtitle]")) == 2
    assert "or the version's rules of masking" in capsys.readouterr().err


def test_a_students_run_is_refused_since_its_masks_would_be_others(
    made_before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["student", "--corpus", "tokens", "--output", "student", "--batch-size", "2"]
    given += ["--teacher", "teacher/checkpoints/step-00000004", "--set", "loss.queue=16", "--set", "data.held_out=0.1"]
    assert here(train_vidlankd, resumed(*given, "--set", SHAPE)) == 2
    assert "or the version's rules of masking" in capsys.readouterr().err


def test_a_student_is_exported_as_a_plain_bert(made_before: Path) -> None:
    assert here(train_vidlankd, ["export", "--checkpoint", "student/best", "--output", "bert"]) == 0
    assert AutoModel.from_pretrained("bert").config.hidden_size == 16
