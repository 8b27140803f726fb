"""Annotation files of every benchmark: real samples where they are at hand, and files of other forms."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.benchmark_files import write_annotations

from curation.selection.decontamination.benchmark_items import read_items
from curation.selection.decontamination.benchmark_registry import BENCHMARKS, benchmark_named
from runtime.errors import UserError


@pytest.mark.parametrize(
    ("benchmark", "files", "count", "site"),
    [
        ("msrvtt", ["MSRVTT/MSRVTT_JSFUSION_test.csv"], 1000, None),
        ("didemo", ["didemo/val_data.json", "collaborative-experts/didemo/val_list.txt"], 1065, "flickr:"),
        ("activitynet", ["activitynet/anet_entities_val_1.json"], 2460, "youtube:"),
        ("activitynet", ["activitynet/anet_entities_val_1_para.json"], 2460, "youtube:"),
        ("msvd", ["MSVD/test_list.txt"], 670, "youtube:"),
    ],
)
def test_published_files_are_read(
    benchmark: str, files: list[str], count: int, site: str | None, shared_fixtures: Path
) -> None:
    items = read_items(BENCHMARKS[benchmark], [shared_fixtures / "anno" / name for name in files])
    assert len(items) == count
    assert all(item.sites and item.sites[0].startswith(site) for item in items) if site else not items[0].sites
    assert any(item.texts for item in items) or benchmark == "msvd"


KINETICS = ("kinetics400", "kinetics600", "kinetics700")
FILES = {
    "msrvtt": {
        "videos": [
            {
                "video_id": "video1",
                "url": "https://www.youtube.com/watch?v=9lZi22qLlEo",
                "start time": 137.72,
                "end time": 149.44,
            }
        ],
        "sentences": [{"video_id": "video1", "caption": "a car is shown"}],
    },
    "didemo": [{"video": "12090392@N02_13482799053_87ef417396.mov", "description": "a man waves"}],
    "activitynet": {"v_uqiMw7tQ1Cc": {"sentences": ["One.", "Two."]}},
    "msvd": {"eyhzdC936uk_15_27": ["a cat sits"]},
    "vatex": [{"videoID": "Ptf_2VRj-V0_000122_000132", "enCap": ["a person swims"]}],
    **dict.fromkeys(KINETICS, "label,youtube_id,time_start,time_end,split\nabseiling,0wR5jVB-WPk,417,427,val\n"),
    "ssv2": [{"id": "78687", "label": "holding a pen", "template": "Holding [something]"}],
    "ucf101": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\n",
    "hmdb51": "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \n",
    "lsmdc": "1004_Juno_00.00.32.022-00.00.33.825\t0\t1\t0\t1\tSOMEONE looks.\n",
}
LISTS = ("ucf101", "hmdb51")  # fmt: skip
SITES = {
    "msrvtt": "youtube:9lZi22qLlEo", "didemo": "flickr:13482799053", "activitynet": "youtube:uqiMw7tQ1Cc",
    "msvd": "youtube:eyhzdC936uk", "vatex": "youtube:Ptf_2VRj-V0", **dict.fromkeys(KINETICS, "youtube:0wR5jVB-WPk"),
}  # fmt: skip


def written(folder: Path, benchmark: str) -> Path:
    value = FILES[benchmark]
    path = folder / f"{benchmark}.{'json' if not isinstance(value, str) else 'txt' if benchmark in LISTS else 'csv'}"
    write_annotations(path, value)
    return path


@pytest.mark.parametrize("benchmark", sorted(BENCHMARKS))
def test_every_benchmark_gives_ids_and_sites(tmp_path: Path, benchmark: str) -> None:
    (item,) = read_items(BENCHMARKS[benchmark], [written(tmp_path, benchmark)])
    assert item.sites == ((SITES[benchmark],) if benchmark in SITES else ())
    assert item.texts or benchmark in (*KINETICS, *LISTS)


@pytest.mark.parametrize("benchmark", sorted(BENCHMARKS))
@pytest.mark.parametrize("other", sorted(BENCHMARKS))
def test_a_file_of_another_benchmark_is_refused(tmp_path: Path, benchmark: str, other: str) -> None:
    of_one_form = {benchmark, other} <= set(KINETICS) or (benchmark, other) == ("vatex", "msvd")
    if benchmark == other or of_one_form:
        return
    path = written(tmp_path, other)
    with pytest.raises(UserError, match=rf"{path.name}.*; {benchmark} is read from"):
        read_items(BENCHMARKS[benchmark], [path])


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "null", '{"videos": [], "sentences": []}', "video_id\n"])
def test_a_file_without_videos_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / ("list.csv" if content.startswith("video_id") else "file.json")
    path.write_text(content)
    with pytest.raises(UserError, match=path.name):
        read_items(BENCHMARKS["msrvtt"], [path])


def test_a_list_chooses_among_the_videos_of_other_files(tmp_path: Path) -> None:
    data = {"eyhzdC936uk_15_27": ["a cat sits"], "f-24IxG9ijw_25_40": ["a dog runs"]}
    write_annotations(tmp_path / "raw-captions.json", data)
    (tmp_path / "test_list.txt").write_text("f-24IxG9ijw_25_40\n")
    (item,) = read_items(BENCHMARKS["msvd"], [tmp_path / "raw-captions.json", tmp_path / "test_list.txt"])
    assert (item.id, item.span, item.texts) == ("f-24IxG9ijw_25_40", (25.0, 40.0), ("a dog runs",))


def test_a_file_that_is_not_there_is_named_with_those_that_are_published(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.json: no such file; vatex has test_list.txt, vatex_data.json"):
        read_items(BENCHMARKS["vatex"], [tmp_path / "none.json"])


def test_an_unknown_benchmark_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"--benchmark msrvt: no such benchmark \(did you mean 'msrvtt'\?\)"):
        benchmark_named("msrvt")


def test_names_are_those_of_the_evaluation() -> None:
    from training.evaluation.benchmarks.classification.classification_registry import CLASSIFICATION_BENCHMARKS
    from training.evaluation.benchmarks.retrieval.retrieval_registry import RETRIEVAL_BENCHMARKS

    assert set(BENCHMARKS) == set(RETRIEVAL_BENCHMARKS) | set(CLASSIFICATION_BENCHMARKS) - {"folder"}
