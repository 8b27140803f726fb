"""The source over DIRs: every root once, in a reproducible order; wrong settings are refused by name."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.curate_runs import curate
from support.selections import marked_rows, write_selection
from support.shard_factory import build_dir

from runtime.errors import UserError
from shards.errors import ShardError
from shards.index import rebuild_index
from shards.manifest import StageMark, write_stage
from shards.reader import read_artifact, read_table
from shards.schema import SELECTION
from shards.storage.store import Store
from shards.writer import commit_table
from training.data.clip_tasks import RootTask
from training.data.data_settings import DataSettings
from training.data.sources import shard_source
from training.data.sources.shard_source import ShardSource

LAYERS = (("grounded", 1.0), ("other", 3.0))
TERMS = {"subtitle": "subtitle_summary", "caption": ["grounded_text", "caption"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "dir"
    build_dir(folder, shards=4, videos_per_shard=3)
    return folder


def source(*roots: Path, terms: object = None, seed: int = 1, split: str = "train", **changes: object) -> ShardSource:
    settings = {"shards": tuple(map(str, roots)), "window_shards": 2, "clips_per_root": 2} | changes
    return ShardSource(DataSettings.model_validate(settings), terms or TERMS, seed, split)  # type: ignore[arg-type]


def second_layer(root: Path, name: str) -> None:
    """Copy the text layer and its selection, with the layer's name in front of every grounded text."""
    shutil.copy(root / "selections" / "grounded.parquet", root / "selections" / f"{name}.parquet")
    shutil.copytree(root / "text" / "grounded", root / "text" / name)
    for path in (root / "text" / name).glob("*.parquet"):
        table = pq.read_table(path)
        column = table.column_names.index("grounded_text")
        texts = [f"{name}: {text}" for text in table["grounded_text"].to_pylist()]
        pq.write_table(table.set_column(column, table.schema.field(column), [texts]), path)


def keys(tasks: list[RootTask]) -> list[str]:
    return [task.key for task in tasks]


def test_an_epoch_yields_every_root_of_the_split_once(root: Path) -> None:
    data = source(root)
    tasks = list(data.epoch(0))
    rows = marked_rows(root, "grounded")
    expected = sorted(row["key"] for row in rows if row["parent_key"] is None and row["split"] == "train")
    assert sorted(keys(tasks)) == expected and len(tasks) == data.num_roots


def test_the_order_differs_by_epoch_and_seed_and_is_reproducible(root: Path) -> None:
    first = keys(list(source(root).epoch(0)))
    assert first == keys(list(source(root).epoch(0)))
    assert first != keys(list(source(root).epoch(1)))
    assert first != keys(list(source(root, seed=2).epoch(0)))


