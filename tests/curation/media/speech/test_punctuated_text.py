"""Punctuated text is recognized by the share of words that end a sentence."""

from support.transcripts import spoken_transcript

from curation.media.speech.punctuated_text import is_punctuated
from curation.media.speech.transcript import Word


def test_punctuated_text_is_recognized_by_its_share_of_sentence_ends() -> None:
    assert is_punctuated(spoken_transcript(300).words, 0.02)
    assert not is_punctuated(spoken_transcript(300, punctuated=False).words, 0.02)
    assert not is_punctuated([Word(0, 1, "at 3.5 percent of www.example.org we say")], 0.02)
