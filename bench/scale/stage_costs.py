"""CPU time and bytes of the media stage on real videos in the size in which sites deliver them.

    python -m bench.scale.stage_costs --videos /path/to/videos --seconds 120

Each video is made as long as asked by repeating it, with a short side of 480 pixels as `media.download.height` asks
for, and the whole set goes through `curate run --stages media`, without speech recognition, in one process. The time
that the same command takes with one very short video is subtracted: imports are no part of a video's costs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pyarrow.compute as pc

from runtime.processes import ffmpeg_binary, run
from shards.index import read_index
from shards.reader import num_rows
from shards.storage.store import Store

COSTS: Final = Path(__file__).with_name("stage_costs.json")
_SIZE: Final = "scale='if(gt(iw,ih),-2,480)':'if(gt(iw,ih),480,-2)',setsar=1"
_ENCODE: Final = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-c:a", "aac")


@dataclass(frozen=True)
class MediaCosts:
    """What the media stage took."""

    videos: int
    seconds: float
    """Of video that was stored."""
    cpu_seconds_a_second: float
    """CPU-seconds of the stage for a second of video."""
    media_bytes_a_second: float
    clip_table_bytes_a_clip: float
    """Bytes of ``media/*.parquet``, ``videos/*.parquet`` and the ledger for a clip."""
    keyframe_bytes: float
    """Bytes of a keyframe in its tar."""
    keyframes_a_second: float
    load: float
    """Load of the machine over the last minute."""


def make_videos(videos: Path, folder: Path, seconds: float) -> int:
    """Write a long 480p version of each readable video of at least two seconds; return their number."""
    made = 0
    for path in sorted(videos.iterdir()):
        target = folder / f"{path.stem.replace('.', '_')}.mp4"
        command: list[str | Path] = [
            "-stream_loop",
            "-1",
            "-i",
            path,
            "-t",
            str(seconds),
            "-vf",
            _SIZE,
            *_ENCODE,
            target,
        ]
        done = run([ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *command], timeout=900, check=False)
        if done.returncode or not target.exists():
            target.unlink(missing_ok=True)
        else:
            made += 1
    return made


def curate_media(folder: Path, output: Path) -> float:
    """Run the media stage and return the CPU-seconds of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "curation.cli", "run", "demo", "--input", str(folder), "--output", str(output)]
    command += ["--stages", "media", "--address", "local", "--quiet", "--set", "media.video.transcribe.asr=null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(videos: Path, seconds: float) -> MediaCosts:
    """Make the videos, curate them, and count."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
        work = Path(name)
        for folder in ("long", "short"):
            (work / folder).mkdir()
        made = make_videos(videos, work / "long", seconds)
        cut: list[str | Path] = ["-i", min((work / "long").iterdir()), "-t", "1", "-c", "copy", work / "short/one.mp4"]
        run([ffmpeg_binary(), "-v", "error", "-nostdin", *cut], timeout=60)
        start = curate_media(work / "short", work / "out-short")
        cpu = curate_media(work / "long", work / "out") - start
        return _costs(Store(work / "out"), made, cpu)


def _costs(store: Store, videos: int, cpu: float) -> MediaCosts:
    index = read_index(store)
    seconds, stored = pc.sum(index["seconds"]).as_py(), pc.sum(index["media_bytes"]).as_py()
    clips = sum(num_rows(store, f"media/{name}") for name in store.list("media") if name.endswith(".parquet"))
    stills = sum(len(_members(store, f"keyframes/{name}")) for name in store.list("keyframes") if name.endswith(".tar"))
    tables = sum(
        entry.size
        for folder in ("media", "videos", "ledger")
        for name, entry in store.list(folder).items()
        if name.endswith(".parquet")
    )
    return MediaCosts(
        videos, seconds, cpu / seconds, stored / seconds, tables / clips,
        pc.sum(index["keyframes_bytes"]).as_py() / max(stills, 1), stills / seconds, os.getloadavg()[0],
    )  # fmt: skip


def _members(store: Store, name: str) -> list[str]:
    with store.open(name) as file, tarfile.open(fileobj=file) as tar:
        return tar.getnames()


def main() -> None:
    """Measure, print, and write the file from which predictions are made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--file", type=Path, default=COSTS)
    arguments = parser.parse_args()
    costs = measure(arguments.videos, arguments.seconds)
    arguments.file.write_text(json.dumps(asdict(costs), indent=1) + "\n", encoding="utf-8")
    print(arguments.file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
