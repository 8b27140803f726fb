"""Reading features by time span from a folder or an object store, and what is refused."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from support.shard_factory import build_dir

from runtime.errors import UserError
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.manifest import StageMark, write_stage
from shards.reader import read_table
from shards.schema import FEATURES
from shards.storage.store import Store
from shards.writer import commit_table
from training.features.encoders.encoder_interface import Rows
from training.features.feature_store import FeatureStore, rows_of_span
from training.features.feature_writer import FeatureWriter

WIDTH = 5


def commit_features(store: Store, scratch: Path, shard: int, roots: dict[str, int], **changes: Any) -> None:
    """Write features of one row per second; each value is the number of its row in the root."""
    scratch.mkdir(exist_ok=True)
    mark = {"encoder": "test", "width": WIDTH, "encoder_identity": "weights", **changes}
    write_stage(store, "features/small", StageMark("features", "hash", mark))
    with FeatureWriter(scratch / "array.npy", mark["width"]) as writer:
        rows = [
            writer.add(key, _rows(count, mark["width"]), None if count else "undecodable")
            for key, count in roots.items()
        ]
    stem = f"features/small/{shard:07d}"
    store.commit(scratch / "array.npy", f"{stem}.npy")
    artifact = Artifact("features", "hash", files={f"{stem}.npy": writer.fact})
    commit_table(store, scratch, f"{stem}.parquet", pa.Table.from_pylist(rows, schema=FEATURES), artifact)


def _rows(count: int, width: int) -> Rows | None:
    values = np.repeat(np.arange(count, dtype=np.float32)[:, None], width, axis=1)
    return Rows(values, np.arange(count, dtype=np.float32) + 0.5) if count else None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DIR with features of its first shard: root 'a' has 20 rows, 'b' none, 'c' 7."""
    folder = tmp_path_factory.mktemp("made")
    store = build_dir(folder / "dir", shards=1, videos_per_shard=1)
    commit_features(store, folder / "scratch", 0, {"a": 20, "b": 0, "c": 7})
    return folder / "dir"


def read(made: Path, root: str, start: float, end: float, limit: int = 100, shard: int = 0) -> list[float] | None:
    features = FeatureStore.open([str(made)], "small")
    rows = features.read(str(made), shard, root, start, end, limit)
    return None if rows is None else rows[:, 0].tolist()


def test_a_span_gives_the_rows_with_times_within_it(made: Path) -> None:
    assert read(made, "a", 3.0, 6.0) == [3, 4, 5]
    assert read(made, "a", 3.5, 5.5) == [3, 4], "the end does not belong to it"
    assert read(made, "c", 5.0, 99.0) == [5, 6], "rows of the root alone"


def test_a_span_between_two_rows_gives_the_nearest(made: Path) -> None:
    assert read(made, "a", 3.6, 3.9) == [3]
    assert read(made, "a", 90.0, 99.0) == [19]


def test_more_rows_than_the_limit_are_thinned_evenly(made: Path) -> None:
    assert read(made, "a", 0.0, 20.0, 4) == [2, 7, 12, 17]
    assert len(read(made, "a", 0.0, 20.0, 7)) == 7


def test_a_root_without_features_gives_none(made: Path) -> None:
    assert read(made, "b", 0.0, 5.0) is None
    assert read(made, "unknown", 0.0, 5.0) is None
    assert read(made, "a", 0.0, 5.0, shard=3) is None


@pytest.mark.parametrize(("start", "end", "limit"), [(0, 1, 1), (0.2, 7.7, 3), (-5, 100, 2), (8.9, 9.1, 1)])
def test_thinned_rows_increase_and_are_within_the_span(start: float, end: float, limit: int) -> None:
    times = np.sort(np.random.default_rng(0).uniform(0, 10, 30)).astype(np.float32)
    rows = rows_of_span(times, start, end, limit)
    assert 1 <= len(rows) <= limit and np.all(np.diff(rows) > 0)
    inside = (times >= start) & (times < end)
    assert not inside.any() or inside[rows].all()


def test_rows_are_float16_of_the_encoder_s_width(made: Path) -> None:
    rows = FeatureStore.open([str(made)], "small").read(str(made), 0, "a", 0.0, 3.0, 10)
    assert rows.dtype == np.float16 and rows.shape == (3, WIDTH)


