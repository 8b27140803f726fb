"""The clip tree is a pure function: its properties hold for any input, and examples show its choices."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.transcripts import spoken_transcript

from curation.media.clips.clip_tree import Clip, segment
from curation.media.clips.segment_settings import SegmentSettings
from curation.media.speech.sentence_settings import SentenceSettings
from curation.media.speech.sentences import split_sentences
from curation.media.speech.subtitle_reading import parse_subtitles
from curation.media.speech.transcript import Sentence, Transcript, Word, words_within
from curation.media.speech.word_times import make_monotone
from runtime.errors import UserError
from runtime.settings import build
from shards.schema import LEVELS

SETTINGS = SegmentSettings()
TARGETS = {"short": 13.0, "medium": 30.0, "long": 60.0}
Case = tuple[list[Sentence], list[float], float]
"""Sentences, shot boundaries, and the end of the video."""


@st.composite
def speech(draw: st.DrawFn) -> Case:
    """Draw words at any times (long gaps, overlaps, no duration, long cues), in arbitrary sentences."""
    steps = st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 40)),
        st.one_of(st.floats(0.05, 0.6), st.just(0.0), st.floats(0, 70)),
        st.booleans(),
    )
    at, stops = 0.0, []
    words: list[Word] = []
    for gap, length, stop in draw(st.lists(steps, max_size=60)):
        at += gap
        words.append(Word(at, at + length, f"w{len(words)}"))
        stops.append(stop)
        at += length
    end = at + draw(st.floats(0.6, 40))
    made = make_monotone(words, 0.0, end)
    bounds = [0, *(i + 1 for i, stop in enumerate(stops[:-1]) if stop), len(made)]
    spoken = [Sentence(made[a:b]) for a, b in pairwise(bounds) if b > a]
    shots = draw(st.lists(st.floats(-5, 400), max_size=40))
    return spoken, shots, end


def roots_of(case: Case) -> list[Clip]:
    spoken, shots, end = case
    return segment(spoken, shots, 0.0, end, SETTINGS)


def leaves(roots: Iterable[Clip]) -> list[Clip]:
    return [clip for root in roots for clip in root.walk() if not clip.children]


def ms(seconds: float) -> int:
    return round(seconds * 1000)


@given(speech())
@settings(deadline=None, max_examples=150)
def test_children_tile_their_parent(case: Case) -> None:
    for clip in (clip for root in roots_of(case) for clip in root.walk() if clip.children):
        assert len(clip.children) >= 2
        assert clip.children[0].start == clip.start
        assert clip.children[-1].end == clip.end
        assert all(a.end == b.start for a, b in pairwise(clip.children))


@given(speech())
@settings(deadline=None, max_examples=150)
def test_roots_tile_the_span_in_order(case: Case) -> None:
    roots = roots_of(case)
    assert roots[0].start == 0.0
    assert ms(roots[-1].end) == ms(case[2])
    assert all(a.end == b.start for a, b in pairwise(roots))


@given(speech())
@settings(deadline=None, max_examples=150)
def test_no_cut_falls_into_a_word(case: Case) -> None:
    cuts = {time for clip in leaves(roots_of(case)) for time in (clip.start, clip.end)}
    words = [word for sentence in case[0] for word in sentence.words]
    assert not [(cut, word) for cut in cuts for word in words if word.start < cut < word.end]


@given(speech())
@settings(deadline=None, max_examples=150)
def test_every_word_is_in_exactly_one_smallest_clip(case: Case) -> None:
    words = [word for sentence in case[0] for word in sentence.words]
    assigned = [word for clip in leaves(roots_of(case)) for word in words_within(words, clip.start, clip.end)]
    assert assigned == words


@given(speech())
@settings(deadline=None, max_examples=150)
def test_levels_grow_towards_the_root_and_clips_are_never_slivers(case: Case) -> None:
    for clip in (clip for root in roots_of(case) for clip in root.walk()):
        assert all(LEVELS.index(child.level) < LEVELS.index(clip.level) for child in clip.children)
        assert clip.end - clip.start >= min(SETTINGS.smallest, case[2]) - 0.001
        assert (clip.start, clip.end) == (ms(clip.start) / 1000, ms(clip.end) / 1000)


@given(speech())
@settings(deadline=None, max_examples=150)
def test_a_root_without_children_has_the_level_whose_target_is_nearest(case: Case) -> None:
    for root in (root for root in roots_of(case) if not root.children):
        length = root.end - root.start
        assert root.level == min(LEVELS, key=lambda level: max(length / TARGETS[level], TARGETS[level] / length))


@given(speech())
@settings(deadline=None, max_examples=150)
def test_silences_longer_than_the_maximum_have_roots_of_their_own(case: Case) -> None:
    words = [word for sentence in case[0] for word in sentence.words]
    for root in roots_of(case):
        inside = words_within(words, root.start, root.end)
        edges = [root.start, *(time for word in inside for time in (word.start, word.end)), root.end]
        if inside:
            assert all(b - a <= SETTINGS.max_gap + 0.001 for a, b in list(pairwise(edges))[::2])


@given(speech())
@settings(deadline=None, max_examples=50)
def test_the_same_input_gives_the_same_tree_whatever_the_order_of_shots(case: Case) -> None:
    spoken, shots, end = case
    assert segment(spoken, shots[::-1], 0.0, end, SETTINGS) == roots_of(case)


def test_a_tree_is_walked_parents_first_in_order_of_time() -> None:
    a, b = Clip(0, 13, "short"), Clip(13, 30, "short")
    medium = Clip(0, 30, "medium", (a, b))
    assert list(medium.walk()) == [medium, a, b]


def spoken_clips(
    seconds: float, seeds: Iterable[int] = range(6), shots: Sequence[float] = (), punctuated: bool = True
) -> Iterator[Clip]:
    for seed in seeds:
        spoken = split_sentences(spoken_transcript(seconds, seed, punctuated), SentenceSettings())
        yield from (clip for root in segment(spoken, shots, 0.0, seconds, SETTINGS) for clip in root.walk())


def assert_means_near_the_papers(clips: Iterable[Clip]) -> None:
    for level, paper in {"short": 13.2, "medium": 30.4, "long": 60.3}.items():
        lengths = [clip.end - clip.start for clip in clips if clip.level == level]
        assert mean(lengths) == pytest.approx(paper, rel=0.15), level


@pytest.mark.parametrize("punctuated", [True, False])
@pytest.mark.parametrize("shots", [(), tuple(range(0, 1200, 5))], ids=["no shots", "a shot each 5 s"])
def test_level_means_are_near_the_papers_on_realistic_speech(punctuated: bool, shots: Sequence[float]) -> None:
    assert_means_near_the_papers(list(spoken_clips(1200, shots=shots, punctuated=punctuated)))


def test_level_means_are_near_the_papers_on_real_automatic_captions(shared_fixtures: Path) -> None:
    transcript = parse_subtitles((shared_fixtures / "subs/youtube_asr/asr_en_first300s.json3").read_bytes())
    roots = segment(split_sentences(transcript, SentenceSettings()), [], 0.0, 301.0, SETTINGS)
    assert_means_near_the_papers([clip for root in roots for clip in root.walk()])


def test_clips_of_realistic_speech_stay_within_the_lengths_of_their_level() -> None:
    for clip in spoken_clips(1200):
        lengths = SETTINGS.level(clip.level)
        assert lengths.minimum <= clip.end - clip.start <= lengths.maximum


def test_shot_boundaries_attract_cuts() -> None:
    pauses = [Word(i * 3.0 + 0.2, i * 3.0 + 2.8, "cue one") for i in range(100)]
    spoken = [Sentence((word,)) for word in pauses]
    shots = [float(t) for t in range(0, 300, 15)]
    inner = [clip.start for root in segment(spoken, shots, 0.0, 300.0, SETTINGS) for clip in leaves([root])][1:]
    blind = [clip.start for root in segment(spoken, [], 0.0, 300.0, SETTINGS) for clip in leaves([root])][1:]
    assert mean(start in shots for start in inner) > 0.9
    assert mean(start in shots for start in blind) < 0.5


def test_a_cut_in_a_pause_is_at_its_shot_boundary_or_in_its_middle() -> None:
    spoken = [Sentence((Word(0, 13, "one cue"),)), Sentence((Word(15, 28, "another cue"),))]
    assert leaves(segment(spoken, [13.4], 0.0, 28.0, SETTINGS))[0].end == 13.4
    assert leaves(segment(spoken, [], 0.0, 28.0, SETTINGS))[0].end == 14.0


def test_long_pauses_attract_cuts() -> None:
    words, at = [], 0.0
    for i in range(60):
        words.append(Word(round(at, 3), round(at + 2.0, 3), "a cue"))
        at += 3.2 if i % 5 == 4 else 2.1
    spoken = [Sentence((word,)) for word in words]
    after_long = {round(word.end + 0.6, 3) for i, word in enumerate(words) if i % 5 == 4}
    blind = SegmentSettings(pause_weight=0.0)
    shares = []
    for chosen in (SETTINGS, blind):
        ends = [clip.end for clip in leaves(segment(spoken, [], 0.0, at, chosen))][:-1]
        shares.append(mean(end in after_long for end in ends))
    assert shares[0] > 0.9
    assert shares[1] < 0.5


def test_clips_are_not_joined_beyond_the_maximum() -> None:
    cues = [Word(0, 3, "a cue"), Word(3, 28, "a long cue")]
    clips = leaves(segment([Sentence((cue,)) for cue in cues], [], 0.0, 28.0, SETTINGS))
    assert [(clip.start, clip.end) for clip in clips] == [(0.0, 3.0), (3.0, 28.0)]


def test_words_without_length_make_no_clip_without_length() -> None:
    words = [Word(0, 13, "a cue"), *[Word(13, 13, "oh")] * 3, Word(13, 26, "a cue")]
    clips = leaves(segment([Sentence((word,)) for word in words], [], 0.0, 26.0, SETTINGS))
    assert [(clip.start, clip.end) for clip in clips] == [(0.0, 13.0), (13.0, 26.0)]


def test_a_silent_video_is_cut_at_its_shots() -> None:
    shots = [9.0, 21.5, 33.0, 47.0, 60.0, 71.0, 88.0]
    roots = segment([], shots, 0.0, 100.0, SETTINGS)
    assert {clip.end for clip in leaves(roots)} <= {*shots, 100.0}
    assert max(clip.end - clip.start for clip in leaves(roots)) <= SETTINGS.short.maximum


def test_a_silent_video_without_shots_is_cut_into_equal_clips() -> None:
    roots = segment([], [], 0.0, 600.0, SETTINGS)
    assert {round(clip.end - clip.start) for clip in leaves(roots)} == {15}
    assert {root.level for root in roots} == {"long"}
    assert {round(root.end - root.start) for root in roots} == {60}


def test_one_word_in_a_long_silence_has_a_root_of_its_own() -> None:
    roots = segment([Sentence((Word(50.0, 50.3, "boat"),))], [], 0.0, 100.0, SETTINGS)
    holding = [root for root in roots if root.start <= 50.0 and root.end >= 50.3]
    assert len(holding) == 1
    assert 2.0 <= holding[0].end - holding[0].start <= 8.0


def test_three_seconds_with_one_word_are_one_short_clip() -> None:
    assert segment([Sentence((Word(1.0, 1.4, "boat"),))], [1.2], 0.0, 3.0, SETTINGS) == [Clip(0.0, 3.0, "short")]


def test_a_span_that_is_too_short_gives_no_clip() -> None:
    assert segment([], [], 10.0, 10.4, SETTINGS) == []


def test_a_span_within_a_video_is_tiled_from_its_own_start() -> None:
    spoken = split_sentences(spoken_transcript(100, start=500.0), SentenceSettings())
    roots = segment(spoken, [510.0, 20.0, float("nan")], 500.0, 600.0, SETTINGS)
    assert (roots[0].start, roots[-1].end) == (500.0, 600.0)


def test_speech_that_reaches_beyond_the_span_ends_with_it() -> None:
    spoken = split_sentences(spoken_transcript(100), SentenceSettings())
    assert segment(spoken, [], 0.0, 59.96, SETTINGS)[-1].end == 59.96


def test_a_cue_longer_than_the_maximum_stays_whole() -> None:
    cues = [Word(0, 12, "a cue"), Word(12, 160, "an endless cue"), Word(160, 172, "a cue")]
    clips = leaves(segment([Sentence((cue,)) for cue in cues], [50.0, 100.0], 0.0, 172.0, SETTINGS))
    assert any(clip.start <= 12 and clip.end >= 160 for clip in clips)


def test_slivers_on_both_sides_of_an_overlong_cue_are_merged_into_it() -> None:
    cues = [Word(0, 1, "oh"), Word(1, 101, "an endless cue"), Word(101, 102, "oh")]
    assert segment([Sentence((cue,)) for cue in cues], [], 0.0, 102.0, SETTINGS) == [Clip(0.0, 102.0, "long")]


def test_an_overlong_sentence_is_cut_between_its_words() -> None:
    words = spoken_transcript(120, punctuated=False).words
    clips = leaves(segment([Sentence(words)], [], 0.0, 120.0, SETTINGS))
    assert len(clips) >= 6
    assert max(clip.end - clip.start for clip in clips) <= SETTINGS.short.maximum


def test_a_short_long_gap_between_speech_is_one_root() -> None:
    spoken = [Sentence((Word(0, 12, "a cue"),)), Sentence((Word(30, 42, "a cue"),))]
    roots = segment(spoken, [], 0.0, 42.0, SETTINGS)
    assert [(root.start, root.end) for root in roots] == [(0.0, 12.5), (12.5, 29.5), (29.5, 42.0)]


@pytest.mark.timeout(120)  # an algorithm that is not linear would take far longer
def test_three_hours_of_speech_are_cut() -> None:
    transcript = spoken_transcript(3 * 3600)
    spoken = split_sentences(transcript, SentenceSettings())
    roots = segment(spoken, [i * 4.7 for i in range(2300)], 0.0, 3 * 3600.0, SETTINGS)
    assert len(roots) > 120
    assert len(spoken) > 1500


@pytest.mark.timeout(120)
def test_three_hours_of_one_unpunctuated_sentence_are_cut() -> None:
    words = spoken_transcript(3 * 3600, punctuated=False).words
    spoken = split_sentences(Transcript(words), SentenceSettings(pause=60.0, silence=60.0))
    assert segment(spoken, [], 0.0, 3 * 3600.0, SETTINGS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"short": {"target": 13, "minimum": 20, "maximum": 26}}, "segment.short"),
        ({"short": {"target": 40, "minimum": 20, "maximum": 50}}, "short.target < medium.target"),
        ({"max_gap": 1.0}, "max_gap"),
    ],
)
def test_inconsistent_settings_are_refused_and_the_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(SegmentSettings, values, "segment")
