"""Words are grouped into sentences."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.transcripts import spoken_transcript

from curation.media.speech.sentence_settings import SentenceSettings
from curation.media.speech.sentences import Punctuate, split_sentences
from curation.media.speech.subtitle_reading import parse_subtitles
from curation.media.speech.transcript import Transcript, Word

SETTINGS = SentenceSettings()


def at_rate(text: str, step: float = 0.3, length: float = 0.25) -> Transcript:
    """Words of `text` one after another; ``|`` is a second of silence."""
    words, at = [], 0.0
    for token in text.split():
        if token == "|":
            at += 1.0
        else:
            words.append(Word(round(at, 3), round(at + length, 3), token))
            at += step
    return Transcript(tuple(words))


def texts(
    transcript: Transcript, punctuate: Punctuate | None = None, settings: SentenceSettings = SETTINGS
) -> list[str]:
    return [sentence.text for sentence in split_sentences(transcript, settings, punctuate)]


def test_no_words_make_no_sentence() -> None:
    assert split_sentences(Transcript(), SETTINGS) == []


@given(
    st.lists(st.sampled_from(["boat", "Boat.", "3.5", "Dr.", "?", "|", '"So."', "e.g.", "a long cue."]), max_size=80)
)
@settings(deadline=None, max_examples=200)
def test_every_word_is_in_exactly_one_sentence_in_order(tokens: list[str]) -> None:
    transcript = at_rate(" ".join(tokens))
    assert (
        tuple(word for sentence in split_sentences(transcript, SETTINGS) for word in sentence.words) == transcript.words
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We saw it. Then it sank.", ["We saw it.", "Then it sank."]),
        ("Really? Yes! Go on… Fine.", ["Really?", "Yes!", "Go on…", "Fine."]),
        ("Dr. Smith met Mrs. Jones. They left.", ["Dr. Smith met Mrs. Jones.", "They left."]),
        ("It is 3.5 metres long. See no. 5 there.", ["It is 3.5 metres long.", "See no. 5 there."]),
        ("No. I won't.", ["No.", "I won't."]),
        ("Use a tool, e.g. a saw. Then sand it.", ["Use a tool, e.g. a saw.", "Then sand it."]),
        ("The U.S. Army came at 5 a.m. | They left.", ["The U.S. Army came at 5 a.m.", "They left."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("“What?” he said. Nothing.", ["“What?” he said.", "Nothing."]),
        ("J. R. Smith wrote it. I read it.", ["J. R. Smith wrote it.", "I read it."]),
        ("So do I. You do not.", ["So do I.", "You do not."]),
        ("Well... maybe not. Yes... Maybe.", ["Well... maybe not.", "Yes...", "Maybe."]),
        ("hello there. how are you? fine.", ["hello there.", "how are you?", "fine."]),
        ("你好。 你好吗？ 很好！", ["你好。", "你好吗？", "很好！"]),
        ("¿Qué es eso? ¡Nada! Bien.", ["¿Qué es eso?", "¡Nada!", "Bien."]),
    ],
)
def test_punctuated_text_is_split_where_sentences_stop(text: str, expected: list[str]) -> None:
    assert texts(at_rate(text)) == expected


def test_without_punctuation_pauses_end_sentences() -> None:
    assert texts(at_rate("we saw it | then it | sank")) == ["we saw it", "then it", "sank"]


def test_a_long_silence_ends_a_sentence_in_any_text() -> None:
    assert texts(at_rate("We saw it | and | | | then it sank. It did.")) == [
        "We saw it and",
        "then it sank.",
        "It did.",
    ]


def test_a_cue_is_never_split_and_sentences_end_at_cue_ends() -> None:
    cues = Transcript((Word(0, 3, "Hello. We saw the"), Word(3, 6, "boat. It sank."), Word(6, 9, "Yes.")))
    assert texts(cues) == ["Hello. We saw the boat. It sank.", "Yes."]


def test_unpunctuated_text_goes_through_the_punctuation_model() -> None:
    asked = []

    def punctuate(words: Sequence[str]) -> list[str]:
        asked.append(list(words))
        return ["We", "saw", "it.", "Then", "it", "sank."]

    assert texts(at_rate("we saw it then it sank"), punctuate) == ["We saw it.", "Then it sank."]
    assert asked == [["we", "saw", "it", "then", "it", "sank"]]


def test_punctuated_text_is_not_sent_to_the_punctuation_model() -> None:
    def punctuate(words: Sequence[str]) -> list[str]:
        raise AssertionError("not needed")

    assert len(texts(at_rate("We saw it. Then it sank."), punctuate)) == 2


def test_cues_are_punctuated_word_by_word_and_put_together_again() -> None:
    cues = Transcript((Word(0, 3, "we saw it"), Word(3, 6, "then it sank")))
    assert texts(cues, lambda words: ["We", "saw", "it.", "Then", "it", "sank."]) == ["We saw it.", "Then it sank."]


def test_an_answer_of_another_length_is_not_used() -> None:
    assert texts(at_rate("we saw it | then it sank"), lambda words: ["We."]) == ["we saw it", "then it sank"]


def test_an_empty_answer_for_a_word_keeps_the_word() -> None:
    assert texts(at_rate("we saw it"), lambda words: ["We", "", "it."]) == ["We saw it."]


def test_overlong_sentences_are_split_at_their_longest_pause() -> None:
    transcript = at_rate("We saw it and then and then and then | it sank and sank and sank and sank.")
    assert texts(transcript, settings=SentenceSettings(max_words=10)) == [
        "We saw it and then and then and then",
        "it sank and sank and sank and sank.",
    ]


@pytest.mark.parametrize("punctuated", [True, False])
def test_no_sentence_is_longer_than_allowed_where_it_can_be_split(punctuated: bool) -> None:
    transcript = spoken_transcript(1800, seed=3, punctuated=punctuated)
    made = split_sentences(transcript, SentenceSettings(max_words=20, max_seconds=8.0))
    assert max(len(sentence.words) for sentence in made) <= 20
    assert max(sentence.end - sentence.start for sentence in made) <= 8.0


def test_real_automatic_captions_become_sentences_of_speakable_length(shared_fixtures: Path) -> None:
    transcript = parse_subtitles((shared_fixtures / "subs/youtube_asr/asr_en_first300s.json3").read_bytes())
    made = split_sentences(transcript, SETTINGS)
    assert sum(len(sentence.words) for sentence in made) == 607
    assert max(sentence.end - sentence.start for sentence in made) <= SETTINGS.max_seconds
    assert 4 <= 300 / len(made) <= 13


def test_real_human_captions_end_sentences_at_their_full_stops(shared_fixtures: Path) -> None:
    transcript = parse_subtitles((shared_fixtures / "subs/sintel/sintel-en.vtt").read_bytes())
    assert texts(transcript)[:3] == [
        "This blade has a dark past.",
        "It has shed much innocent blood.",
        "You're a fool for traveling alone, so completely unprepared.",
    ]


def test_a_long_sentence_in_a_script_without_spaces_is_split() -> None:
    words = tuple(Word(2.0 * i, 2.0 * i + 1.9, "今天天气很好我们去公园") for i in range(9))
    sentences = split_sentences(Transcript(words), SentenceSettings(max_words=20, max_seconds=100.0))
    assert len(sentences) > 1
    assert max(len(sentence.text) for sentence in sentences) <= 44
