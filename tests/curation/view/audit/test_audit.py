"""`curate audit`: from a DIR to a page, from labels to a report, on layers of both schema versions."""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from statsmodels.stats.proportion import proportion_confint
from support.audits import claim, set_claims
from support.curate_runs import curate
from support.damaged_dirs import rewrite_table
from support.shard_factory import LAYER, build_dir

from shards.manifest import StageMark, write_stage
from shards.storage.store import Store

ARCHIVE = Path(__file__).parents[3] / "data" / "made_by_0.1.0.tar.xz"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR of 12 videos in which each clip has a claim that was kept and one that a judge dropped."""
    store = build_dir(tmp_path / "dir", shards=2, videos_per_shard=6)
    set_claims(
        store,
        LAYER,
        lambda row: [
            claim(f"kept of {row['key']}", "supported", "text", 0.9),
            claim(f"dropped of {row['key']}", "unsupported", "text", 0.2),
        ],
    )
    return store


def folder(store: Store) -> Path:
    return Path(store.root) / "audit" / LAYER


def form_rows(store: Store) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder(store) / "labels.csv").read_text(encoding="utf-8-sig"))))


def fill(store: Store, path: Path, said: dict[str, str], labeller: str = "Ana") -> Path:
    """Write the form of a DIR, with labels by the beginning of the claims' texts."""
    rows = form_rows(store)
    for row in rows:
        begin = row["text"].split(" ")[0] if row["claim"] != "0" else "clip"
        row |= {"labeller": labeller, "label": said.get(begin, "")}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_sample_is_a_page_a_form_and_a_table(store: Store) -> None:
    done = curate("audit", store.root, "--sample", "20")
    assert done.status == 0, done.err
    sample = pq.read_table(folder(store) / "sample.parquet").to_pylist()
    assert len(sample) == 20
    assert {row["level"] for row in sample} == {"short", "medium", "long"}
    assert len(form_rows(store)) == 20 * 3
    page = (folder(store) / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") >= 20 * 8
    assert [row["claims"][0]["judge"] for row in sample] == ["text"] * 20


@pytest.mark.parametrize("seconds", [1.0, 100.0])
def test_the_words_shown_have_the_spans_that_the_layer_was_made_with(store: Store, seconds: float) -> None:
    write_stage(store, f"text/{LAYER}", StageMark("rewrite", "h", {"span_seconds": seconds}))
    assert curate("audit", store.root, "--sample", "5").status == 0
    clips = pq.read_table(folder(store) / "sample.parquet").to_pylist()
    ids = [item["id"] for clip in clips for item in clip["evidence"]]
    spans = [id_.removeprefix("words@").split("-") for id_ in ids if id_.startswith("words@")]
    lengths = [float(end) - float(start) for start, end in spans]
    assert lengths and max(lengths) <= seconds
    assert (max(lengths) > 5.0) == (seconds > 5.0)


def test_strata_count_all_clips_of_the_layer(store: Store) -> None:
    curate("audit", store.root, "--sample", "20")
    sample = pq.read_table(folder(store) / "sample.parquet").to_pylist()
    sizes = {row["stratum"]: row["stratum_clips"] for row in sample}
    assert sum(sizes.values()) == pq.read_table(Path(store.root) / "text" / LAYER).num_rows


def test_a_seed_draws_the_same_clips_and_another_seed_others(store: Store) -> None:
    def keys(seed: int) -> list[str]:
        assert curate("audit", store.root, "--sample", "12", "--seed", str(seed)).status == 0
        return [str(row["key"]) for row in pq.read_table(folder(store) / "sample.parquet").to_pylist()]

    first = keys(1)
    assert keys(1) == first
    assert keys(2) != first


def test_labels_of_two_people_give_a_report(store: Store, tmp_path: Path) -> None:
    assert curate("audit", store.root, "--sample", "500").status == 0
    clips = len(form_rows(store)) // 3
    said = {"kept": "supported", "dropped": "contradicted", "clip": "complete"}
    ana = fill(store, tmp_path / "ana.csv", said)
    bea = fill(store, tmp_path / "bea.csv", {**said, "dropped": "supported"}, "Bea")
    assert curate("audit", store.root, "--labels", str(ana)).status == 0
    done = curate("audit", store.root, "--labels", str(bea), "--report")
    assert done.status == 0, done.err
    labels = pq.read_table(folder(store) / "labels.parquet").to_pylist()
    assert len(labels) == 2 * 3 * clips

    report: dict[str, Any] = json.loads((folder(store) / "report.json").read_text())
    figures = report["figures"]
    (kept,) = [each for each in figures["steps"] if (each["group"], each["step"]) == ("all", "kept")]
    low, high = proportion_confint(clips, clips, method="wilson")
    assert kept["precision"]["value"] == 1.0
    assert kept["precision"]["interval"]["low"] == pytest.approx(low)
    assert kept["precision"]["interval"]["high"] == pytest.approx(high)
    (people,) = figures["people"]
    assert people["agreement"]["agreed"] == pytest.approx(0.5)
    assert figures["labellers"] == ["Ana", "Bea"]
    table = pq.read_table(folder(store) / "report.parquet").to_pylist()
    (row,) = [row for row in table if (row["group"], row["name"], row["figure"]) == ("all", "kept", "precision")]
    assert (row["value"], row["low"]) == (1.0, pytest.approx(low))
    clips_said = {each["group"]: (each["clips"], each["without_text"]) for each in report["abstentions"]}
    assert clips_said["all"] == (clips, 0)
    assert sum(number for group, (number, _) in clips_said.items() if group.startswith("language")) == clips
    assert "after text" in done.out and "Cohen" in done.out
    assert (folder(store) / "report.svg").read_text().startswith("<svg")


def test_a_condition_narrows_what_is_drawn_and_what_the_report_is_about(store: Store, tmp_path: Path) -> None:
    where = "level = 'short' and source like '%/0-%'"
    ended = curate("audit", store.root, "--sample", "100", "--where", where)
    assert ended.status == 0, ended.err
    clips = pq.read_table(folder(store) / "sample.parquet").to_pylist()
    texts = pq.read_table(Path(store.root) / f"text/{LAYER}/0000000.parquet").to_pylist()
    wanted = {row["key"] for row in texts if row["level"] == "short"}
    assert {clip["key"] for clip in clips} == wanted
    assert f"of {len(wanted)} clips of layer {LAYER} where {where}" in ended.out
    labels = fill(store, tmp_path / "labels.csv", {"kept": "supported", "dropped": "contradicted"})
    reported = curate("audit", store.root, "--labels", labels, "--report")
    assert f"audit of layer {LAYER} where {where}" in " ".join(reported.out.split())
    said = json.loads((folder(store) / "report.json").read_text())
    assert said["where"] == where
    assert {row["group"]: row["clips"] for row in said["abstentions"]}["all"] == len(wanted)


def test_labels_are_not_lost_to_another_sample(store: Store, tmp_path: Path) -> None:
    curate("audit", store.root, "--sample", "6")
    filled = fill(store, tmp_path / "ana.csv", {"kept": "supported"})
    assert curate("audit", store.root, "--labels", str(filled)).status == 0
    refused = curate("audit", store.root, "--sample", "6", "--seed", "9")
    assert refused.status == 2
    assert "labels" in refused.err and "--seed" in refused.err
    assert curate("audit", store.root, "--sample", "6").status == 0


def test_a_form_that_is_filled_in_is_not_overwritten(store: Store) -> None:
    curate("audit", store.root, "--sample", "6")
    fill(store, folder(store) / "labels.csv", {"kept": "supported"})
    refused = curate("audit", store.root, "--sample", "6")
    assert refused.status == 2 and "--labels" in refused.err
    assert "supported" in (folder(store) / "labels.csv").read_text()


def test_refused_rows_are_counted_by_reason(store: Store, tmp_path: Path) -> None:
    curate("audit", store.root, "--sample", "6")
    filled = fill(store, tmp_path / "ana.csv", {"kept": "supported", "dropped": "perhaps"})
    done = curate("audit", store.root, "--labels", str(filled))
    assert done.status == 0
    assert "6 rows refused as unknown_label" in done.out and "6 labels of Ana stored" in done.out


def test_a_file_without_one_label_is_a_mistake(store: Store) -> None:
    curate("audit", store.root, "--sample", "6")
    done = curate("audit", store.root, "--labels", str(folder(store) / "labels.csv"))
    assert done.status == 2
    assert "18 rows without a label" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--sample N, --labels FILE"),
        (["--report"], "no sample of layer"),
        (["--report", "--where", "keep"], "--where: says which clips --sample draws from"),
        (["--sample", "5", "--where", "nothing = 1"], "--where 'nothing = 1'"),
        (["--sample", "5", "--where", "false"], "has no clips where false"),
        (["--sample", "100000"], "2000 at most"),
        (["--sample", "0"], "whole number"),
        (["--labels", "none.csv"], "no sample of layer"),
        (["--sample", "5", "--layer", "groundet"], "did you mean 'grounded'"),
        (["--sample", "5", "--labels", "none.csv"], "no such file"),
        (["--sample", "5", "--report"], "no labels of layer"),
    ],
)
def test_mistakes_end_in_one_line(store: Store, arguments: list[str], message: str) -> None:
    done = curate("audit", store.root, *arguments)
    assert done.status == 2
    assert message in done.err.splitlines()[-1]


