"""The worked extensions in CONTRIBUTING.md: each is one file and one line, and works as the text says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow  # starts `curate` five times

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = r"\n```python\n(?P<code>.*?)```"
LINES = {
    "FILTERS": "REPETITION_FILTER",
    "SCORE_KINDS": "COLOURFULNESS",
    "ENGINE_KINDS": "EngineKind(ReplaySettings, ReplayEngine)",
    "STAGES": "WORDS_PER_LEVEL",
}
MADE_WITH = ["rewrite.engine=null", "media.video.transcribe.asr=null", "val_percent=50.0"]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with the four files added and one line of registration each."""
    folder = tmp_path_factory.mktemp("extended")
    for package in ("curation", "runtime", "shards"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pipelines.yaml", folder)
    for found in re.finditer(rf"<!-- file: (?P<path>\S+) -->{BLOCK}", TEXT, re.DOTALL):
        assert not (folder / found["path"]).exists()
        (folder / found["path"]).write_text(found["code"], encoding="utf-8")
    for found in re.finditer(rf"<!-- register: (?P<path>\S+) (?P<name>\w+) -->{BLOCK}", TEXT, re.DOTALL):
        register(folder / found["path"], found["name"], found["code"])
    return folder


def register(path: Path, name: str, imported: str) -> None:
    """Add the import and the one line at the end of a registry's tuple."""
    assert f"Add `{LINES[name]}` to `{name}`" in " ".join(TEXT.split())
    source = path.read_text(encoding="utf-8")
    changed = re.sub(
        rf"(\n{name}\b[^\n]*= \(\n.*?)(\n\))", rf"\1\n    {LINES[name]},\2", source, count=1, flags=re.DOTALL
    )
    assert changed != source
    path.write_text(
        changed.replace("from __future__ import annotations\n", f"from __future__ import annotations\n{imported}", 1)
    )


@pytest.fixture
def curated(tmp_path: Path) -> Path:
    """A folder with a small finished DIR, `shards`, and the videos it was made from, `input`."""
    with tarfile.open(REPOSITORY / "tests" / "data" / "made_by_0.1.0.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def curate(extended: Path, folder: Path, *given: str) -> str:
    """Run `curate` of the extended copy in `folder`, without Ray; return what it prints."""
    changes = [part for change in MADE_WITH for part in ("--set", change)]
    command = [sys.executable, "-m", "curation.cli", "run", "demo", *changes, *given]
    environment = os.environ | {"PYTHONPATH": str(extended), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def rows(folder: Path) -> list[dict[str, object]]:
    """All rows of the tables in a folder."""
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_the_filter_marks_clips_with_its_own_reason(extended: Path, curated: Path) -> None:
    given = ["--output", "shards", "--stages", "select", "--address", "local"]
    curate(extended, curated, *given, "--set", "filters.max_repetition=0.1")
    reasons = {row["filter_reason"] for row in rows(curated / "shards" / "selections")}
    assert "repetition" in reasons


def test_the_score_is_a_column_of_its_set(extended: Path, curated: Path) -> None:
    given = ["--output", "shards", "--stages", "score", "--address", "local", "--set", "score.name=colours"]
    curate(extended, curated, *given, "--set", "score.scores=[colourfulness]")
    values = [row["colourfulness"] for row in rows(curated / "shards" / "scores" / "colours")]
    assert values and all(isinstance(value, float) and value >= 0 for value in values)


def test_the_engine_answers_from_its_file(extended: Path, curated: Path) -> None:
    answers = [{"prompt": "red square", "answer": "A red square fills the picture."}]
    (curated / "answers.jsonl").write_text("\n".join(json.dumps(line) for line in answers))
    engine = "engines.llm={kind: replay, model: recorded, answers: answers.jsonl}"
    changes = ["--set", engine, "--set", "rewrite.engine=llm", "--set", "rewrite.summarize_over_words=2"]
    curate(
        extended,
        curated,
        "--output",
        "shards",
        "--layer",
        "replayed",
        "--stages",
        "caption,rewrite",
        *changes,
        "--address",
        "local",
    )
    made = rows(curated / "shards" / "text" / "replayed")
    (red,) = [row for row in made if "red square" in str(row["subtitle"])]
    assert red["subtitle_summary"] == "A red square fills the picture."
    assert {row["models"]["rewriter"] for row in made} == {"recorded"}  # type: ignore[index]


def test_the_stage_makes_its_table_once(extended: Path, curated: Path) -> None:
    given = ["--output", "shards", "--stages", "words_per_level", "--address", "local"]
    curate(extended, curated, *given, "--set", "words_per_level.column=subtitle")
    (table,) = [rows(curated / "shards" / "selections")]
    assert {row["level"] for row in table} == {"short"}
    assert sum(int(str(row["words"])) for row in table) > 0
    assert "nothing to do" in curate(extended, curated, *given, "--set", "words_per_level.column=subtitle")