def test_an_object_store_gives_the_same_rows_by_ranges(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(made), "/bucket/dir", recursive=True)
    url = "memory://bucket/dir"
    remote = FeatureStore.open([url], "small")
    asked = []
    original = Store.read_bytes
    monkeypatch.setattr(
        Store, "read_bytes", lambda self, name, *span: asked.append((name, *span)) or original(self, name, *span)
    )
    assert remote.read(url, 0, "c", 2.0, 5.0, 10)[:, 0].tolist() == [2, 3, 4]
    assert asked[-1] == ("features/small/0000000.npy", 128 + 22 * WIDTH * 2, 3 * WIDTH * 2)
    memory.rm("/bucket", recursive=True)


def test_a_store_can_be_pickled(made: Path) -> None:
    features = pickle.loads(pickle.dumps(FeatureStore.open([str(made)], "small")))
    assert features.read(str(made), 0, "a", 0.0, 2.0, 9)[:, 0].tolist() == [0, 1]


def test_the_identity_does_not_depend_on_the_dir_s_path(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "moved")
    moved, here = (FeatureStore.open([str(place)], "small") for place in (tmp_path / "moved", made))
    assert moved.identity == here.identity and here.encoder == "test" and here.width == WIDTH


def test_a_missing_set_is_refused_with_the_existing_ones(made: Path) -> None:
    assert FeatureStore.feature_sets(str(made)) == ["small"]
    with pytest.raises(UserError, match=r"features 'smal': .* has no such set \(did you mean 'small'\?\)"):
        FeatureStore.open([str(made)], "smal")


def test_a_dir_without_any_features_is_refused_with_the_command(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    with pytest.raises(UserError, match="has no such set; make one: train-vidlankd features --shards"):
        FeatureStore.open([str(tmp_path / "dir")], "small")


def test_a_set_without_any_shard_is_refused(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "dir")
    (tmp_path / "dir/features/small/0000000.parquet").unlink()
    with pytest.raises(UserError, match=r"no shard of .* has any; run `train-vidlankd features` to its end"):
        FeatureStore.open([str(tmp_path / "dir")], "small")


@pytest.mark.parametrize("changes", [{"width": 7}, {"encoder": "other", "encoder_identity": "other weights"}])
def test_dirs_with_features_of_different_kinds_are_refused_by_name(
    made: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    shutil.copytree(made, tmp_path / "dir")
    commit_features(Store(tmp_path / "dir"), tmp_path / "scratch", 0, {"a": 3}, **changes)
    with pytest.raises(UserError, match=f"{tmp_path / 'dir'} has .* {made} has test"):
        FeatureStore.open([str(made), str(tmp_path / "dir")], "small")


def test_a_set_in_which_every_root_failed_has_no_rows(made: Path, tmp_path: Path) -> None:
    assert FeatureStore.open([str(made)], "small").holds_rows()
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    commit_features(store, tmp_path / "scratch", 0, {"a": 0, "b": 0})
    assert not FeatureStore.open([str(tmp_path / "dir")], "small").holds_rows()
    assert FeatureStore.open([str(tmp_path / "dir"), str(made)], "small").holds_rows()


def test_an_array_that_does_not_fit_its_table_is_reported(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "dir")
    np.save(tmp_path / "dir/features/small/0000000.npy", np.zeros((3, WIDTH), np.float16))
    features = FeatureStore.open([str(tmp_path / "dir")], "small")
    with pytest.raises(ShardError, match=r"has the shape \(3, 5\), but its table \(27, 5\); extract it again"):
        features.read(str(tmp_path / "dir"), 0, "a", 0.0, 1.0, 4)


def test_a_truncated_array_is_reported(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "dir")
    file = tmp_path / "dir/features/small/0000000.npy"
    file.write_bytes(file.read_bytes()[:-10])
    features = FeatureStore.open([str(tmp_path / "dir")], "small")
    with pytest.raises(ShardError, match="no readable array of features"):
        features.read(str(tmp_path / "dir"), 0, "a", 0.0, 1.0, 4)


def test_the_array_is_a_plain_npy_whose_header_fits_any_number_of_rows(tmp_path: Path, made: Path) -> None:
    array = np.load(made / "features/small/0000000.npy", allow_pickle=False)
    assert array.shape == (27, WIDTH)
    assert read_table(Store(made), "features/small/0000000.parquet")["first"].to_pylist() == [0, 20, 20]
    with FeatureWriter(tmp_path / "none.npy", WIDTH):
        pass
    assert np.load(tmp_path / "none.npy").shape == (0, WIDTH)
