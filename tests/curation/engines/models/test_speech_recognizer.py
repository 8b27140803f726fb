"""The speech recogniser over real speech, a synthetic voice, noise and silence."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.speech import letters, recognizer, samples

from curation.demo.synthetic_speech import speak
from curation.engines.engine_interface import RecognizedSpeech
from curation.engines.models.speech_recognizer import AsrSettings, Recognizer, segment_words
from runtime.errors import UserError

pytestmark = pytest.mark.slow

Sound = np.ndarray[Any, np.dtype[Any]]


def said(heard: RecognizedSpeech) -> str:
    return letters(" ".join(text for _, _, text in heard.words))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    speak("Lions sleep for about twenty hours every day.", path)
    return samples(path)


def test_a_famous_sentence_is_heard_with_the_times_of_its_words(shared_fixtures: Path) -> None:
    heard = recognizer().transcribe(samples(shared_fixtures / "audio" / "faster-whisper__jfk.flac"))
    assert "ask not what your country can do for you ask what you can do for your country" in said(heard)
    times = [time for start, end, _ in heard.words for time in (start, end)]
    assert times == sorted(times)
    country = next(start for start, _, text in heard.words if text == "country")
    assert 5.3 < country < 6.2
    assert heard.language == "en"
    assert heard.language_probability > 0.8
    assert 8 < heard.voiced_seconds <= 11


def test_a_synthetic_voice_is_understood(voice: Sound) -> None:
    heard = recognizer().transcribe(voice)
    assert "lions sleep for about" in said(heard)


def test_equal_sound_gives_equal_words_in_integer_and_float_samples(voice: Sound) -> None:
    assert recognizer().transcribe(voice.astype(np.float32) / 32768) == recognizer().transcribe(voice)


def test_a_stretch_of_silence_before_speech_shifts_the_words(voice: Sound) -> None:
    before, after = (recognizer().transcribe(np.pad(voice, (pad, 0))).words for pad in (0, 5 * 16000))
    assert after[-1][1] - before[-1][1] == pytest.approx(5.0, abs=0.4)


@pytest.mark.parametrize("level", [0, 300, 3000])
def test_silence_and_noise_hold_no_words(level: int) -> None:
    noise = np.random.default_rng(1).normal(size=16000 * 12) * level
    assert recognizer().transcribe(noise.astype(np.int16)) == RecognizedSpeech()


@pytest.mark.parametrize("length", [0, 1, 100, 8000])
def test_very_short_sound_holds_no_words(length: int) -> None:
    assert recognizer().transcribe(np.zeros(length, np.int16)).words == ()


def test_a_named_language_is_not_detected_again(voice: Sound) -> None:
    heard = recognizer().transcribe(voice[: 16000 * 3], "de")
    assert heard.language == "de"


def test_text_that_repeats_itself_too_much_is_dropped_and_counted(voice: Sound) -> None:
    heard = Recognizer(AsrSettings(max_compression_ratio=1.01)).transcribe(np.tile(voice, 2))
    assert not heard.words
    assert heard.lost_seconds > 3.0


def test_speech_after_a_loop_of_the_model_is_heard(shared_fixtures: Path) -> None:
    heard = recognizer().transcribe(samples(shared_fixtures / "faults/19-asr-loop-drops-speech/laughter.flac"))
    assert re.search("the boats (leaving|leave) at 7 oclock", said(heard)), "the word depends on the processor"
    assert said(heard).endswith("please wait for the captain")
    times = [time for start, end, _ in heard.words for time in (start, end)]
    assert times == sorted(times)
    assert heard.lost_seconds == 0.0


def test_a_word_said_many_times_is_heard(tmp_path: Path) -> None:
    speak("No. " * 10 + "Go. " * 5, tmp_path / "no.wav")
    heard = recognizer().transcribe(samples(tmp_path / "no.wav"))
    assert len(heard.words) >= 10
    assert heard.words[-1][1] - heard.words[0][0] > 8.0


def test_words_are_put_together_as_the_model_writes_them(shared_fixtures: Path) -> None:
    heard = recognizer().transcribe(samples(shared_fixtures / "faults/18-asr-apostrophes-decimals/oclock.flac"))
    text = " ".join(text for _, _, text in heard.words)
    assert "10 o'clock" in text
    assert "3.5 percent" in text
    assert " '" not in text


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([" Aujourd", "'hui", " c", "'est", " l", "'été"], ["Aujourd'hui", "c'est", "l'été"]),
        ([" twenty", "-four", " dollars", ",", " 5", "%"], ["twenty-four", "dollars,", "5%"]),
        (["It", "'s", " ", " fine."], ["It's", "fine."]),
        (["你", "好", "，", "i", "Phone", "3", ".5"], ["你", "好", "，", "iPhone3.5"]),
        (["𠮷", "野", "家"], ["𠮷", "野", "家"]),
        (["ខ្ញុំ", "ចូល", " ok", "ay"], ["ខ្ញុំ", "ចូល", "okay"]),
    ],
)
def test_pieces_without_a_space_before_them_continue_a_word(pieces: list[str], words: list[str]) -> None:
    timed = [SimpleNamespace(word=piece, start=i, end=i + 1) for i, piece in enumerate(pieces)]
    made = segment_words(timed)
    assert [text for _, _, text in made] == words
    assert all(a[1] <= b[0] for a, b in pairwise(made))


def test_stereo_sound_is_refused() -> None:
    with pytest.raises(ValueError, match="mono"):
        recognizer().transcribe(np.zeros((16000, 2), np.int16))


def test_a_model_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no"):
        Recognizer(AsrSettings(model=f"path://{tmp_path}/absent"))


def test_a_folder_that_is_no_whisper_model_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"asr: path://.* can't be loaded"):
        Recognizer(AsrSettings(model=f"path://{tmp_path}"))


def test_the_content_hash_is_blind_to_where_the_recogniser_runs() -> None:
    assert AsrSettings(device="cuda", cpu_threads=4).content() == AsrSettings().content()
