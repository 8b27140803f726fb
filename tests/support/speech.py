"""Videos with synthetic speech, and one loaded recognizer for a whole test run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from support.waiting import PATIENCE

from curation.demo.synthetic_speech import speak
from curation.engines.models.speech_recognizer import AsrSettings, Recognizer
from runtime.processes import ffmpeg_binary, run


@cache
def recognizer() -> Recognizer:
    """Return Whisper base, loaded once in a test run."""
    return Recognizer(AsrSettings())


def samples(path: Path) -> npt.NDArray[np.int16]:
    """Return the sound of a file: int16 samples, mono, 16 kHz."""
    args: list[str | Path] = [
        ffmpeg_binary(),
        "-v",
        "error",
        "-i",
        path,
        "-ac",
        "1",
        "-ar",
        "16000",
        "-f",
        "s16le",
        "-",
    ]
    return np.frombuffer(run(args, timeout=PATIENCE, max_output=1 << 26).stdout, dtype="<i2")


def spoken_video(path: Path, text: str, *, delay: float = 0.0, extra: tuple[str, ...] = ()) -> Path:
    """Make a small video in which `text` is spoken from `delay` seconds on; `extra` are further arguments of ffmpeg."""
    voice = path.with_suffix(".wav")
    speak(text, voice)
    picture = ["-f", "lavfi", "-i", f"testsrc=size=64x64:rate=8:duration={delay + len(samples(voice)) / 16000}"]
    sound: list[str | Path] = ["-itsoffset", str(delay), "-i", voice]
    codecs = ["-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    run([ffmpeg_binary(), "-v", "error", "-y", *picture, *sound, *codecs, *extra, path], timeout=PATIENCE)
    return path


def letters(text: str) -> str:
    """Return words in lower case without punctuation."""
    return " ".join("".join(c for c in word if c.isalnum()) for word in text.lower().split())
