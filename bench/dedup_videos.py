"""Recall and precision of perceptual deduplication on copies of real videos, and on videos that share an intro.

    python -m bench.dedup_videos --videos /path/to/videos

Of every video that moves and is at least eight seconds long, copies are made with ffmpeg: re-encoded small, cropped by
10 %, mirrored, 5 % slower and faster, letterboxed, with a logo, and cut into another video. Of each video an episode of
a series is made, which begins with the same intro of five seconds. All are hashed as the score `frame_hashes` does, and
compared as `curate dedup --perceptual` does. A pair is called a copy if one shows at least `share` of the other.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from curation.selection.decontamination.video_hashes import VideoHashes, video_hashes
from curation.selection.deduplication.dedup_settings import PerceptualSettings
from curation.selection.deduplication.perceptual.frame_alignment import Alignment
from curation.selection.deduplication.perceptual.frame_hash import mirrored
from curation.selection.deduplication.perceptual.hash_index import candidate_pairs
from curation.selection.deduplication.perceptual.perceptual_workers import align_roots, keep_best, limits_of
from curation.selection.deduplication.perceptual.root_hashes import RootHashes
from runtime.processes import ffmpeg_binary, run

NOT_USED: Final[dict[str, str]] = {
    "cosmos-curate__test_clip_10s": "seconds 3 to 13 of cosmos-curate__test_video_30s: a copy itself",
    "moviepy__example_mask": "a mask of two brightnesses, no picture: its hash changes with every encoder",
}
SECONDS: Final = 20.0
"""Length of each original; shorter videos are used whole."""
LEAST_SECONDS: Final = 8.0
INTRO_SECONDS: Final = 5.0
_SIZE: Final = "scale=640:360:force_original_aspect_ratio=decrease,pad=640:360:-1:-1,fps=25,setsar=1"
_ENCODE: Final = ("-an", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
COPIES: Final[dict[str, str]] = {
    "re-encoded": "scale=320:180",
    "cropped 10 %": "crop=iw*0.9:ih*0.9",
    "mirrored": "hflip",
    "5 % slower": "setpts=PTS*1.05",
    "5 % faster": "setpts=PTS/1.05",
    "letterboxed": "scale=640:270,pad=640:360:0:45",
    "with a logo": "drawbox=x=iw*0.84:y=ih*0.06:w=iw*0.1:h=ih*0.1:color=white@0.9:t=fill",
}
INSIDE: Final = "cut into another video"


@dataclass(frozen=True)
class MadeVideo:
    """One video of the set."""

    path: Path
    origin: str
    """The video that it shows; videos of one origin are copies of each other."""
    change: str


def make_set(videos: Path, folder: Path) -> Iterator[MadeVideo]:
    """Make originals, copies and episodes."""
    originals = [made for path in _used(videos) if (made := _original(path, folder)) is not None]
    yield from originals
    for made in originals:
        for number, (change, filters) in enumerate(COPIES.items()):
            path = folder / f"{made.path.stem}-{number}.mp4"
            _ffmpeg("-i", made.path, "-vf", filters, "-crf", "30" if change == "re-encoded" else "24", *_ENCODE, path)
            yield MadeVideo(path, made.origin, change)
    for made, other in zip(originals, [*originals[1:], originals[0]], strict=True):
        path = folder / f"{made.path.stem}-inside.mp4"
        _inside(made.path, other.path, path)
        yield MadeVideo(path, made.origin, INSIDE)
    intro = folder / "intro.mp4"
    _ffmpeg("-t", str(INTRO_SECONDS), "-i", originals[0].path, *_ENCODE, intro)
    for made in originals[1:]:
        path = folder / f"{made.path.stem}-episode.mp4"
        _joined([intro, made.path], path)
        yield MadeVideo(path, f"episode of {made.origin}", "episode")


def _used(videos: Path) -> list[Path]:
    return sorted(path for path in videos.iterdir() if path.stem not in NOT_USED)


def _original(path: Path, folder: Path) -> MadeVideo | None:
    """Return the beginning of a video in a common size; None if it is short, still or unreadable."""
    made = folder / f"{path.stem.replace('.', '_')}.mp4"
    command = ["-t", str(SECONDS), "-i", path, "-vf", _SIZE, "-crf", "18", *_ENCODE, made]
    if run([ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *command], timeout=300, check=False).returncode:
        return None
    hashes = video_hashes(made)
    if hashes is None or len(hashes[0]) < LEAST_SECONDS * 2 or not _moves(hashes[1]):
        return None
    return MadeVideo(made, path.stem, "original")


def _moves(hashes: np.ndarray) -> bool:
    """Return True if a typical frame differs from others in more than a few bits."""
    return float(np.median(np.bitwise_count(hashes[:, None] ^ hashes[None, :]))) >= 4


def _inside(part: Path, other: Path, path: Path) -> None:
    """Cut a video into the middle of another."""
    filters = (
        "[0:v]split[x][y];[x]trim=0:6,setpts=PTS-STARTPTS[a];[y]trim=start=6,setpts=PTS-STARTPTS[c];"
        "[1:v]setpts=PTS-STARTPTS[b];[a][b][c]concat=n=3:v=1"
    )
    _ffmpeg("-i", other, "-i", part, "-filter_complex", filters, *_ENCODE, path)


def _joined(parts: Sequence[Path], path: Path) -> None:
    inputs = [argument for part in parts for argument in ("-i", part)]
    _ffmpeg(*inputs, "-filter_complex", f"concat=n={len(parts)}:v=1", *_ENCODE, path)


def _ffmpeg(*arguments: str | Path) -> None:
    run([ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *arguments], timeout=300)


def aligned_pairs(hashes: Sequence[VideoHashes], settings: PerceptualSettings) -> dict[tuple[int, int], Alignment]:
    """Return the alignments of all videos with each other, found through candidates."""
    lengths = np.array([len(times) for times, _ in hashes])
    roots = RootHashes(
        np.concatenate([each for _, each in hashes]),
        np.concatenate([times for times, _ in hashes]),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.arange(len(hashes)),
        np.ones(len(hashes), bool),
    )
    pairs = candidate_pairs(roots.hashes, mirrored(roots.hashes), roots.root_of_frame, roots.is_new)
    limits = limits_of(settings.distance, settings.mean_distance, settings.seconds)
    found: dict[tuple[int, int], Alignment] = {}
    for one, other, flip in zip(pairs.one.tolist(), pairs.other.tolist(), pairs.is_mirrored.tolist(), strict=True):
        alignment = align_roots(roots, one, other, flip, limits)
        if alignment is not None:
            keep_best(found, one, other, alignment)
    return found


def is_copy(alignment: Alignment, lengths: tuple[float, float], share: float) -> bool:
    """Return True if one of the videos shows at least `share` of the other."""
    spans = alignment.end_a - alignment.start_a, alignment.end_b - alignment.start_b
    return any(span >= share * length for span, length in zip(spans, lengths, strict=True))


def show_same(one: MadeVideo, other: MadeVideo, videos: Sequence[MadeVideo]) -> bool | None:
    """Return True for copies of one origin, False for others, None where both hold an origin besides their own."""
    if one.origin == other.origin:
        return True
    held = [_holds(video, videos) for video in (one, other)]
    return None if held[0] & held[1] else False


def _holds(video: MadeVideo, videos: Sequence[MadeVideo]) -> set[str]:
    """Return the origins whose pictures are in a video: a compilation and an episode hold two."""
    names = [each.origin for each in videos if each.change == "original"]
    if video.change == INSIDE:
        return {video.origin, names[(names.index(video.origin) + 1) % len(names)]}
    return {video.origin.removeprefix("episode of ")}


def measure(videos: Path) -> None:
    """Make the set, compare it, and print recall of each change, and precision."""
    with tempfile.TemporaryDirectory(prefix="bench-dedup-") as folder:
        made = list(make_set(videos, Path(folder)))
        hashes = [each for video in made if (each := video_hashes(video.path)) is not None]
    assert len(hashes) == len(made)
    settings = PerceptualSettings(scores="bench")
    lengths = [len(times) / 2 for times, _ in hashes]
    copies = {
        pair
        for pair, alignment in aligned_pairs(hashes, settings).items()
        if is_copy(alignment, (lengths[pair[0]], lengths[pair[1]]), settings.share)
    }
    found: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    wrong: dict[str, list[str]] = defaultdict(list)
    for a, b in itertools.combinations(range(len(made)), 2):
        same = show_same(made[a], made[b], made)
        if same is False and (a, b) in copies:
            wrong["other videos"].append(f"{made[a].path.stem} ~ {made[b].path.stem}")
        if same and made[a].change == "original":
            asked[made[b].change] += 1
            found[made[b].change] += (a, b) in copies
            if (a, b) not in copies:
                wrong[made[b].change].append(made[a].origin)
    report(made, copies, found, asked, wrong)


def report(
    made: Sequence[MadeVideo],
    copies: set[tuple[int, int]],
    found: Counter[str],
    asked: Counter[str],
    wrong: dict[str, list[str]],
) -> None:
    """Print recall of each change, and precision over all pairs that were called copies."""
    print(f"{platform.machine()}, {sum(video.change == 'original' for video in made)} originals, {len(made)} videos")
    print("| change | copies | recall | missed |")
    print("|---|---|---|---|")
    for change in asked:
        share = f"{100 * found[change] / asked[change]:.1f} %"
        print(f"| {change} | {asked[change]} | {share} | {', '.join(wrong[change])} |")
    false = wrong["other videos"]
    right = sum(show_same(made[a], made[b], made) is True for a, b in copies)
    print(f"recall {100 * found.total() / asked.total():.1f} % of {asked.total()}")
    print(
        f"precision {100 * right / max(right + len(false), 1):.1f} % of {right + len(false)} pairs: {'; '.join(false)}"
    )


def main() -> None:
    """Measure on the videos of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True)
    measure(parser.parse_args().videos)


if __name__ == "__main__":
    main()
