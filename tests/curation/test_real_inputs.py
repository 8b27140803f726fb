"""`curate run demo` on real files and on inputs that failed: states, words and colours, as a user finds them in DIR.

One run over all of them, media only. Each fault has narrower tests beside the module that mends it.
"""

import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from support.broken_videos import ffmpeg
from support.curate_runs import curate

from shards.media.keyframes import read_still, stills_of
from shards.reader import artifacts, read_table
from shards.storage.store import Store
from shards.storage.tar import read_span

pytestmark = pytest.mark.slow

RED = (200, 60, 30)
SPOKEN = "The quick brown fox jumps over the lazy dog. The weather is fine today."
TOO_SHORT_ORIGINS = ("auto-editor", "clip-video-encode", "moviepy", "pyscenedetect", "torchcodec")
SECONDS = {"live5.mkv": 8.0, "live60.webm": 8.0, "moviepy__no_duration.webm": 4.87}
COLOURS = ("hdr_pq.mp4", "c601.mp4", "c709.mp4", "untagged_hd.mp4")
WORDS = {
    "inverted.mkv": SPOKEN,
    "ambi.mkv": SPOKEN,
    "dub_first.mkv": "fox jumps over the lazy dog. The weather is fine today.",  # some processors hear: round fox
    "oclock.mkv": "10 o'clock",
    "laughter.mkv": "Please wait for the captain",
    "blank-line.mp4": "I am stuck at work, I will be ten minutes late. The road is closed.",
    "capitals.mp4": "HERE IS THE THING: WE NEED MORE WATER. AND THE RULE IS SIMPLE: NEVER LOOK DOWN.",
    "growing.mp4": "this is how the live captions grow word by word",
    "romanian.mp4": "Bună ziua, mă numesc Ana. Astăzi gătim supă și pâine.",
    "turkish.mp4": "Şimdi gidiyoruz. Çok güzel bir gün, değil mi? Işıklar sönük.",
    "japanese.mp4": "今日はとてもいい天気です",
    "odd-times.mp4": "a colon before the milliseconds spaces from a machine translation short numbers coordinates",
    "surrogate.mp4": "there second line",
}
"""Words that a video's transcript must contain, by the name of its file."""
SUBTITLES = {
    "blank-line.mp4": ("10-blank-line-in-srt-cue/talk.en.srt", ".en.srt"),
    "capitals.mp4": ("11-capitals-before-colon/talk.en.srt", ".en.srt"),
    "growing.mp4": ("15-growing-captions/talk.en.srt", ".en.srt"),
    "romanian.mp4": ("16-central-european-srt/talk.ro.srt", ".ro.srt"),
    "turkish.mp4": ("16-central-european-srt/talk.tr.srt", ".tr.srt"),
    "japanese.mp4": ("17-cjk-spaces-and-limit/talk.ja.auto.json3", ".ja.auto.json3"),
    "odd-times.mp4": ("13-odd-srt-timestamps/talk.srt", ".srt"),
    "surrogate.mp4": ("22-lone-surrogate/emoji.en.json3", ".en.json3"),
}
"""Faulty subtitle files, each put beside a video of its own: the file, and the ending that it gets there."""


@dataclass(frozen=True)
class Curated:
    """The DIR of the run, read."""

    store: Store
    ledger: dict[str, tuple[str, str]]
    """State and class of each source, by the name of its file."""
    clips: list[dict[str, object]]

    def roots(self, name: str) -> list[dict[str, object]]:
        """Return the rows of the roots of one video, in order of time."""
        own = [clip for clip in self.clips if str(clip["source"]).endswith(f"/{name}") and clip["parent_key"] is None]
        return sorted(own, key=lambda clip: float(str(clip["start"])))