def test_a_layer_without_clips_is_told(store: Store) -> None:
    for shard in range(2):
        rewrite_table(store, f"text/{LAYER}/{shard:07}.parquet", lambda rows: rows.clear())
    done = curate("audit", store.root, "--sample", "5")
    assert done.status == 2 and "has no clips" in done.err


@pytest.mark.parametrize("name", ["sample.parquet", "labels.parquet"])
def test_damaged_tables_of_an_audit_end_in_one_line(store: Store, tmp_path: Path, name: str) -> None:
    curate("audit", store.root, "--sample", "6")
    curate("audit", store.root, "--labels", str(fill(store, tmp_path / "ana.csv", {"kept": "supported"})))
    for damage in (b"PAR1", (Path(store.root) / "index.parquet").read_bytes()):
        (folder(store) / name).write_bytes(damage)
        done = curate("audit", store.root, "--report")
        assert done.status == 2 and name in done.err


def test_judges_are_shown_in_the_order_of_the_settings(store: Store, tmp_path: Path) -> None:
    write_stage(
        store, f"text/{LAYER}", StageMark("rewrite", "h", {"ground": {"judges": ["words", "vision", "encoder"]}})
    )
    verdicts = [("words", "supported"), ("encoder", "unsupported"), ("vision", "unsupported")]
    set_claims(store, LAYER, lambda row: [claim(judge, verdict, judge) for judge, verdict in verdicts])
    curate("audit", store.root, "--sample", "6")
    filled = fill(store, tmp_path / "ana.csv", dict.fromkeys(["words", "encoder", "vision"], "supported"))
    assert curate("audit", store.root, "--labels", str(filled), "--report").status == 0
    report: dict[str, Any] = json.loads((folder(store) / "report.json").read_text())
    steps = [each["step"] for each in report["figures"]["steps"] if each["group"] == "all"]
    assert steps == ["as written", "after words", "after vision", "after encoder", "kept"]


