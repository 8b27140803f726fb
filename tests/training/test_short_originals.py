"""Originals that end before the roots that were cut from them: another upload, or a download cut short."""

import asyncio
from pathlib import Path

from support.shard_factory import build_dir, encode_root

from runtime.config import build
from shards.manifest import StageMark, write_stage
from shards.reader import read_table
from shards.store import Store
from training.vidlankd.encoders import open_encoder
from training.vidlankd.features import FeaturesSettings
from training.vidlankd.features_worker import FeaturesWorker, Place
from training.vidlankd.originals import Originals


def test_an_original_that_ends_before_a_root_is_counted_and_not_stretched_over_it(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    clips = read_table(store, "media/0000000.parquet").to_pylist()
    whole, rest = sorted((row for row in clips if row["parent_key"] is None), key=lambda row: row["start"])
    seconds = whole["end"] + 1  # all of the first root and a second of the next
    (tmp_path / f"{whole['video_id']}.mp4").write_bytes(encode_root(round(seconds * 8)))
    settings = build(FeaturesSettings, {"encoder": "clip:random:tiny", "name": "tiny"}, "features")
    encoder = open_encoder(settings, "cpu")
    told = {"encoder": settings.encoder, "width": encoder.width, "encoder_identity": encoder.identity}
    write_stage(store, "features/tiny", StageMark("features", "hash", told))
    place = Place(str(tmp_path / "dir"), "features/tiny", "features/tiny", str(tmp_path / "scratch"), "hash")
    result = asyncio.run(FeaturesWorker(place, encoder, Originals(tmp_path)).process(0))
    assert result.counts["failed:truncated"] == 1
    made = {
        row["root_key"]: row for row in read_table(Store(tmp_path / "dir"), "features/tiny/0000000.parquet").to_pylist()
    }
    assert made[whole["key"]]["rows"] > 0 and made[whole["key"]]["failed"] is None
    assert (made[rest["key"]]["rows"], made[rest["key"]]["failed"]) == (0, "truncated")
