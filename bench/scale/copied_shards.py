"""A finished DIR of any number of shards, written in seconds: one shard's files copied under each number.

The tables are empty and the tars hold nothing; their records in the footers are those that a run checks.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.scale.phases import LAYER, request_for, write_list
from curation import dir_bookkeeping
from curation.plan import make_plan
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.reader import read_artifact
from shards.schema import CLIPS, LEDGER, TEXT
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import ShardMedia, commit_shard_media, commit_table


def write_finished(root: Path, shards: int) -> None:
    """Write a DIR with one source a shard, planned and finished as a run does it."""
    listed = root.parent / "list.txt"
    write_list(listed, shards)
    request = request_for(root, (str(listed),), "local")
    object.__setattr__(request.settings, "videos_per_shard", 1)
    request.scratch.mkdir(parents=True)
    plan = make_plan(request)
    dir_bookkeeping.begin(plan)
    for name, data in _first_shard(plan.outputs["media"].hash, plan.outputs["rewrite"].hash).items():
        for shard in plan.sources.shards:
            path = root / name.replace(shard_name(0), shard_name(shard))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.replace(shard_name(0).encode(), shard_name(shard).encode()))
    dir_bookkeeping.finish(plan)


def _first_shard(media_hash: str, text_hash: str) -> dict[str, bytes]:
    """Return the files of shard 0 by name."""
    with TemporaryDirectory() as folder:
        store, scratch = Store(Path(folder, "dir")), Path(folder)
        with TarWriter(scratch / "media.tar") as media, TarWriter(scratch / "keyframes.tar") as keyframes:
            made = ShardMedia(0, media, keyframes, LEDGER.empty_table(), CLIPS.empty_table())
        commit_shard_media(store, scratch, made, Artifact("media", media_hash, counts={"videos": 1, "filtered": 1}))
        name = f"media/{shard_name(0)}.parquet"
        text = Artifact("rewrite", text_hash, inputs={name: read_artifact(store, name).digest})
        commit_table(store, scratch, f"text/{LAYER}/{shard_name(0)}.parquet", TEXT.empty_table(), text)
        folders = ("media", "keyframes", "ledger", f"text/{LAYER}")
        names = [f"{folder}/{file}" for folder in folders for file in store.list(folder)]
        return {name: store.read_bytes(name) for name in names}
