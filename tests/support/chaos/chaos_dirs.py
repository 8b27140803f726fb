"""The DIR of a fault suite: its many small videos, its pipeline, its progress, and its content to compare."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.curate_runs import CHEAP, CONFIG, config_in, run_arguments, talk
from support.dir_contents import all_rows, latest_states, shape

from shards.sources.source_parts import SourceParts
from shards.storage.store import Store

CHAOS = "chaos"
"""Name of the pipeline, and of its text layer."""
FOLDERS = ("media", f"captions/{CHAOS}", f"text/{CHAOS}")
_SECONDS = 4.0


@dataclass(frozen=True)
class ChaosScene:
    """Inputs and pipeline of the runs."""

    root: Path
    videos: int
    videos_per_shard: int
    config: Path
    base_url: str

    @classmethod
    def make(cls, root: Path, videos: int, videos_per_shard: int, base_url: str, **changes: Any) -> ChaosScene:
        """Make the videos, and a pipeline with `changes` to sections of the cheap one."""
        root.mkdir(parents=True, exist_ok=True)
        many_videos(root / "in", videos)
        sections = {name: {**CONFIG[CHEAP].get(name, {}), **change} for name, change in changes.items()}
        config = config_in(root, **{CHAOS: {**CONFIG[CHEAP], **sections}})
        return cls(root, videos, videos_per_shard, config, base_url)

    def arguments(self, output: Path | str, *more: str | Path) -> list[str | Path]:
        """Return the arguments of the run into a DIR."""
        arguments = run_arguments(CHAOS, self.config, self.root / "in", Path("DIR"))
        arguments[arguments.index(Path("DIR"))] = output
        settings = (f"engines.llm.base_url={self.base_url}", f"videos_per_shard={self.videos_per_shard}")
        return [*arguments, *(word for setting in settings for word in ("--set", setting)), *more]

    def progress(self, store: Store) -> float:
        """Return the share of the shards' artifacts that are committed."""
        shards = -(-self.videos // self.videos_per_shard)
        done = sum(name.endswith(".parquet") for folder in FOLDERS for name in store.list(folder))
        return done / (shards * len(FOLDERS))


def many_videos(folder: Path, number: int) -> None:
    """Make videos of four seconds whose bytes differ; every second has subtitles beside it."""
    folder.mkdir()
    base = talk(folder.parent / "base.mp4", _SECONDS)
    data = base.read_bytes()
    for index in range(number):
        free_box = (12).to_bytes(4, "big") + b"free" + index.to_bytes(4, "big")
        (folder / f"video-{index:03d}.mp4").write_bytes(data + free_box)
        if index % 2:
            shutil.copyfile(base.with_suffix(".en.srt"), folder / f"video-{index:03d}.en.srt")


def content(store: Store) -> Mapping[str, Any]:
    """Return everything in a DIR that two runs over the same input must have in common."""
    tars = [f"{kind}/{name}" for kind in ("media", "keyframes") for name in store.list(kind) if name.endswith(".tar")]
    ledger = [{name: value for name, value in row.items() if name != "elapsed"} for row in all_rows(store, "ledger")]
    return {
        **shape(store, CHAOS),
        "rows": {folder: all_rows(store, folder) for folder in (*FOLDERS, "videos")},
        "ledger": ledger,
        "tars": {tar: hashlib.sha256(store.read_bytes(tar)).hexdigest() for tar in tars},
        "sources": SourceParts(store).table().to_pylist(),
        "states": latest_states(store),
    }


def keys_once(store: Store) -> Sequence[str]:
    """Return the keys of all clips; fail if one is there twice."""
    keys = [row["key"] for row in all_rows(store, "media")]
    assert len(keys) == len(set(keys))
    return keys
