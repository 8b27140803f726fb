"""A prediction beside what the run took, for the media stage of generated videos of different lengths.

    python -m bench.prediction --videos 16 --probe 2 --rounds 3

Each round makes a prediction (`curate plan --probe`), runs all videos, and prints really / predicted of each figure.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from curation.cli import main as curate
from curation.reporting.prediction import outcome, read_prediction
from curation.reporting.run_costs import bytes_by_folder
from runtime.processes import ffmpeg_binary, run
from shards.storage.store import Store

_LENGTHS = (20, 35, 50, 75)


def main() -> None:
    """Print the ratios of each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--probe", type=int, default=2, help="shards of two videos")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.0f}")
    with tempfile.TemporaryDirectory(prefix="bench-prediction-") as folder:
        root = Path(folder)
        os.environ["CLIPGROVE_CACHE"] = str(root / "cache")
        _make_videos(root / "in", arguments.videos)
        for number in range(arguments.rounds):
            print(f"round {number + 1}: {_round(root, root / f'out-{number}', arguments.probe)}", flush=True)


def _make_videos(folder: Path, count: int) -> None:
    folder.mkdir()
    lengths = random.Random(0)
    for number in range(count):
        picture = f"testsrc2=s=320x240:r=12:d={lengths.choice(_LENGTHS)},hue=h={number}"
        made = ["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", str(folder / f"{number}.mp4")]
        run([ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *made], timeout=300)


def _round(root: Path, output: Path, probe: int) -> str:
    common = ["demo", "--input", str(root / "in"), "--output", str(output), "--stages", "media", "--address", "local"]
    common += ["--set", "videos_per_shard=2", "--set", "media.video.transcribe.asr=null"]
    for command in (["plan", *common, "--probe", str(probe)], ["run", *common]):
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            status = curate(command)
        assert status == 0, said.getvalue()
    store = Store(output)
    prediction = read_prediction(store)
    assert prediction is not None
    really = outcome(store, prediction, sum(bytes_by_folder(store).values())).figures
    parts = []
    for name in ("hours", "cpu_hours", "gigabytes"):
        estimate, value = getattr(prediction.figures, name), really[name] or 0.0
        low, high = estimate.low / estimate.value, estimate.high / estimate.value
        parts.append(f"{name} {value / estimate.value:.2f} of {estimate.value:.3g} ({low:.2f} to {high:.2f})")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
