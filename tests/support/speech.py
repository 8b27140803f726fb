"""Videos that speak, made on the spot; and one loaded recogniser for a whole test run."""

from functools import cache
from pathlib import Path

import numpy as np
from support.waiting import PATIENCE

from curation.demo.synthetic_speech import speak
from curation.engines.speech_recognizer import AsrSettings, Recognizer
from runtime.processes import ffmpeg_binary, run


@cache
def recognizer() -> Recognizer:
    """Whisper base, loaded once in a test run."""
    return Recognizer(AsrSettings())


def samples(path: Path) -> np.ndarray:
    """The sound of a file: int16 samples, mono, 16 kHz."""
    args = [ffmpeg_binary(), "-v", "error", "-i", path, "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]
    return np.frombuffer(run(args, timeout=PATIENCE, max_output=1 << 26).stdout, dtype="<i2")


def spoken_video(path: Path, text: str, *, delay: float = 0.0, extra: tuple[str, ...] = ()) -> Path:
    """A small video in which `text` is spoken from `delay` seconds on; `extra` are more arguments of ffmpeg."""
    voice = path.with_suffix(".wav")
    speak(text, voice)
    picture = ["-f", "lavfi", "-i", f"testsrc=size=64x64:rate=8:duration={delay + len(samples(voice)) / 16000}"]
    sound = ["-itsoffset", str(delay), "-i", voice]
    codecs = ["-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    run([ffmpeg_binary(), "-v", "error", "-y", *picture, *sound, *codecs, *extra, path], timeout=PATIENCE)
    return path


def letters(text: str) -> str:
    """Words in lower case without punctuation."""
    return " ".join("".join(c for c in word if c.isalnum()) for word in text.lower().split())
