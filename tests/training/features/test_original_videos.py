"""Features of originals: files that end before their roots, and files that appear later."""

import asyncio
from pathlib import Path
from typing import Any

from support.shard_factory import build_dir, encode_root

from runtime.settings import build
from shards.manifest import StageMark, write_stage
from shards.reader import read_table
from shards.storage.store import Store
from training.features.encoders.encoder_registry import open_encoder
from training.features.features_plan import plan_features
from training.features.features_settings import FeaturesSettings
from training.features.features_worker import FeaturesJob, FeaturesWorker
from training.features.original_videos import MISSING, Originals

SETTINGS = build(FeaturesSettings, {"encoder": "clip:random:tiny", "name": "tiny"}, "features")


def roots_in(folder: Path) -> tuple[Store, list[dict[str, Any]]]:
    """Build a DIR of one video, and return it with its two roots in order."""
    store = build_dir(folder, shards=1, videos_per_shard=1)
    clips = read_table(store, "media/0000000.parquet").to_pylist()
    return store, sorted((row for row in clips if row["parent_key"] is None), key=lambda row: row["start"])


def made_of(store: Store, originals: Path, scratch: Path, hash_: str = "hash") -> dict[str, dict[str, Any]]:
    """Extract the features of the only shard, and return its rows by root."""
    encoder = open_encoder(SETTINGS, "cpu")
    made_with = {"encoder": SETTINGS.encoder, "width": encoder.width, "encoder_identity": SETTINGS.identity}
    write_stage(store, "features/tiny", StageMark("features", hash_, made_with))
    job = FeaturesJob(
        root=store.root,
        folder="features/tiny",
        name="features/tiny",
        scratch=str(scratch),
        content_hash=hash_,
        encoder=SETTINGS,
    )
    asyncio.run(FeaturesWorker(job, encoder, Originals(originals)).process(0))
    return {row["root_key"]: row for row in read_table(store, "features/tiny/0000000.parquet").to_pylist()}


def test_an_original_that_ends_before_a_root_is_counted_as_truncated(tmp_path: Path) -> None:
    store, (whole, rest) = roots_in(tmp_path / "dir")
    seconds = whole["end"] + 1  # all of the first root and a second of the next
    (tmp_path / f"{whole['video_id']}.mp4").write_bytes(encode_root(round(seconds * 8)))
    made = made_of(store, tmp_path, tmp_path / "scratch")
    assert made[whole["key"]]["rows"] > 0 and made[whole["key"]]["failed"] is None
    assert (made[rest["key"]]["rows"], made[rest["key"]]["failed"]) == (0, "truncated")


def test_a_shard_is_made_again_when_a_missing_original_appears(tmp_path: Path) -> None:
    store, (whole, _) = roots_in(tmp_path / "dir")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    settings = SETTINGS.model_copy(update={"video": "original", "originals": downloads})
    plan = plan_features(store, settings, "identity", False)
    made = made_of(store, downloads, tmp_path / "scratch", plan.content_hash)
    assert {row["failed"] for row in made.values()} == {MISSING}
    assert plan_features(store, settings, "identity", False).work.todo == ()
    (downloads / f"{whole['video_id']}.mp4").write_bytes(encode_root(80))
    assert plan_features(store, settings, "identity", False).work.todo == (0,)
