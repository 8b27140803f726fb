"""Generated transcripts with the sentence lengths, rates and pauses of spoken web video."""

from __future__ import annotations

import random

from curation.media.speech.transcript import Transcript, Word

_VOCABULARY = (
    "we",
    "see",
    "the",
    "red",
    "boat",
    "turn",
    "slowly",
    "past",
    "a",
    "long",
    "wooden",
    "pier",
    "while",
    "people",
    "wave",
)


def spoken_transcript(seconds: float, seed: int = 0, punctuated: bool = True, start: float = 0.0) -> Transcript:
    """Return speech of about 2.1 sentences and 31.6 words in 13.2 s, the means of short clips in Table 1 of VidLA."""
    draw = random.Random(seed)
    words: list[Word] = []
    at = start + draw.uniform(0.0, 1.0)
    while True:
        count = max(1, min(60, round(draw.lognormvariate(2.54, 0.6))))
        for i in range(count):
            text = draw.choice(_VOCABULARY)
            length = round(max(0.08, draw.gauss(0.31, 0.1)), 3)
            if at + length > start + seconds:
                return Transcript(tuple(words), "en", "asr:generated")
            if punctuated:
                text = (text.capitalize() if i == 0 else text) + ("." if i == count - 1 else "")
            words.append(Word(round(at, 3), round(at + length, 3), text))
            at += length + (draw.uniform(0.0, 0.1) if draw.random() < 0.85 else draw.uniform(0.1, 0.35))
        at += min(draw.lognormvariate(-0.7, 0.6), 3.0)
