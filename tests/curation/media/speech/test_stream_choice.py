"""Sound and subtitle streams are chosen by what the container says of them."""

import pytest

from curation.media.picture.video_records import AudioStream, SubtitleStream
from curation.media.speech.stream_choice import is_main_sound, is_speech_text, rank_sound


def sound(index: int, language: str | None = None, *marks: str, title: str = "") -> AudioStream:
    return AudioStream(index, "aac", language, 48000, 2, "stereo", frozenset(marks), title)


def text(*marks: str, title: str = "") -> SubtitleStream:
    return SubtitleStream(0, "subrip", "eng", frozenset(marks), title)


@pytest.mark.parametrize(
    ("streams", "languages", "best"),
    [
        ([sound(1, "spa", "dub"), sound(2, "eng", "default", "original")], [], 2),
        ([sound(1, "eng", "comment"), sound(2, "eng")], [], 2),
        ([sound(1, "eng", "default", title="Director's commentary"), sound(2, "eng")], [], 2),
        ([sound(1, "deu", title="Audiokommentar"), sound(2, "deu", title="Kommentar"), sound(3, "deu")], [], 3),
        ([sound(1, "eng", "visual_impaired", "default"), sound(2, "eng")], [], 2),
        ([sound(1, "spa"), sound(2, "eng", "default")], [], 2),
        ([sound(1, "spa", "default"), sound(2, "eng")], ["en"], 2),
        ([sound(1, "fra", "original"), sound(2, "eng", "dub", "default")], ["en"], 1),
        ([sound(1, "rus", title="Dubbed"), sound(2, "jpn")], [], 2),
        ([sound(1), sound(2)], ["en"], 1),
    ],
)
def test_the_original_sound_is_heard(streams: list[AudioStream], languages: list[str], best: int) -> None:
    assert rank_sound(streams, languages)[0].index == best


def test_every_stream_stays_as_a_last_resort() -> None:
    assert len(rank_sound([sound(1, "eng", "comment"), sound(2)], [])) == 2
    assert not is_main_sound(sound(1, "eng", "comment"))


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (text(), True),
        (text("default", "hearing_impaired", title="English [SDH]"), True),
        (text("captions", "original"), True),
        (text("forced", "default"), False),
        (text(title="English (Forced)"), False),
        (text(title="Signs & Songs"), False),
        (text(title="Français forcé"), False),
        (text("comment"), False),
        (text(title="Commentary by the director"), False),
        (text("lyrics"), False),
        (text(title="SubtitleHandler"), True),
    ],
)
def test_subtitles_that_hold_less_than_all_speech_are_no_speech(stream: SubtitleStream, expected: bool) -> None:
    assert is_speech_text(stream) is expected