@pytest.fixture(scope="module")
def curated(shared_fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Curate all real videos and all faulty inputs once."""
    folder = tmp_path_factory.mktemp("real")
    inputs = _inputs(shared_fixtures, folder)
    output = folder / "out"
    sets = ["--set", "media.video.transcribe.languages=[]", "--stages", "media", "--address", "local", "--quiet"]
    ended = curate("run", "demo", "--input", *inputs, "--output", output, *sets)
    assert ended.status == 0, ended.err
    return _read(output)


def _inputs(fixtures: Path, folder: Path) -> list[Path]:
    faults = fixtures / "faults"
    videos = [path for kind in ("mkv", "webm", "mp4", "mpg") for path in sorted(faults.glob(f"*/*.{kind}"))]
    for name, (file, ending) in SUBTITLES.items():
        videos.append(_moving_picture(folder / name, len(videos)))
        shutil.copyfile(faults / file, folder / f"{Path(name).stem}{ending}")
    for number, sound in enumerate(sorted(faults.glob("*/*.flac"))):
        videos.append(folder / f"{sound.stem}.mkv")
        picture = f"testsrc2=s=160x120:r=8:d=12,hue=h={number * 20}"
        ffmpeg("-f", "lavfi", "-i", picture, "-i", sound, "-c:a", "copy", "-shortest", videos[-1])
    return [*sorted(fixtures.glob("video/*")), *videos]


def _moving_picture(path: Path, number: int) -> Path:
    """Make 33 silent seconds; each number gives another picture, so no two are duplicates."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=160x120:r=8:d=33,hue=h={number * 7}", "-preset", "ultrafast", path)
    return path


def _read(output: Path) -> Curated:
    store = Store(str(output))
    rows = [row for shard in artifacts(store, "ledger") for row in _rows(store, "ledger", shard)]
    clips = [row for shard in artifacts(store, "media") for row in _rows(store, "media", shard)]
    ledger = {Path(str(row["source"])).name: (str(row["state"]), str(row["class"] or "")) for row in rows}
    assert len(ledger) == len(rows), "each source has one state"
    return Curated(store, ledger, clips)


def _rows(store: Store, folder: str, shard: int) -> list[dict[str, object]]:
    return read_table(store, f"{folder}/{shard:07d}.parquet").to_pylist()


def _expected(name: str) -> tuple[str, str]:
    """Return the state that a source must end in: one file is empty, and those under three seconds are too short."""
    return {"moviepy__result.webm": ("failed", "not_video")}.get(name, ("written", ""))


def test_every_source_ends_in_the_state_it_should(curated: Curated) -> None:
    too_short = {name for name, state in curated.ledger.items() if state == ("filtered", "too_short")}
    assert len(too_short) == 22
    assert all(name.split("__")[0] in TOO_SHORT_ORIGINS for name in too_short), too_short
    others = {name: state for name, state in curated.ledger.items() if name not in too_short}
    assert others == {name: _expected(name) for name in others}


@pytest.mark.parametrize("name", SECONDS)
def test_lengths_are_those_of_the_pictures(name: str, curated: Curated) -> None:
    roots = curated.roots(name)
    assert float(str(roots[-1]["end"])) - float(str(roots[0]["start"])) == pytest.approx(SECONDS[name], abs=0.2)


@pytest.mark.parametrize("name", WORDS)
def test_the_words_are_the_speakers(name: str, curated: Curated) -> None:
    said = " ".join(str(root["subtitle"]) for root in curated.roots(name))
    assert WORDS[name].casefold() in said.casefold()


@pytest.mark.parametrize("name", COLOURS)
def test_stills_and_stored_frames_show_the_colour_of_the_source(name: str, curated: Curated) -> None:
    (root,) = curated.roots(name)
    for picture in (_still(curated, root), _stored_frame(curated, root)):
        height, width, _ = picture.shape
        middle = picture[height // 4 : -height // 4, width // 4 : -width // 4].mean(axis=(0, 1))
        assert list(middle) == pytest.approx(RED, abs=5)


def _still(curated: Curated, root: dict[str, object]) -> np.ndarray:
    shard = int(str(root["shard"]))
    still = stills_of(curated.store, shard)[str(root["key"])][0]
    return np.asarray(Image.open(io.BytesIO(read_still(curated.store, shard, still))).convert("RGB"))


def _stored_frame(curated: Curated, root: dict[str, object]) -> np.ndarray:
    tar = f"media/{int(str(root['shard'])):07d}.tar"
    data = read_span(curated.store, tar, int(str(root["byte_offset"])), int(str(root["byte_size"])))
    with av.open(io.BytesIO(data)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")