def test_a_layer_made_anew_is_told(store: Store, tmp_path: Path) -> None:
    curate("audit", store.root, "--sample", "6")
    filled = fill(store, tmp_path / "ana.csv", {"kept": "supported"})
    curate("audit", store.root, "--labels", str(filled))
    set_claims(store, LAYER, lambda row: [claim("another")])
    done = curate("audit", store.root, "--report")
    assert done.status == 0
    assert "made anew" in done.out


def test_a_clip_whose_video_is_damaged_shows_its_keyframes(store: Store) -> None:
    tar = Path(store.root) / "media" / "0000000.tar"
    tar.write_bytes(b"\0" * tar.stat().st_size)
    done = curate("audit", store.root, "--sample", "500")
    assert done.status == 0, done.err
    assert re.search(r"\d+ clips without video", done.out)
    assert "without pictures" not in done.out


def test_a_dir_without_media_can_still_be_labelled(store: Store) -> None:
    for name in ("media", "keyframes"):
        (Path(store.root) / name / "0000001.tar").unlink()
    done = curate("audit", store.root, "--sample", "500")
    assert done.status == 0, done.err
    assert re.search(r"\d+ clips without pictures", done.out)


def test_sites_and_languages_make_strata(store: Store) -> None:
    def change(rows: list[Any]) -> None:
        for number, row in enumerate(rows):
            row["source"] = ["https://www.a.org/1", "https://user@m.b.org:80/2", "/data/x.mp4"][number % 3]
            row["language"] = ["en", None][number % 2]

    rewrite_table(store, f"text/{LAYER}/0000000.parquet", change)
    curate("audit", store.root, "--sample", "500")
    strata = {row["stratum"] for row in pq.read_table(folder(store) / "sample.parquet").to_pylist()}
    parts = [set(each) for each in zip(*(name.split(", ") for name in strata), strict=True)]
    assert {"a.org", "b.org", "files", "example.org"} == parts[2]
    assert {"en", "no speech"} == parts[3]


def test_check_has_nothing_against_an_audit(store: Store) -> None:
    before = curate("check", store.root, "--quick")
    curate("audit", store.root, "--sample", "6")
    after = curate("check", store.root, "--quick")
    assert (after.status, after.out) == (before.status, before.out)


def test_a_layer_of_version_1_is_audited(tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (manifest,) = [path for path in tmp_path.rglob("manifest.json") if (path.parent / "text").is_dir()]
    done = curate("audit", str(manifest.parent), "--sample", "10")
    assert done.status == 0, done.err
    (sample,) = manifest.parent.glob("audit/*/sample.parquet")
    rows = pq.read_table(sample).to_pylist()
    assert rows and all(item["judge"] is None for row in rows for item in row["claims"])
    clip = rows[0]
    lines = f"key,claim,label,note\n{clip['key']},0,incomplete,a square\n"
    (tmp_path / "labels.csv").write_text(lines)
    done = curate("audit", str(manifest.parent), "--labels", str(tmp_path / "labels.csv"), "--report")
    assert done.status == 0, done.err
    assert "anonymous" in done.out