def test_skipping_gives_the_rest_and_reads_no_skipped_window(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = source(root)
    whole = list(data.epoch(0))
    read: list[str] = []
    load = shard_source.load_shard
    monkeypatch.setattr(shard_source, "load_shard", lambda shard, *rest: read.append(shard.tar) or load(shard, *rest))
    assert list(data.epoch(0, skip=len(whole) - 2)) == whole[-2:]
    assert len(read) == 2


def test_chosen_positions_are_those_of_the_whole_epoch(root: Path) -> None:
    whole = list(source(root).epoch(0))
    assert list(source(root).epoch(0, skip=3, only=lambda n: n % 4 == 1)) == whole[5::4]


def test_roots_of_one_video_are_not_consecutive_while_others_are_left(root: Path) -> None:
    tasks = list(source(root, window_shards=4, window_batches=0).epoch(0))
    videos = len({task.video_id for task in tasks})
    assert len({task.video_id for task in tasks[:videos]}) == videos


def test_the_order_does_not_depend_on_the_text_layer_or_on_what_is_kept(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    second_layer(tmp_path / "dir", "other")
    plain = keys(list(source(root).epoch(0)))
    assert plain == keys(list(source(tmp_path / "dir", layers={"other": 1.0}).epoch(0)))
    assert plain == keys(list(source(root, only_kept=False, clips_per_root=3).epoch(0)))


def test_clips_are_distinct_kept_clips_of_the_root_with_times_of_the_media(root: Path) -> None:
    rows = {row["key"]: row for row in marked_rows(root, "grounded")}
    for task in source(root).epoch(0):
        taught = [clip for clip in task.clips if any(clip.texts.values())]
        assert len(task.clips) == 2 and len({clip.key for clip in taught}) == len(taught)
        for clip in taught:
            row = rows[clip.key]
            assert row["keep"] and row["root_key"] == task.key and row["video_id"] == task.video_id
            assert clip.start == row["offset"]
            assert clip.end - clip.start == pytest.approx(row["end"] - row["start"])
            assert (clip.video_start, clip.video_end) == (row["start"], row["end"])
            assert clip.texts == {"subtitle": row["subtitle_summary"], "caption": row["grounded_text"]}


def test_a_root_without_a_kept_clip_keeps_its_place_without_texts(root: Path) -> None:
    silent = [task for task in source(root).epoch(0) if not any(task.clips[0].texts.values())]
    assert silent and all(len(task.clips) == 2 for task in silent)
    assert all(any(task.clips[0].texts.values()) for task in source(root, only_kept=False).epoch(0))


def test_with_a_named_selection_an_epoch_has_the_roots_with_kept_clips_alone(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    rows = marked_rows(root, "grounded")
    chosen = {row["key"] for row in rows if row["level"] == "medium"}
    marks = [{name: row[name] for name in SELECTION.names} | {"keep": row["key"] in chosen} for row in rows]
    write_selection(Store(tmp_path / "dir"), "grounded", marks, "mediums")
    data = source(tmp_path / "dir", selection="mediums")
    tasks = list(data.epoch(0))
    assert set(keys(tasks)) == {row["root_key"] for row in rows if row["key"] in chosen and row["split"] == "train"}
    assert data.num_roots == len(tasks) < source(root).num_roots
    assert {clip.key for task in tasks for clip in task.clips if any(clip.texts.values())} <= chosen
    assert keys(list(data.epoch(0, skip=2, only=lambda n: n % 2 == 0))) == keys(tasks)[2::2]
    assert data.identity != source(tmp_path / "dir").identity


def test_a_selection_that_keeps_nothing_is_refused(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    marks = [{name: row[name] for name in SELECTION.names} | {"keep": False} for row in marked_rows(root, "grounded")]
    write_selection(Store(tmp_path / "dir"), "grounded", marks, "nothing")
    with pytest.raises(UserError, match="no root in the split 'train' has a clip that the selection nothing keeps"):
        source(tmp_path / "dir", selection="nothing")


@pytest.mark.parametrize("named", [True, False])
def test_an_empty_selection_is_refused_with_its_counts(root: Path, tmp_path: Path, named: bool) -> None:
    shutil.copytree(root, tmp_path / "dir")
    assert curate("select", tmp_path / "dir", "--name", "none", "--where", "start < 0").status == 0
    if not named:
        (tmp_path / "dir/selections/none.parquet").replace(tmp_path / "dir/selections/grounded.parquet")
    clips = len(marked_rows(root, "grounded"))
    with pytest.raises(UserError, match=rf"no root .* \(kept: 0 of {clips} clips; left out: where \d+, static \d+\)"):
        source(tmp_path / "dir", selection="none" if named else None)


def test_the_next_column_is_used_if_the_preferred_one_is_empty(root: Path) -> None:
    wanted = {"caption": ["subtitle_summary", "grounded_text"]}
    texts = [clip.texts["caption"] for task in source(root, terms=wanted).epoch(0) for clip in task.clips]
    spoken = [text for text in texts if text and text.startswith("word")]
    assert spoken and len(spoken) < len([text for text in texts if text])


def test_one_layer_is_drawn_by_weight_for_each_root(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    second_layer(tmp_path / "dir", "other")
    data = source(tmp_path / "dir", layers={"grounded": 1.0, "other": 3.0})
    drawn: Counter[bool] = Counter()
    for epoch in range(20):
        for task in data.epoch(epoch):
            marks = {text.startswith("other: ") for clip in task.clips if (text := clip.texts["caption"])}
            assert len(marks) <= 1
            drawn.update(marks)
    assert 0.65 < drawn[True] / drawn.total() < 0.85


def test_the_order_of_layers_in_the_settings_changes_nothing(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    second_layer(tmp_path / "dir", "other")
    one, two = (source(tmp_path / "dir", layers=dict(order)) for order in (LAYERS, reversed(LAYERS)))
    assert one.identity == two.identity
    assert list(one.epoch(0)) == list(two.epoch(0))


def test_levels_have_the_given_proportion(root: Path) -> None:
    data = source(root, level_mix={"medium": 1.0}, clips_per_root=2)
    lengths = {
        round(clip.end - clip.start, 2) for task in data.epoch(0) for clip in task.clips if any(clip.texts.values())
    }
    assert lengths == {12.25, 11.75}


def test_several_dirs_are_joined(root: Path, tmp_path: Path) -> None:
    build_dir(tmp_path / "more", shards=1, videos_per_shard=5)
    both = source(root, tmp_path / "more")
    assert both.num_roots == source(root).num_roots + source(tmp_path / "more").num_roots
    assert len({task.media.url.split("/media/")[0] for task in both.epoch(0)}) == 2


def test_identity_depends_on_data_and_draws_but_not_on_paths_or_the_machine(root: Path, tmp_path: Path) -> None:
    plain = source(root).identity
    shutil.copytree(root, tmp_path / "moved")
    assert plain == source(tmp_path / "moved", workers=3, prefetch=2, cache="x", cache_gb=1).identity
    others = [
        source(root, seed=2),
        source(root, clips_per_root=3),
        source(root, window_shards=3),
        source(root, terms={"caption": "caption"}),
        source(root, augment={"flip": False}),
    ]
    assert plain not in {other.identity for other in others}
    build_dir(tmp_path / "fewer", shards=3, videos_per_shard=3)
    assert plain != source(tmp_path / "fewer").identity


def test_a_changed_layer_of_the_same_name_is_another_identity(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    store = Store(tmp_path / "dir")
    write_stage(store, "text/grounded", StageMark("rewrite", "another"))
    for name in (f"text/grounded/{name}" for name in store.list("text/grounded") if name.endswith(".parquet")):
        made = replace(read_artifact(store, name), content_hash="another")
        commit_table(store, tmp_path, name, read_table(store, name), made)
    assert source(tmp_path / "dir").identity != source(root).identity


def test_a_missing_layer_is_refused_with_the_existing_ones(root: Path) -> None:
    with pytest.raises(ShardError, match=r"no text layer 'grond' \(there are: grounded\)"):
        source(root, layers={"grond": 1.0})


def test_several_layers_without_a_setting_are_listed(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    second_layer(tmp_path / "dir", "other")
    with pytest.raises(UserError, match=r"several text layers \(grounded, other\); set data.layers"):
        source(tmp_path / "dir")


def test_a_missing_column_is_named_with_the_nearest(root: Path) -> None:
    with pytest.raises(UserError, match=r"loss.terms.caption='captoin': no text column.*did you mean 'caption'"):
        source(root, terms={"caption": "captoin"})
    with pytest.raises(UserError, match=r"loss.terms.caption='claims': no text column"):
        source(root, terms={"caption": "claims"})


def test_another_schema_version_is_refused(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    manifest = tmp_path / "dir" / "manifest.json"
    values = json.loads(manifest.read_text())
    version = next(name for name in values if "version" in name)
    manifest.write_text(json.dumps(values | {version: 99}))
    with pytest.raises(ShardError, match="99"):
        source(tmp_path / "dir")


def test_no_shards_no_folder_and_an_empty_split_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--shards: name at least one folder"):
        source()
    with pytest.raises((ShardError, UserError), match=str(tmp_path / "none")):
        source(tmp_path / "none")
    with pytest.raises(UserError, match="no root in the split 'val'"):
        source(root, split="val")


def test_a_dir_without_shards_is_refused(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1)
    for path in (tmp_path / "dir").glob("media/0*"):
        path.unlink()
    rebuild_index(Store(tmp_path / "dir"))
    with pytest.raises(UserError, match="no shard has both media and the text layer"):
        source(tmp_path / "dir")


def test_clips_whose_texts_name_a_direction_are_not_mirrored(root: Path, tmp_path: Path) -> None:
    def mirrored(folder: Path, **augment: bool) -> list[bool]:
        data = source(folder, augment=augment, only_kept=False)
        return [clip.crop.flip for epoch in range(3) for task in data.epoch(epoch) for clip in task.clips]

    plain = mirrored(root)
    shutil.copytree(root, tmp_path / "dir")
    for path in (tmp_path / "dir" / "text" / "grounded").glob("*.parquet"):
        table = pq.read_table(path)
        column = table.column_names.index("grounded_text")
        texts = ["a man turns Left"] * table.num_rows
        pq.write_table(table.set_column(column, table.schema.field(column), [texts]), path)
    assert any(plain)
    assert not any(mirrored(tmp_path / "dir"))
    assert any(mirrored(tmp_path / "dir", flip_directions=True))


def test_a_window_takes_more_shards_where_these_hold_few_videos(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows: list[int] = []
    load = ShardSource._load
    monkeypatch.setattr(ShardSource, "_load", lambda self, window: windows.append(len(window)) or load(self, window))
    few = DataSettings(shards=(str(root),), window_shards=1, window_batches=1)
    for batch, expected in ((1, [1, 1, 1, 1]), (5, [2, 2]), (100, [4])):
        windows.clear()
        list(ShardSource(few, TERMS, 1, "train", batch).epoch(0))
        assert windows == expected


def test_the_identity_of_a_run_from_before_the_later_settings_is_kept(root: Path) -> None:
    before = {"window_batches": 0, "repeat_clips": True, "augment": {"jitter": False, "flip_directions": True}}
    settings = DataSettings.model_validate({"shards": (str(root),)} | before)
    names = {"layers", "selection", "only_kept", "clips_per_root", "level_mix", "window_shards", "source", "size"}
    assert settings.content().keys() == (names | {"shards", "augment", "video_field"}) - {"selection"}
    assert source(root).identity != source(root, **before).identity


def test_a_missing_table_is_named(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "dir")
    data = source(tmp_path / "dir")
    (tmp_path / "dir" / "media" / "0000001.parquet").unlink()
    with pytest.raises(ShardError, match=r"media/0000001.parquet is gone"):
        list(data.epoch(0))


def test_the_crop_is_drawn_for_each_clip_from_its_root(root: Path) -> None:
    first, again = (list(source(root).epoch(0)) for _ in range(2))
    crops = {clip.crop for task in first for clip in task.clips}
    assert len(crops) > len(first) and first == again
    assert {replace(crop, x=0, y=0) for crop in crops} >= {replace(crop, x=0, y=0) for crop in list(crops)[:1]}
