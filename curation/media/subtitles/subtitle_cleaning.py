"""Remove from captions what is not speech: markup, sound tags, lyrics and speaker marks.

Works on the text of one cue. `BREAK` may occur anywhere in it and separates the parts that have times of their own.
No rule removes a `BREAK`, so the text can be split into its parts again. Every pattern is linear in its input.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import partial

from curation.media.subtitles.speaker_labels import REST, SpeakerLabels

BREAK = "\x1e"
"""Separator between the parts of a cue; cleaning keeps it."""

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>|</?>|\{\\[^{}]{0,200}\}")
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffd]"
)
_SPACE = re.compile(r"[^\S\n]+")
_BRACKETS = re.compile(r"\[[^\[\]]{0,200}\]|［[^［］]{0,200}］|【[^【】]{0,200}】")
_PARENTHESES = re.compile(r"\(([^()]{0,200})\)|（([^（）]{0,200})）")
_NOTES = "♩♪♫♬♭♯"
_SUNG = re.compile(rf"[{_NOTES}][^{_NOTES}]{{0,500}}[{_NOTES}]+")
_SUNG_LINE = re.compile(rf"^[ \x1e]*[{_NOTES}].*$", re.MULTILINE)
_STRAY_NOTE = re.compile(rf"[{_NOTES}]")
_ANY_MARK = re.compile(rf"[\[［【(（{_NOTES}*>»:–—‐-]")
_STARRED = re.compile(r"\*([^*\n]{1,40})\*")
_DASH = re.compile(r"^([ \x1e]*)[-–—‐]+(?=[ \x1e]|[^\W\d])", re.MULTILINE)
_TURN = re.compile(r"(?:>{2,}|»{2,})[ \x1e]*(?:([A-Z][\w'.-]{0,20}(?: [A-Z][\w'.-]{0,20}){0,2}):(?=\s))?")
_SPEAKER = re.compile(r"^([ \x1e]*)([^\W\d_](?:[\w'’.,&#/ -]|\x1e(?= )){1,40}):(?=[\s\x1e]|$)", re.MULTILINE)
_SOUND = re.compile(
    r"\b(?:applau|audience|bark|beep|bell|bleep|cheer|chuckl|clap|clears? throat|cough|cries|crosstalk|crowd|crying"
    r"|door|engine|foreign|gasp|giggl|groan|grunt|hum(?:s|ming)\b|inaudible|indistinct|instrumental|knock|laugh"
    r"|mumbl|music|noise|phone|ringing|scream|shout|sigh|silence|sings?\b|singing|sniff|sob|sound|speak|static|thunder"
    r"|tune|unintelligible|whisper|whistl|yell)",
    re.IGNORECASE,
)


def strip_markup(text: str) -> str:
    r"""Return `text` without tags (``<i>``, ``<v Name>``, ``{\an8}``), invisible characters and `BREAK`.

    Entities are decoded. Line breaks stay; runs of other white space become one space.
    """
    text = _TAG.sub("", text)
    if "&" in text:
        text = html.unescape(html.unescape(text))  # some sites escape twice: &amp;gt;&amp;gt;
    text = text.replace("\\N", "\n").replace("\\h", " ")
    return _SPACE.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text)))


def keep_speech(text: str, labels: SpeakerLabels | None = None) -> str:
    """Return what is said in a cue: `text` (already without markup) without sound tags, lyrics and speaker marks.

    Removed are anything in square brackets, sounds in parentheses, text between musical notes, dialogue dashes,
    ``>>``, and the names of speakers before a colon.

    Args:
        text: the text of one cue.
        labels: what the whole track shows of its speakers; None: only this cue is known.
    """
    labels = labels or SpeakerLabels()
    if _ANY_MARK.search(text) is None:
        return text
    text = _BRACKETS.sub(_remove, text)
    text = _PARENTHESES.sub(_remove_sound, text)
    text = _STARRED.sub(_remove_sound, text)
    text = _STRAY_NOTE.sub("", _SUNG_LINE.sub(_remove, _SUNG.sub(_remove, text)))
    text = _TURN.sub(partial(_remove_turn, labels=labels), text)
    text = _DASH.sub(r"\1", text)
    return _SPEAKER.sub(partial(_remove_speaker, labels=labels), text)


def _remove(match: re.Match[str]) -> str:
    """Return what replaces a match: a space, and the breaks in it."""
    return " " + BREAK * match[0].count(BREAK)


def _remove_sound(match: re.Match[str]) -> str:
    inner = next((group for group in match.groups() if group is not None), "")
    is_sound = not inner.strip() or (inner.isupper() and len(inner) > 3) or _SOUND.search(inner) is not None
    return _remove(match) if is_sound or _is_alone_in_line(match) else match[0]


def _is_alone_in_line(match: re.Match[str]) -> bool:
    text = match.string
    before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    after = text[match.end() :].partition("\n")[0]
    return not (before + after).strip(" .,!?-" + BREAK)


def _remove_turn(match: re.Match[str], labels: SpeakerLabels) -> str:
    name = match[1]
    if name is None or labels.is_name(name, match.string[match.end() : match.end() + REST], turn=True):
        return _remove(match)
    return f" {BREAK * match[0].count(BREAK)}{name}:"


def _remove_speaker(match: re.Match[str], labels: SpeakerLabels) -> str:
    name = match[2]
    is_name = name.isupper() and labels.is_name(name, match.string[match.end() : match.end() + REST])
    return match[1] + _remove(match)[: 1 + name.count(BREAK)] if is_name else match[0]
