"""Removal of a video from a DIR with every kind of folder: nothing of it is left, and the rest is as it was."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from support.curate_runs import Ended, curate
from support.damaged_dirs import SOURCES_NAME
from support.removals import (
    GONE,
    GONE_URL,
    STAYS,
    files_with,
    full_dir,
    rebuilt_index_is_same,
    tables_of,
    videos_in,
)
from support.shard_factory import LAYER

from curation.sources.source_states import SourceStates
from shards.checks.check_dir import check
from shards.keys import shard_name, video_id
from shards.reader import read_artifact, read_table
from shards.removal.tombstones import read_tombstones
from shards.selections.selection import recipe_of
from shards.selections.selection_state import selection_states
from shards.storage.dir_lock import DirLock
from shards.storage.store import Store

ARCHIVE = Path(__file__).parents[3] / "data" / "made_by_0.1.0.tar.xz"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full DIR, not to be changed."""
    root = tmp_path_factory.mktemp("made") / "dir"
    full_dir(root)
    return root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(made, tmp_path / "dir"))


@pytest.fixture(scope="module")
def removed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A DIR from which one video was removed, not to be changed."""
    root = shutil.copytree(made, tmp_path_factory.mktemp("removed") / "dir")
    ended = remove(Store(root), "--urls", GONE_URL)
    assert ended.status == 0, ended
    return Store(root)


def remove(store: Store, *arguments: str, reason: str = "asked for") -> Ended:
    return curate("remove", store.root, *arguments, "--reason", reason)


def problems(store: Store, *, decode: bool = False) -> list[str]:
    return [f"{problem.where}: {problem.what}" for problem in check(store, decode=decode)]


def test_no_file_holds_its_keys_url_title_or_words(made: Path, removed: Store) -> None:
    root = Path(removed.root)
    needles = (GONE_URL.encode(), b"The secret title", f"{GONE}_".encode())
    assert len(files_with(made, *needles)) > 20
    assert files_with(root, *needles) == []
    books = ["ledger/0000000.parquet", "removed.parquet", SOURCES_NAME]
    assert files_with(root, GONE.encode()) == books
    assert [videos_in(removed, f"{folder}/0000000.tar") for folder in ("media", "keyframes")] == [{STAYS}] * 2


def test_the_check_passes_with_every_frame_decoded(made: Path, removed: Store) -> None:
    assert problems(Store(made)) == []
    assert problems(removed, decode=True) == []
    assert rebuilt_index_is_same(removed)


def test_the_rows_of_other_videos_stay_the_same(made: Path, removed: Store) -> None:
    for name in tables_of(removed, 0):
        before = [
            row for row in read_table(Store(made), name).to_pylist() if STAYS in (row.get("key") or row["root_key"])
        ]
        after = read_table(removed, name).to_pylist()
        assert [row | {"byte_offset": 0} for row in after] == [row | {"byte_offset": 0} for row in before]


def test_other_shards_stay_byte_for_byte(made: Path, removed: Store) -> None:
    others = [path.relative_to(made) for path in made.rglob("0000001*") if ".scratch" not in path.parts]
    assert len(others) > 8
    for path in others:
        assert (made / path).read_bytes() == (Path(removed.root) / path).read_bytes()
        assert (made / path).stat().st_mtime_ns == (Path(removed.root) / path).stat().st_mtime_ns


def test_records_name_the_present_digests_of_their_inputs(removed: Store) -> None:
    names = [*tables_of(removed, 0)[:4], f"selections/{LAYER}.parquet", "contamination/msvd.parquet"]
    for name in names:
        inputs = read_artifact(removed, name).inputs
        assert inputs, name
        assert inputs == {one: read_artifact(removed, one).digest for one in inputs}


def test_an_input_that_was_out_of_date_stays_so(store: Store) -> None:
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from shards.writer import commit_table

    name = f"text/{LAYER}/0000000.parquet"
    old = replace(read_artifact(store, name), inputs={"media/0000000.parquet": "of-older-media"})
    with TemporaryDirectory() as scratch:
        commit_table(store, Path(scratch), name, read_table(store, name), old)
    assert remove(store, "--ids", GONE).status == 0
    assert read_artifact(store, name).inputs == {"media/0000000.parquet": "of-older-media"}


def test_arrays_keep_the_rows_of_the_clips_and_roots_that_are_left(made: Path, removed: Store) -> None:
    before, after = (Path(root) / "scores/basic/0000000.looks.npy" for root in (made, removed.root))
    rows = [row["key"][:16] != GONE for row in read_table(Store(made), "media/0000000.parquet").to_pylist()]
    np.testing.assert_array_equal(np.load(after), np.load(before)[rows])
    table = read_table(removed, "features/seconds/0000000.parquet").to_pylist()
    features = np.load(Path(removed.root) / "features/seconds/0000000.npy")
    assert [row["first"] for row in table] == list(np.cumsum([0, *(row["rows"] for row in table)])[:-1])
    for row in table:
        np.testing.assert_array_equal(features[row["first"] : row["first"] + row["rows"], 0], row["times"])


def test_sources_in_are_still_written_filtered_failed_and_pending(made: Path, removed: Store) -> None:
    before, after = list(SourceStates(Store(made)).all()), list(SourceStates(removed).all())
    assert len(before) == len(after) == 8
    (state,) = [state for state in after if state.row.video_id == GONE]
    assert (state.state, state.class_, state.clips) == ("filtered", "removed_on_request", 0)
    assert [one.state for one in after if one.row.video_id != GONE] == [
        one.state for one in before if one.row.video_id != GONE
    ]
    counts = read_artifact(removed, "media/0000000.parquet").counts
    assert (counts["written"], counts["filtered"], counts["filtered:removed_on_request"]) == (1, 2, 1)
    assert counts["clips"] == read_table(removed, "media/0000000.parquet").num_rows


def test_the_tombstone_says_why_when_and_how_much(made: Path, removed: Store) -> None:
    (tombstone,) = read_tombstones(removed)
    clips = sum(row["video_id"] == GONE for row in read_table(Store(made), "media/0000000.parquet").to_pylist())
    assert (tombstone.video_id, tombstone.reason, tombstone.sources) == (GONE, "asked for", 1)
    assert tombstone.clips == clips > 3
    assert tombstone.removed_at.endswith("+00:00")


def test_a_group_of_duplicates_chooses_another_clip_and_a_single_clip_is_no_group(removed: Store) -> None:
    rows = read_table(removed, "duplicates/all.parquet").to_pylist()
    assert [row["keep"] for row in rows] == [True, False]
    assert {row["group"] for row in rows} == {rows[0]["key"]}


def test_what_a_search_for_duplicates_keeps_is_forgotten(made: Path, removed: Store) -> None:
    assert sorted(path.name for path in (made / "duplicates").iterdir()) == [".all", "all.parquet"]
    assert sorted(path.name for path in (Path(removed.root) / "duplicates").iterdir()) == ["all.parquet"]


def test_a_later_search_finds_what_a_first_one_would(store: Store, tmp_path: Path) -> None:
    search = ["--exact", "--name", "same", "--address", "local", "--quiet"]
    fresh = Store(shutil.copytree(store.root, tmp_path / "fresh"))
    assert curate("dedup", store.root, *search).status == 0
    assert remove(store, "--ids", GONE).status == remove(fresh, "--ids", GONE).status == 0
    for one in (store, fresh):
        assert curate("dedup", one.root, *search).status == 0
    found, wanted = (read_table(one, "duplicates/same.parquet").to_pylist() for one in (store, fresh))
    assert found == wanted
    assert len(found) > 4
    assert problems(store) == []


def test_a_selection_by_a_recipe_keeps_its_recipe_and_is_up_to_date(store: Store) -> None:
    arguments = ["select", store.root, "--name", "best", "--layer", LAYER, "--where", "level = 'short'"]
    assert curate(*arguments).status == 0
    recipe = recipe_of(store, "best")
    assert recipe is not None
    assert remove(store, "--ids", GONE).status == 0
    states = {state.name: state for state in selection_states(store)}
    assert recipe_of(store, "best") == recipe
    assert [states[name].out_of_date for name in (LAYER, "best")] == [None, None]
    rows = read_table(store, "selections/best.parquet").to_pylist()
    assert states["best"].counts["clips"] == len(rows)
    assert states["best"].counts["kept"] == sum(row["keep"] for row in rows)


def test_the_audit_keeps_labels_and_form_of_other_clips_and_what_mixes_clips_is_deleted(removed: Store) -> None:
    folder = f"audit/{LAYER}"
    assert sorted(removed.list(folder)) == ["labels.csv", "labels.parquet", "page.html", "sample.parquet"]
    assert [row["key"][:16] for row in read_table(removed, f"{folder}/labels.parquet").to_pylist()] == [STAYS]
    page, form = (removed.read_bytes(f"{folder}/{name}").decode() for name in ("page.html", "labels.csv"))
    assert f"{STAYS}_" in page
    assert form.count(f",{STAYS}_") == 3 * 5
    assert curate("audit", removed.root, "--layer", LAYER, "--report").status == 0


def test_logs_and_scratch_are_deleted(removed: Store) -> None:
    assert not list(Path(removed.root).glob("**/log"))
    assert not list(Path(removed.root).glob("**/.scratch*"))


def test_a_selection_keeps_its_recipe_and_can_be_made_again(store: Store) -> None:
    assert curate("select", store.root, "--name", "late", "--where", "start > 5").status == 0
    before = recipe_of(store, "late")
    assert remove(store, "--urls", GONE_URL).status == 0
    assert before is not None and recipe_of(store, "late") == before
    assert "out of date" not in curate("select", store.root).out
    left = read_table(store, "selections/late.parquet")
    assert curate("select", store.root, "--name", "late").status == 0
    assert read_table(store, "selections/late.parquet").equals(left)


def test_a_dry_run_says_what_would_go_and_changes_nothing(store: Store) -> None:
    from support.dir_contents import snapshot

    before = snapshot(Path(store.root))
    ended = remove(store, "--ids", GONE, "--dry-run")
    assert ended.status == 0
    assert GONE in ended.out
    assert "The secret title" in ended.out
    assert "would remove 1 video with" in ended.out
    assert snapshot(Path(store.root)) == before


def test_it_is_refused_while_a_run_holds_the_folder_its_features_or_scores(store: Store) -> None:
    for held in (store, Store(store.path("features")), Store(store.path("scores"))):
        with DirLock(held):
            ended = remove(store, "--ids", GONE)
        assert (ended.status, "another run holds this folder" in ended.err) == (2, True)
        assert read_tombstones(store) == []


def test_a_damaged_tar_is_refused_before_anything_changes(store: Store) -> None:
    path = Path(store.root) / "media/0000000.tar"
    data = bytearray(path.read_bytes())
    data[5000] ^= 255
    path.write_bytes(data)
    ended = remove(store, "--ids", GONE)
    assert ended.status == 2
    assert "media/0000000.tar: its content has changed" in ended.err
    assert read_tombstones(store) == []


def test_a_video_that_failed_is_removed_too(store: Store) -> None:
    url = "https://example.org/broken-0"
    assert remove(store, "--urls", url).status == 0
    assert files_with(Path(store.root), url.encode()) == []
    assert {state.class_ for state in list(SourceStates(store).all()) if state.row.video_id == video_id(url)} == {
        "removed_on_request"
    }
    assert problems(store) == []


def test_a_dir_of_schema_version_1_is_rewritten_as_such(tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (manifest,) = tmp_path.rglob("manifest.json")
    old = Store(manifest.parent)
    gone = read_table(old, "media/0000000.parquet")["video_id"].to_pylist()[0]
    assert remove(old, "--ids", gone).status == 0
    assert "keep" in read_table(old, "text/demo/0000000.parquet").column_names
    assert problems(old, decode=True) == []
    assert files_with(Path(old.root), f"{gone}_".encode()) == []


def test_bytes_of_a_shard_that_was_never_committed_are_deleted(store: Store) -> None:
    store.delete("media/0000000.parquet")
    assert remove(store, "--ids", GONE).status == 0
    stem = shard_name(0)
    assert not [name for name in (f"media/{stem}.tar", f"keyframes/{stem}.tar") if store.exists(name)]
    assert files_with(Path(store.root), GONE_URL.encode(), f"{GONE}_".encode()) == []


def test_an_empty_shard_stays_when_all_of_its_videos_are_removed(store: Store) -> None:
    assert remove(store, "--ids", GONE, STAYS).status == 0
    assert read_table(store, "media/0000000.parquet").num_rows == 0
    assert problems(store) == []


def test_the_check_names_each_file_that_holds_a_removed_video(store: Store, made: Path) -> None:
    assert remove(store, "--ids", GONE).status == 0
    names = [
        "media/0000000.tar",
        f"text/.{LAYER}-12345678/0000000.parquet",
        SOURCES_NAME,
        f"audit/{LAYER}/page.html",
    ]
    for name in names:
        shutil.copyfile(made / name, Path(store.root) / name)
    found = problems(store)
    for name, what in zip(names, ("the bytes", "rows", "sources", "names"), strict=True):
        assert any(line.startswith(f"{name}: ") and what in line and "removed video" in line for line in found), name
