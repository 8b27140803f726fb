"""`curate audit --injected` and `--fit` on a small layer, with a judge that needs no model."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.shard_factory import LAYER, build_dir

from curation.cli import main
from curation.pipeline import load_pipeline
from curation.text.rewrite_settings import RewriteSettings
from curation.view.injected.layer_claims import layer_clips
from shards.reader import read_artifact, read_table
from shards.schema import TEXT
from shards.storage.store import Store
from shards.writer import commit_table

WORDS = ["--pipeline", "demo", "--set", "rewrite.ground.judges=[words]"]
ENCODER = ["--pipeline", "demo", "--set", "rewrite.ground.judges=[words, encoder]"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A DIR whose claims cite their frames."""
    store = build_dir(tmp_path_factory.mktemp("audit") / "dir")
    for shard in range(2):
        name = f"text/{LAYER}/{shard:07d}.parquet"
        rows = read_table(store, name).to_pylist()
        for row in rows:
            frame = row["frame_captions"][0]
            claim = {"text": "There is a wall that is grey.", "verdict": "supported"}
            row["claims"] = [claim | {"evidence": [f"frame@{frame['time']:g}", "frame@999.0"]}]
        with TemporaryDirectory() as scratch:
            record = replace(read_artifact(store, name), digest="")
            commit_table(store, Path(scratch), name, pa.Table.from_pylist(rows, schema=TEXT), record)
    return store.root


def test_claims_are_read_with_the_items_that_they_cite_and_lost_citations_are_counted(root: str) -> None:
    counts: Counter[str] = Counter()
    clips = list(layer_clips(Store(root), LAYER, counts))
    claims = [claim for clip in clips for claim in clip.claims]
    assert counts["citations_lost"] >= len(claims) > 0
    assert any(claim.evidence for claim in claims)
    assert all(item.text.startswith("a grey wall at") for claim in claims for item in claim.evidence)


def test_judges_that_look_are_given_the_pictures_of_each_clip(root: str) -> None:
    (clip, *_) = layer_clips(Store(root), LAYER, Counter(), with_pictures=True)
    pictures = [item.pictures for item in clip.evidence]
    assert pictures and all(each and each.stills and each.root for each in pictures)
    (clip, *_) = layer_clips(Store(root), LAYER, Counter())
    assert {item.pictures for item in clip.evidence} == {None}


def test_the_table_is_printed_and_stored_with_every_claim(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", root, "--injected", *ENCODER]) == 0
    shown = capsys.readouterr().out
    assert "| kind | claims | words | encoder | cascade |" in shown
    figures = pq.read_table(f"{root}/audit/{LAYER}/injected.parquet").to_pylist()
    colour = next(row for row in figures if (row["judge"], row["kind"]) == ("cascade", "colour"))
    assert colour["claims"] > 0 and colour["accepted"] == 0
    claims = pq.read_table(f"{root}/audit/{LAYER}/injected_claims.parquet").to_pylist()
    assert {row["kind"] for row in claims} >= {"untouched", "colour", "negation"}
    assert all(row["claim"] != row["original"] for row in claims if row["kind"] == "colour")


def test_fitted_thresholds_are_a_settings_file_that_a_run_takes(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", root, "--fit", "0.2", *ENCODER]) == 0
    fitted = Path(root) / "audit" / LAYER / "fitted.yaml"
    settings = load_pipeline("demo", fitted, []).branch(RewriteSettings)
    assert settings.ground.judges == ("words", "encoder")
    assert f"--set rewrite.ground.encoder.threshold={settings.ground.encoder.threshold:g}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fit", "1.5"], "--fit 1.5: must be a share between 0 and 1"),
        (["--injected", "--clips", "0"], "--clips 0: must be 1 or more"),
        (["--injected", "--layer", "nothing"], "--layer"),
        (["--injected", "--pipeline", "dema"], "no such pipeline"),
        (["--injected", "--set", "rewrite.ground.judges=[wrods]"], "no judge"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    root: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", root, *WORDS, *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_fit_without_a_scoring_judge_changes_nothing(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", root, "--fit", "0.1", *WORDS]) == 2
    assert "no judge whose threshold" in capsys.readouterr().err


def labelled(root: str, tmp_path: Path, true: int, false: int) -> Path:
    """Draw a sample and write a form with so many claims labelled as true and as false."""
    assert main(["audit", root, "--sample", "500"]) == 0
    form = Path(root) / "audit" / LAYER / "labels.csv"
    with form.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    form.unlink()
    claims = [row for row in rows if row["claim"] != "0"]
    assert len(claims) >= true + false
    for number, row in enumerate(claims[: true + false]):
        row |= {"labeller": "Ana", "label": "supported" if number < true else "contradicted"}
    path = tmp_path / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_thresholds_are_fitted_from_people_s_labels_where_enough_claims_have_one(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    form = labelled(root, tmp_path, 10, 9)
    assert main(["audit", root, "--labels", str(form), "--fit", "0.3", *ENCODER]) == 0
    shown = capsys.readouterr().out
    assert "10 true and 9 false claims with evidence; 10 of each are needed" in shown and "untouched claims" in shown
    form = labelled(root, tmp_path, 10, 10)
    assert main(["audit", root, "--labels", str(form), "--fit", "0.3", *ENCODER]) == 0
    shown = capsys.readouterr().out
    assert "| supported | 10 |" in shown and "| contradicted | 10 |" in shown and "role swap" not in shown
    assert "false claims accepted" in shown and "rewrite.ground.encoder.threshold=" in shown
