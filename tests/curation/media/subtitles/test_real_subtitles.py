"""Subtitle files of other makers, well-formed and not."""

from itertools import pairwise
from pathlib import Path

import pytest

from curation.media.speech.subtitle_reading import parse_subtitles, read_track
from curation.media.speech.transcript import Word
from curation.media.subtitles.cues import SubtitleError
from curation.media.subtitles.subtitle_tracks import Track


def words_of(path: Path, duration: float = 1e5) -> tuple[Word, ...]:
    return read_track(Track(path, None, "manual", path.suffix[1:]), duration).words


@pytest.fixture()
def subs(shared_fixtures: Path) -> Path:
    return shared_fixtures / "subs"


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("webvtt-py/captions_with_bom.vtt", 4),
        ("webvtt-py/comments.vtt", 3),
        ("webvtt-py/cue_tags.vtt", 8),
        ("webvtt-py/invalid_timeframe.srt", 5),  # a dot for a comma is understood
        ("webvtt-py/invalid_timeframe.vtt", 7),  # an end that can not be read does not cost the text
        ("webvtt-py/invalid_timeframe_in_cue_text.vtt", 3),
        ("webvtt-py/metadata_headers_multiline.vtt", 2),
        ("webvtt-py/missing_caption_text.srt", 4),
        ("webvtt-py/missing_caption_text.vtt", 4),
        ("webvtt-py/missing_timeframe.srt", 4),
        ("webvtt-py/missing_timeframe.vtt", 6),
        ("webvtt-py/no_captions.vtt", 0),
        ("webvtt-py/one_caption.srt", 1),
        ("webvtt-py/sample.srt", 5),
        ("webvtt-py/sample.vtt", 16),
        ("webvtt-py/styles.vtt", 1),
        ("webvtt-py/using_identifiers.vtt", 6),
        ("moviepy/subtitles.srt", 5),
        ("moviepy/subtitles-unicode.srt", 1),
        ("ableplayer/paulallen_en.vtt", 38),
        ("ableplayer/wwa_captions_en.vtt", 14),
        ("sintel/sintel-de.vtt", 13),
        ("nasa_13013.en.srt", 4),
    ],
)
def test_well_formed_cues_survive_malformed_text_around_them(subs: Path, name: str, count: int) -> None:
    assert len(words_of(subs / name)) == count


@pytest.mark.parametrize(
    "name", ["empty.vtt", "invalid.vtt", *(f"invalid_format{i}.srt" for i in range(1, 5)), "invalid_format.sbv"]
)
def test_other_files_are_refused(subs: Path, name: str) -> None:
    with pytest.raises(SubtitleError):
        words_of(subs / "webvtt-py" / name)


@pytest.mark.parametrize("kind", ["chapters", "description", "descriptions"])
def test_chapters_and_descriptions_are_refused(subs: Path, kind: str) -> None:
    paths = list((subs / "ableplayer").glob(f"*_{kind}_en.vtt")) + list((subs / "ableplayer").glob(f"*-{kind}_en.vtt"))
    assert paths
    for path in paths:
        with pytest.raises(SubtitleError, match="not captions"):
            words_of(path)


def test_a_header_of_chapters_counts_more_than_the_file_name(subs: Path) -> None:
    with pytest.raises(SubtitleError, match="chapters"):
        parse_subtitles((subs / "ableplayer/frenchsong_chapters_en.vtt").read_bytes(), "vtt")


def test_real_captions_lose_sound_tags_speakers_and_markup(subs: Path) -> None:
    spoken = " ".join(word.text for word in words_of(subs / "ableplayer/blocks4all_captions_en.vtt"))
    assert spoken.startswith("Boon, he's very excited about the world. He's up for almost anything.")
    spoken += " ".join(word.text for word in words_of(subs / "webvtt-py/netflix_chicas_del_cable.vtt"))
    assert not set(spoken) & set("<>[]{}♪")


def test_a_narrators_name_in_capitals_is_removed(subs: Path) -> None:
    assert words_of(subs / "nasa_13013.en.srt")[0].text == "This is the optical and science segment of the Webb"


def test_every_real_file_gives_monotone_words_within_the_video(subs: Path) -> None:
    for path in [*subs.rglob("*.vtt"), *subs.rglob("*.srt"), *subs.rglob("*.json3")]:
        try:
            words = words_of(path, duration=100.0)
        except SubtitleError:
            continue
        assert all(0 <= word.start < word.end <= 100.0 for word in words), path
        assert all(a.end <= b.start for a, b in pairwise(words)), path
