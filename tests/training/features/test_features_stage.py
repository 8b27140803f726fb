"""The extraction of visual features: committed files, counts, and second runs."""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from support.shard_factory import add_shard, build_dir, encode_root, luma_of
from support.vidlankd_runs import Recipe, command, extraction

from runtime.attempts import Attempts
from runtime.errors import UserError
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.stage import ServiceSpec, ShardResult, StageSpec
from runtime.settings import build
from shards.checks.check_dir import check
from shards.errors import ShardError
from shards.manifest import Manifest, StageMark, write_manifest, write_stage
from shards.reader import read_artifact, read_table
from shards.storage.dir_lock import DirLock, LockedError
from shards.storage.store import Store
from training.data.decoding.frame_sampling import Frame
from training.features.encoders.encoder_interface import Rows
from training.features.encoders.encoder_registry import open_encoder
from training.features.encoders.row_encoders import centres
from training.features.feature_store import FeatureStore
from training.features.features_plan import plan_features
from training.features.features_settings import FeaturesSettings
from training.features.features_stage import extract
from training.features.features_worker import FeaturesJob, FeaturesWorker
from training.features.original_videos import Originals

ENCODER = "clip:random:tiny"
STEM = "features/tiny/0000000"


def settings(**changes: Any) -> FeaturesSettings:
    return build(FeaturesSettings, {"encoder": ENCODER, "name": "tiny", **changes}, "features")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DIR without features."""
    root = tmp_path_factory.mktemp("plain") / "dir"
    build_dir(root, shards=1, videos_per_shard=1)
    return root


@pytest.fixture
def fresh(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "dir"))


def work(root: Path, encoder: Any = None, originals: Originals | None = None, shard: int = 0) -> ShardResult:
    """Make one shard's features in this process, as a worker does."""
    store = Store(root)
    job = FeaturesJob(
        root=str(root),
        folder="features/tiny",
        name="features/tiny",
        scratch=str(root / "features" / ".scratch"),
        content_hash="hash",
        encoder=settings(),
    )
    encoder = encoder or open_encoder(settings(), "cpu")
    made_with = {"encoder": ENCODER, "width": encoder.width, "encoder_identity": settings().identity}
    write_stage(store, "features/tiny", StageMark("features", "hash", made_with))
    return asyncio.run(FeaturesWorker(job, encoder, originals).process(shard))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Run stages in this process, without Ray; return the list of the shards they are asked for."""
    asked: list[int] = []

    def run(stages: Sequence[StageSpec], services: Sequence[ServiceSpec], **options: Any) -> RunReport:
        worker = stages[0].build({})
        asked.extend(stages[0].shards)
        results = [asyncio.run(worker.process(shard)) for shard in stages[0].shards]
        return RunReport(fatal=next((result.fatal for result in results if result.fatal), None))

    monkeypatch.setattr("training.features.features_stage.run_stages", run)
    return asked


def rows_of(root: Path) -> dict[str, dict[str, Any]]:
    return {row["root_key"]: row for row in read_table(Store(root), f"{STEM}.parquet").to_pylist()}


def roots_of(root: Path) -> dict[str, dict[str, Any]]:
    rows = read_table(Store(root), "media/0000000.parquet").to_pylist()
    return {row["key"]: row for row in rows if row["parent_key"] is None}


@pytest.mark.ray
def test_a_second_extraction_does_nothing_and_does_not_start_ray(
    made: Recipe, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made.shards
    assert FeatureStore.open([str(root)], "tiny").has(str(root), 1)
    assert check(Store(root), decode=False) == []
    assert [path.name for path in (root / "features").iterdir()] == ["tiny"]
    before = {path: path.stat().st_mtime_ns for path in (root / "features").rglob("*")}
    monkeypatch.delattr("runtime.ray_runner.cluster.connected")
    monkeypatch.delattr("runtime.ray_runner.runner.connected")
    assert command(*extraction(root, "tiny")) == 0
    said = capfd.readouterr().err
    assert "nothing to do: features/tiny" in said
    assert "features/tiny has 2 shards, 16 roots, 276 rows\n" in said
    assert {path: path.stat().st_mtime_ns for path in (root / "features").rglob("*")} == before


def test_rows_and_times_of_a_root_cover_its_length(fresh: Path) -> None:
    result = work(fresh)
    assert result.fatal is None
    for key, row in rows_of(fresh).items():
        root = roots_of(fresh)[key]
        seconds = root["num_frames"] / root["fps"]
        assert row["rows"] == len(row["times"]) == round(seconds)
        assert np.allclose(row["times"], (np.arange(row["rows"]) + 0.5) * seconds / row["rows"], atol=1e-4)
    array = np.load(fresh / f"{STEM}.npy")
    assert array.dtype == np.float16 and len(array) == result.counts["rows"]
    assert np.allclose(np.linalg.norm(array.astype(np.float32), axis=1), 1, atol=1e-2)


def test_the_table_names_the_array_with_its_hash_and_what_it_was_made_from(fresh: Path) -> None:
    work(fresh)
    store = Store(fresh)
    artifact = read_artifact(store, f"{STEM}.parquet")
    assert artifact.inputs == {"media/0000000.parquet": read_artifact(store, "media/0000000.parquet").digest}
    assert artifact.files[f"{STEM}.npy"].size == (fresh / f"{STEM}.npy").stat().st_size
    assert check(store, decode=False) == []


def test_an_undecodable_root_is_counted_and_the_others_are_encoded(fresh: Path) -> None:
    root = next(iter(roots_of(fresh).values()))
    with (fresh / "media/0000000.tar").open("r+b") as tar:
        tar.seek(root["byte_offset"])
        tar.write(bytes(root["byte_size"]))
    result = work(fresh)
    assert result.fatal is None and result.counts["failed:undecodable"] == 1
    rows = rows_of(fresh)
    assert rows[root["key"]]["failed"] == "undecodable" and rows[root["key"]]["rows"] == 0
    assert sum(row["rows"] > 0 for row in rows.values()) == len(rows) - 1
    kept = FeatureStore.open([str(fresh)], "tiny")
    assert kept.read(str(fresh), 0, root["key"], 0.0, 5.0, 8) is None


def test_a_root_that_killed_two_workers_is_skipped(fresh: Path) -> None:
    key = next(iter(roots_of(fresh)))
    note = fresh / "features/.scratch/attempts/0000000" / key
    note.parent.mkdir(parents=True)
    note.write_bytes(b"..")
    assert Attempts(note.parent).deaths(key) == 2
    assert work(fresh).counts["failed:undecodable"] == 1


def test_originals_are_found_by_the_name_in_their_address_and_missing_ones_counted(fresh: Path, tmp_path: Path) -> None:
    roots = list(roots_of(fresh).values())
    folder = tmp_path / "downloads" / "sub"
    folder.mkdir(parents=True)
    result = work(fresh, originals=Originals(tmp_path / "downloads"))
    assert result.counts["failed:original_missing"] == len(roots)
    last = max(root["end"] for root in roots)
    (folder / f"{roots[0]['source'].rpartition('/')[2]}.mp4").write_bytes(encode_root(round(last * 8) + 8))
    result = work(fresh, originals=Originals(tmp_path / "downloads"))
    assert "failed:original_missing" not in result.counts and result.counts["rows"] > 0


def test_an_original_is_decoded_at_the_root_s_position(fresh: Path, tmp_path: Path) -> None:
    root = max(roots_of(fresh).values(), key=lambda row: row["start"])
    first = root["start"] - root["offset"]
    (tmp_path / f"{root['video_id']}.mp4").write_bytes(encode_root(round(root["end"] * 8) + 8))
    seen = []

    class Watcher:
        name, width, fps, frames_per_row, short_side = "w", 1, 8.0, 1, 48

        def frames(self, seconds: float) -> int:
            return round(seconds * 8)

        def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
            seen.append([int(frame.mean()) for frame in frames])
            return Rows(np.ones((1, 1), np.float32), centres(1, seconds))

    work(fresh, encoder=Watcher(), originals=Originals(tmp_path))
    expected = [luma_of(round(first * 8) + number) for number in range(root["num_frames"])]
    assert np.abs(np.array(seen[-1]) - expected).max() < 6


def test_shards_are_made_again_if_their_hash_or_array_changed(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_features(Store(fresh), settings(), "identity", False)
    assert plan.work.todo == (0,)
    result = work(fresh)
    assert result.fatal is None
    write_stage(Store(fresh), "features/tiny", StageMark("features", plan.content_hash, {}))
    assert plan_features(Store(fresh), settings(), "identity", False).work.stale == (0,), "of another hash"
    (fresh / f"{STEM}.npy").write_bytes(b"cut")
    assert plan_features(Store(fresh), settings(), "identity", False).work.todo == (0,)


def test_a_set_without_a_committed_shard_is_bound_to_no_settings(fresh: Path) -> None:
    write_stage(Store(fresh), "features/tiny", StageMark("features", "of a run that failed", {}))
    planned = plan_features(Store(fresh), settings(), "identity", False)
    assert (planned.building, planned.work.todo) == ("features/tiny", (0,))


def test_changed_settings_are_refused_with_the_remedy(fresh: Path) -> None:
    work(fresh)
    with pytest.raises(UserError, match=r"features/tiny of .* was made with other settings .*--replace"):
        extract([str(fresh)], settings(fps=2.0))


def test_a_replaced_set_is_built_aside_and_swapped(fresh: Path, here: list[int]) -> None:
    extract([str(fresh)], settings(fps=0.5))
    before = FeatureStore.open([str(fresh)], "tiny").identity
    extract([str(fresh)], settings(fps=0.25), replace=True)
    assert here == [0, 0]
    assert FeatureStore.open([str(fresh)], "tiny").identity != before
    assert [path.name for path in (fresh / "features").iterdir()] == ["tiny"]
    assert check(Store(fresh), decode=False) == []
    extract([str(fresh)], settings(fps=0.25), replace=True)
    assert here == [0, 0], "nothing is left to do"


def test_only_shards_that_are_missing_or_whose_media_changed_are_made(
    tmp_path: Path, here: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for root, shards in ((first, 3), (second, 1)):
        build_dir(root, shards=shards, videos_per_shard=1)
    extract([str(first), str(second)], settings(fps=0.2))
    assert here == [0, 1, 2, 0]
    assert capfd.readouterr().err.count("roots, ") == 2
    (first / "features/tiny/0000001.parquet").unlink()
    extract([str(first), str(second)], settings(fps=0.2))
    assert here[4:] == [1]
    with TemporaryDirectory() as scratch:
        add_shard(Store(first), Path(scratch), 2, videos=2)
    extract([str(first)], settings(fps=0.2))
    assert here[5:] == [2]


def test_a_dir_without_a_usable_root_is_committed_and_reported(
    fresh: Path, here: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    tar = fresh / "media/0000000.tar"
    tar.write_bytes(bytes(tar.stat().st_size))
    assert extract([str(fresh)], settings()) == 0
    said = capfd.readouterr().err
    assert "2 roots, 0 rows; 2 roots failed: 2 undecodable; no root has features" in said
    assert all(row["failed"] == "undecodable" for row in rows_of(fresh).values())


def test_a_higher_rate_than_that_of_the_shards_is_refused_with_both_remedies(fresh: Path) -> None:
    asked = settings(encoder="resnet18+r3d_18", weights="random")
    with pytest.raises(
        UserError, match=r"24 frames a second.* hold 8; take encoder=resnet18\+r3d_18@8fps, or set video=original"
    ):
        extract([str(fresh)], asked)


def test_windows_with_more_frames_than_the_shards_have_are_refused_before_any_work(
    fresh: Path, here: list[int]
) -> None:
    with pytest.raises(UserError, match=r"24 frames a second.* hold 8; take seconds_per_row=1\.5, or"):
        extract([str(fresh)], settings(encoder="vidla:random:tiny", seconds_per_row=0.5))
    assert here == []
    assert extract([str(fresh)], settings(encoder="vidla:random:tiny", seconds_per_row=6)) == 0
    assert here == [0]


def test_originals_of_urls_without_a_folder_are_refused(fresh: Path, here: list[int]) -> None:
    with pytest.raises(
        UserError, match=r"video=original: .* come from addresses \(https://.*set originals to the folder"
    ):
        extract([str(fresh)], settings(video="original"))
    assert here == []


def test_a_source_that_is_too_long_for_a_file_name_has_no_original(tmp_path: Path) -> None:
    assert Originals(tmp_path).path_of("x" * 300, "0" * 16) is None
    assert Originals(None).path_of("y/" * 3000, "0" * 16) is None


def test_a_folder_that_is_not_a_dir_and_a_dir_without_media_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"no manifest\.json"):
        extract([str(tmp_path)], settings())
    write_manifest(Store(tmp_path), Manifest("test", {}, 1, "hash"))
    with pytest.raises(UserError, match="no shard has media yet"):
        extract([str(tmp_path)], settings())


def test_features_that_another_run_extracts_are_refused(fresh: Path) -> None:
    with DirLock(Store(fresh / "features")), pytest.raises(LockedError, match="another run holds"):
        extract([str(fresh)], settings())


def test_check_finds_an_array_that_has_changed(fresh: Path) -> None:
    work(fresh)
    array = np.load(fresh / f"{STEM}.npy")
    np.save(fresh / f"{STEM}.npy", array + np.float16(1))
    problems = [(problem.where, problem.what) for problem in check(Store(fresh), decode=False)]
    assert problems == [(f"{STEM}.npy", "its content has changed since it was committed (SHA-256 differs)")]


def test_a_stray_file_among_features_is_named_by_check(fresh: Path) -> None:
    work(fresh)
    (fresh / "features/tiny/notes.txt").write_text("x")
    assert [problem.where for problem in check(Store(fresh), decode=False)] == ["features/tiny/notes.txt"]
