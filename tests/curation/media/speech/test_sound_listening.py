"""The share of the sound that subtitles cover, and the language that is heard."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.engines.models.speech_recognizer import AsrSettings
from curation.media.picture.video_records import AudioStream, Probe, VideoSpan
from curation.media.speech import sound_listening
from curation.media.speech.sound_listening import Listener
from curation.media.speech.sound_windows import SoundFile
from curation.media.speech.transcript import Word

SECONDS = 100


class Pool:
    """A recognizer pool that finds voices at given times and says one language."""

    def __init__(self, voiced: list[tuple[float, float]], language: tuple[str | None, float] = ("en", 0.9)) -> None:
        self.answers: dict[str, Any] = {"voiced_stretches": voiced, "detect_language": language}
        self.asked: list[str] = []

    def call(self, method: str, *args: object) -> object:
        self.asked.append(method)
        return self.answers[method]

    async def acall(self, method: str, *args: object) -> object:
        raise AssertionError("the media stage calls without an event loop")


@pytest.fixture()
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    np.full(SECONDS * 16000, 100, np.int16).tofile(tmp_path / "sound")
    monkeypatch.setattr(sound_listening, "extract_sound", lambda *_: SoundFile(tmp_path / "sound"))
    picture: Any = None  # never looked at
    stream = AudioStream(1, "aac", None, 48000, 2)
    span = VideoSpan(tmp_path / "video", Probe(SECONDS, 0.0, "mov", picture, (stream,)), 0.0, SECONDS)

    def make(pool: Pool) -> Listener:
        return Listener(span, (stream,), 600.0, AsrSettings(), pool, tmp_path)

    return make


@pytest.mark.parametrize(
    ("cues", "voiced", "whole"),
    [
        ([(0, 2)], [(0, 60)], False),
        ([(0, 2), (50, 52)], [(0, 3), (49, 53)], True),
        ([(10, 12), (20, 22)], [(9, 30)], False),
        ([(10, 12), (13, 15), (16, 20)], [(9, 21), (22, 24)], True),
        ([(50, 52)], [(0, 4)], True),  # too little is voiced to tell
        ([(50, 52)], [], True),
    ],
)
def test_subtitles_are_whole_if_they_cover_half_of_what_is_voiced(
    listener: Any, cues: list[tuple[float, float]], voiced: list[tuple[float, float]], whole: bool
) -> None:
    words = [Word(start, end, "words") for start, end in cues]
    assert listener(Pool(voiced)).are_whole(words) is whole


def test_subtitles_that_fill_the_span_are_not_compared_with_the_sound(listener: Any) -> None:
    pool = Pool([(0, 100)])
    assert listener(pool).are_whole([Word(0, 45, "words")])
    assert not pool.asked


def test_many_cues_and_stretches_are_compared_in_linear_time(listener: Any) -> None:
    words = [Word(i / 1000, i / 1000 + 0.0002, "w") for i in range(100_000)]
    assert listener(Pool([(i / 100, i / 100 + 0.005) for i in range(10_000)])).are_whole(words)


@pytest.mark.parametrize(("answer", "language"), [(("de", 0.9), "de"), (("de", 0.3), None), ((None, 0.0), None)])
def test_a_language_is_believed_if_it_is_sure(
    listener: Any, answer: tuple[str | None, float], language: str | None
) -> None:
    assert listener(Pool([], answer)).language() == language
