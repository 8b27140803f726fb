"""Sound of any channels becomes one channel in which what is heard on loudspeakers is still heard."""

from pathlib import Path

import numpy as np
import pytest
from support.waiting import PATIENCE

from curation.demo.synthetic_speech import speak
from curation.media.picture.probe import probe
from curation.media.picture.video_records import VideoSpan
from curation.media.speech.sound_mixing import mix_file, mix_to_mono
from curation.media.speech.sound_windows import Sound
from curation.media.speech.stream_extraction import extract_sound
from runtime.processes import ffmpeg_binary, run


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    speak("Lions sleep for about twenty hours every day.", path)
    return path


def extracted(path: Path, folder: Path) -> Sound:
    found = probe(path)
    sound = extract_sound(VideoSpan(path, found, 0.0, found.duration), found.audio[0], folder)
    assert sound is not None
    return sound[:]


def loudness(sound: Sound) -> float:
    return float(np.sqrt(np.square(sound.astype(np.float32)).mean()))


def video_with(path: Path, voice: Path, filter_: str, *codec: str) -> Path:
    picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=8:duration=3"]
    args = ["-map", "0:v", "-map", "1:a", "-af", filter_, "-c:v", "libx264", *codec, "-y", path]
    run([ffmpeg_binary(), "-v", "error", *picture, "-i", voice, *args], timeout=PATIENCE)
    return path


@pytest.mark.parametrize("name", ["06-phase-inverted-stereo/inverted.mkv", "07-ambisonic-sound-lost/ambi.mkv"])
def test_published_faults_are_heard(shared_fixtures: Path, tmp_path: Path, name: str) -> None:
    assert loudness(extracted(shared_fixtures / "faults" / name, tmp_path)) > 1000


@pytest.mark.parametrize(
    ("filter_", "codec"),
    [
        ("pan=mono|c0=c0", ("-c:a", "aac")),
        ("pan=stereo|c0=c0|c1=c0", ("-c:a", "aac")),
        ("pan=stereo|c0=c0|c1=-1*c0", ("-c:a", "flac")),
        ("pan=stereo|c0=0*c0|c1=c0", ("-c:a", "aac")),
        ("pan=5.1|FL=c0|FR=-1*c0|FC=0*c0|LFE=0*c0|BL=0*c0|BR=0*c0", ("-c:a", "flac")),
        ("pan=5.1|FC=c0|FL=0*c0|FR=0*c0|LFE=0*c0|BL=0*c0|BR=0*c0", ("-c:a", "aac")),
        ("pan=4C|c0=c0|c1=0*c0|c2=0*c0|c3=0*c0", ("-c:a", "libopus", "-mapping_family", "255")),
        ("pan=11C|c0=0*c0|c10=c0", ("-c:a", "pcm_s16le")),
    ],
    ids=["mono", "dual-mono", "inverted", "one-side", "inverted-fronts", "centre", "discrete", "eleven"],
)
def test_speech_is_heard_in_any_layout(voice: Path, tmp_path: Path, filter_: str, codec: tuple[str, ...]) -> None:
    heard = extracted(video_with(tmp_path / "video.mkv", voice, filter_, *codec), tmp_path)
    assert loudness(heard) > 200


def test_a_stereo_mix_beside_ambisonic_sound_is_heard(voice: Path, tmp_path: Path) -> None:
    silent = "pan=6c|c0=0*c0|c1=0*c0|c2=0*c0|c3=0*c0|c4=c0|c5=c0"
    path = video_with(tmp_path / "head_locked.mkv", voice, silent, "-c:a", "libopus", "-mapping_family", "2")
    if not probe(path).audio[0].layout.startswith("ambisonic"):
        pytest.skip("this ffmpeg writes no ambisonic sound with a stereo mix")
    assert loudness(extracted(path, tmp_path)) > 1000


def test_the_mix_of_unrelated_channels_is_their_average() -> None:
    pairs = np.random.default_rng(0).integers(-9000, 9000, (16000, 2)).astype(np.int16)
    assert np.abs(mix_to_mono(pairs) - pairs.mean(axis=1)).max() <= 0.5


def test_a_stretch_that_is_inverted_is_heard_among_others_that_are_not(tmp_path: Path) -> None:
    tone = (np.sin(np.arange(20 * 16000) / 10) * 8000).astype(np.int16)
    sign = np.where(np.arange(len(tone)) < 10 * 16000, 1, -1)
    np.stack([tone, (tone * sign).astype(np.int16)], axis=1).tofile(tmp_path / "stereo")
    mix_file(tmp_path / "stereo", tmp_path / "mono")
    mono = np.fromfile(tmp_path / "mono", np.int16)
    assert len(mono) == len(tone)
    assert np.abs(mono - tone).max() <= 1


def test_a_half_pair_at_the_end_of_a_file_is_left_out(tmp_path: Path) -> None:
    np.arange(5, dtype=np.int16).tofile(tmp_path / "stereo")
    mix_file(tmp_path / "stereo", tmp_path / "mono")
    assert (tmp_path / "mono").stat().st_size == 4
