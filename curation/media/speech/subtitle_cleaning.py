"""What is speech in a caption, and what is not: sound tags, lyrics and speaker marks are taken out.

Works on the text of one cue. `BREAK` may stand anywhere in it (it separates the parts that have times of their
own); no rule swallows one, so the parts can be told apart again afterwards. Every pattern is linear in its input.
"""

from __future__ import annotations

import html
import re
import unicodedata

BREAK = "\x1e"
"""Separates parts of a cue; survives cleaning."""

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>|</?>|\{\\[^{}]{0,200}\}")
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffd]")
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
_TURN = re.compile(r"(?:>{2,}|»{2,})[ \x1e]*(?:[A-Z][\w'.-]{0,20}(?: [A-Z][\w'.-]{0,20}){0,2}:(?=\s))?")
_SPEAKER = re.compile(r"^([ \x1e]*)([^\W\d_](?:[\w'’.,&#/ -]|\x1e(?= )){1,40}):(?=[\s\x1e]|$)", re.MULTILINE)
_SOUND = re.compile(
    r"\b(?:applau|audience|bark|beep|bell|bleep|cheer|chuckl|clap|clears? throat|cough|cries|crosstalk|crowd|crying"
    r"|door|engine|foreign|gasp|giggl|groan|grunt|hum(?:s|ming)\b|inaudible|indistinct|instrumental|knock|laugh"
    r"|mumbl|music|noise|phone|ringing|scream|shout|sigh|silence|sings?\b|singing|sniff|sob|sound|speak|static|thunder"
    r"|tune|unintelligible|whisper|whistl|yell)",
    re.IGNORECASE,
)


def strip_markup(text: str) -> str:
    r"""`text` without tags (``<i>``, ``<v Name>``, ``{\an8}``), entities decoded, no invisible character, no `BREAK`.

    Lines stay lines; runs of other white space become one space.
    """
    text = _TAG.sub("", text)
    if "&" in text:
        text = html.unescape(html.unescape(text))  # sites escape twice now and then: &amp;gt;&amp;gt;
    text = text.replace("\\N", "\n").replace("\\h", " ")
    return _SPACE.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text)))


def spoken(text: str) -> str:
    """What is said in a cue: `text` (without markup already) less sound tags, lyrics and speaker marks.

    Removed: anything in square brackets, sounds in parentheses, what stands between musical notes, dialogue dashes,
    ``>>`` with the name that follows, and ``NAME:`` in capitals at the start of a line.
    """
    if _ANY_MARK.search(text) is None:
        return text
    text = _BRACKETS.sub(_gone, text)
    text = _PARENTHESES.sub(_gone_if_sound, text)
    text = _STARRED.sub(_gone_if_sound, text)
    text = _STRAY_NOTE.sub("", _SUNG_LINE.sub(_gone, _SUNG.sub(_gone, text)))
    text = _TURN.sub(_gone, text)
    text = _DASH.sub(r"\1", text)
    return _SPEAKER.sub(_gone_if_name, text)


def _gone(match: re.Match[str]) -> str:
    return " " + BREAK * match[0].count(BREAK)


def _gone_if_sound(match: re.Match[str]) -> str:
    inner = next((group for group in match.groups() if group is not None), "")
    is_sound = not inner.strip() or (inner.isupper() and len(inner) > 3) or _SOUND.search(inner) is not None
    return _gone(match) if is_sound or _alone_in_line(match) else match[0]


def _alone_in_line(match: re.Match[str]) -> bool:
    text = match.string
    before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    after = text[match.end() :].partition("\n")[0]
    return not (before + after).strip(" .,!?-" + BREAK)


def _gone_if_name(match: re.Match[str]) -> str:
    name = match[2]
    is_name = name.isupper() and sum(c.isalpha() for c in name) >= 2
    return match[1] + _gone(match)[: 1 + name.count(BREAK)] if is_name else match[0]
