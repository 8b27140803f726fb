"""Choose among the sound and subtitle streams of a container by what it says they are for, not by their position."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from curation.media.picture.video_records import AudioStream, SubtitleStream
from curation.media.subtitles.subtitle_tracks import language_code

_OTHER_SOUND: Final = frozenset({"comment", "visual_impaired", "descriptions", "karaoke", "clean_effects"})
_OTHER_TEXT: Final = frozenset({"forced", "comment", "descriptions", "metadata", "karaoke", "lyrics", "clean_effects"})
_COMMENTARY: Final = (
    r"\b(?:audio)?[kc]omm?ent|комментар|解説|해설"  # commentary, Kommentar, comentario, commentaire, commento
)
_OTHER_SOUND_TITLE: Final = re.compile(
    rf"{_COMMENTARY}|\bdescri|visually|karaoke|instrumental|isolated|\bM&E\b", re.IGNORECASE
)
_OTHER_TEXT_TITLE: Final = re.compile(
    rf"{_COMMENTARY}|\bdescri|\bforced?\b|\bforc[ée]|\bforzad|erzwungen|\bsigns?\b|\bsongs?\b|lyrics|karaoke",
    re.IGNORECASE,
)


def rank_sound(streams: Iterable[AudioStream], languages: Sequence[str]) -> list[AudioStream]:
    """Return the sound streams, the one that most likely holds the original speech first.

    Commentaries and descriptions come last, and dubs before them; the others in the order: marked as original, in a
    wanted language, marked as default.

    Args:
        streams: in the order of the file.
        languages: tags of wanted languages, best first; empty: any.
    """
    wanted = [language_code(tag) for tag in languages]

    def rank(stream: AudioStream) -> tuple[bool, bool, bool, int, bool]:
        code = language_code(stream.language)
        return (
            not is_main_sound(stream),
            "original" not in stream.marks,
            "dub" in stream.marks or re.search(r"\bdub", stream.title, re.IGNORECASE) is not None,
            wanted.index(code) if code in wanted else len(wanted),
            "default" not in stream.marks,
        )

    return sorted(streams, key=rank)


def is_main_sound(stream: AudioStream) -> bool:
    """Return False if a sound stream is a commentary, a description of the picture, or has no voices."""
    return not (stream.marks & _OTHER_SOUND or _OTHER_SOUND_TITLE.search(stream.title))


def is_speech_text(stream: SubtitleStream) -> bool:
    """Return False if a subtitle stream holds something other than all speech: forced lines, commentary, lyrics."""
    return not (stream.marks & _OTHER_TEXT or _OTHER_TEXT_TITLE.search(stream.title))
