"""Cost of scores: CPU time a clip of each score by itself and of all together, against bare decoding.

    python -m bench.scores --shards demo/shards              # the DIR of `make demo`, as a Markdown table
    python -m bench.scores --shards out --scores motion,blur --runs 5

Each way reads the same roots from the DIR, in this process, with one thread. *Bare decoding* is that of all stored
frames; *its frames* are the decoding of the frames that one score looks at, without the score. Runs alternate; medians
are shown. Targets: motion, text area, NSFW and blur together at least 10 clips a CPU-second without OCR; all scores at
most 5 % more than the dearest by itself plus its decoding.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import cv2

from curation.scores.root_frames import root_frames
from curation.scores.root_scores import NamedScorer, score_root
from curation.scores.score_registry import SCORE_KINDS
from curation.scores.scorer import Sampling
from shards.keys import shard_name
from shards.reader import media_shards, read_table
from shards.storage.store import Store
from shards.storage.tar import read_span
from shards.stored_rows import StoredClip

TOGETHER: Final = ("motion", "text_area", "nsfw", "blur")
OCR: Final = "text_area"
NEED_MODEL: Final = ("embedding", "looks")
"""Scores whose models are in no package."""
EVERY_FRAME: Final = Sampling(1000)


@dataclass(frozen=True)
class Root:
    """A root of the DIR with its clips, and its video."""

    clips: Sequence[StoredClip]
    video: bytes


def roots_of(store: Store) -> list[Root]:
    """Return all roots of a DIR; they are read before anything is measured."""
    roots = []
    for shard in media_shards(store):
        rows: list[StoredClip] = read_table(store, f"media/{shard_name(shard)}.parquet").to_pylist()
        for _, tree in groupby(rows, key=lambda row: row["root_key"]):
            clips = list(tree)
            span = clips[0]["byte_offset"], clips[0]["byte_size"]
            roots.append(Root(clips, read_span(store, f"media/{shard_name(shard)}.tar", *span)))
    return roots


def decode(roots: Sequence[Root], samplings: Mapping[str, Sampling]) -> None:
    """Decode the frames of all roots, and drop them."""
    for root in roots:
        for seen in root_frames(root.video, samplings):
            assert seen.frames


def score(roots: Sequence[Root], scorers: Sequence[NamedScorer]) -> None:
    """Score all clips; no score may fail."""
    counts: Counter[str] = Counter()
    for root in roots:
        score_root(scorers, root.clips, {}, lambda root=root: root.video, counts)
    assert not +counts, counts


def medians(ways: Mapping[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """Return the median CPU seconds of each way; the ways take turns, after one round that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, way in ways.items():
            began = time.process_time()
            way()
            if run:
                taken[name].append(time.process_time() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def named_scorers(names: Sequence[str]) -> dict[str, NamedScorer]:
    """Return scorers with their default settings; models are loaded here."""
    kinds = [kind for kind in SCORE_KINDS if kind.name in names]
    return {kind.name: NamedScorer(kind.name, *_built(kind)) for kind in kinds}


def _built(kind: Any) -> tuple[Any, Any]:
    settings = kind.settings()
    return kind.columns(settings), kind.build(settings)


def ways_of(roots: Sequence[Root], scorers: Mapping[str, NamedScorer]) -> dict[str, Callable[[], Any]]:
    """Return everything that is measured, by name."""
    ways: dict[str, Callable[[], Any]] = {"bare": lambda: decode(roots, {"every": EVERY_FRAME})}
    for name, scorer in scorers.items():
        ways[name] = lambda scorer=scorer: score(roots, [scorer])
        if scorer.scorer.sampling is not None:
            sampling = scorer.scorer.sampling
            ways[f"frames of {name}"] = lambda sampling=sampling: decode(roots, {"own": sampling})
    samplings = {name: each.scorer.sampling for name, each in scorers.items() if each.scorer.sampling is not None}
    ways["frames of all"] = lambda: decode(roots, samplings)
    ways["all"] = lambda: score(roots, list(scorers.values()))
    four = [scorers[name] for name in TOGETHER if name in scorers]
    ways["four"] = lambda: score(roots, four)
    ways["four without OCR"] = lambda: score(roots, [each for each in four if each.name != OCR])
    return ways


def report(seconds: Mapping[str, float], names: Sequence[str], clips: int, length: float) -> None:
    """Print the table and the figures that have targets."""
    print("| score | CPU-ms a clip | of it decoding | CPU-ms a second of video | clips a CPU-second |")
    print("|---|---|---|---|---|")
    for name in ("bare", *names, "four", "four without OCR", "all"):
        own = seconds[name]
        decoding = "" if f"frames of {name}" not in seconds else f"{1000 * seconds[f'frames of {name}'] / clips:.2f}"
        label = {"bare": "bare decoding of all frames", "four": f"{', '.join(TOGETHER)} together"}.get(name, name)
        print(
            f"| {label} | {1000 * own / clips:.2f} | {decoding} | {1000 * own / length:.2f} | {clips / own:.1f} |",
        )
    dearest = max(names, key=lambda name: seconds[name])
    frames = "frames of all"
    apart = sum(seconds[name] - seconds.get(f"frames of {name}", 0.0) for name in names)
    print(f"\nall against the dearest alone ({dearest}) plus decoding: ", end="")
    print(f"{seconds['all'] / (seconds[dearest] + seconds.get(f'frames of {dearest}', 0.0)):.2f}")
    print(f"all against one decoding plus what each computes: {seconds['all'] / (seconds[frames] + apart):.2f}")
    print(f"all against each by itself, one after another: {seconds['all'] / sum(seconds[name] for name in names):.2f}")


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", default="demo/shards", help="the DIR to read; default: demo/shards")
    known = [kind.name for kind in SCORE_KINDS if kind.name not in NEED_MODEL]
    parser.add_argument("--scores", default=",".join(known), help="default: all that need no model to be named")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    names = [name for name in known if name in arguments.scores.split(",")]
    roots, scorers = roots_of(Store(arguments.shards)), named_scorers(names)
    clips = sum(len(root.clips) for root in roots)
    length = sum(root.clips[0]["end"] - root.clips[0]["start"] for root in roots)
    print(f"{platform.machine()}, {os.cpu_count()} cores; {clips} clips of {len(roots)} roots, {length:.0f} s\n")
    report(medians(ways_of(roots, scorers), arguments.runs), names, clips, length)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
