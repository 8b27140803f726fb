"""Code pages of the time before Unicode, by language: which ones a text of that language may be in, and which it is.

`charset_normalizer` guesses from the bytes alone and takes Turkish, Romanian or Lithuanian for Western European; a
subtitle's language is mostly known. Written by hand, because no library maps languages to code pages and letters.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class _Script(NamedTuple):
    """The letters and code pages of a language that is written in Latin letters."""

    letters: str
    """Its letters that are not ASCII, in lower case."""
    pages: tuple[str, ...]
    """Code pages, the likeliest first."""


_WEST: Final = ("cp1252", "iso8859-15", "cp850", "mac_roman")
_CENTRAL: Final = ("cp1250", "iso8859-2", "cp852", "mac_latin2")
_BALTIC: Final = ("cp1257", "iso8859-13", "iso8859-4", "cp775")
_TURKISH: Final = ("cp1254", "iso8859-9", "cp857", "mac_turkish")
_SOUTH_SLAVIC: Final = _Script("čćđšž", _CENTRAL)
_NORDIC: Final = _Script("åæøäöéü", _WEST)

_LATIN: Final[dict[str, _Script]] = {
    "af": _Script("áéêëíïôóúûè", _WEST),
    "ca": _Script("àçèéíïòóúü·", _WEST),
    "da": _NORDIC,
    "de": _Script("äöüßéèà", _WEST),
    "en": _Script("éèêëïôöüñçàâ£", _WEST),
    "es": _Script("áéíñóúü¿¡ªº", _WEST),
    "eu": _Script("ñçü", _WEST),
    "fi": _NORDIC,
    "fr": _Script("àâæçéèêëîïôœùûüÿ", _WEST),
    "ga": _Script("áéíóú", _WEST),
    "gl": _Script("áéíñóúü¿¡", _WEST),
    "is": _Script("áðéíóúýþæö", _WEST),
    "it": _Script("àèéìíîòóùú", _WEST),
    "nb": _NORDIC,
    "nl": _Script("áéëíïóöúüèê", _WEST),
    "nn": _NORDIC,
    "no": _NORDIC,
    "pt": _Script("áâãàçéêíóôõúüªº", _WEST),
    "sv": _NORDIC,
    "bs": _SOUTH_SLAVIC,
    "cs": _Script("áčďéěíňóřšťúůýž", _CENTRAL),
    "hr": _SOUTH_SLAVIC,
    "hu": _Script("áéíóöőúüű", _CENTRAL),
    "pl": _Script("ąćęłńóśźż", _CENTRAL),
    "ro": _Script("ăâîșțşţ", ("iso8859-16", *_CENTRAL)),  # comma letters, which cp1250 lacks, have the same bytes there
    "sk": _Script("áäčďéíĺľňóôŕšťúýž", _CENTRAL),
    "sl": _Script("čšžćđ", _CENTRAL),
    "sq": _Script("çë", (*_CENTRAL, "cp1252")),
    "et": _Script("äõöšüž", (*_BALTIC, "iso8859-15", "cp1252")),
    "lt": _Script("ąčęėįšųūž", _BALTIC),
    "lv": _Script("āčēģīķļņōŗšūž", _BALTIC),
    "az": _Script("çğıiöşüə", _TURKISH),
    "tr": _Script("çğıöşüâîû", _TURKISH),
    "mt": _Script("ċġħżàèìòù", ("iso8859-3",)),
    "eo": _Script("ĉĝĥĵŝŭ", ("iso8859-3",)),
    "cy": _Script("âêîôûŵŷáéíóúẃýàèìòùẁỳäëïöüẅÿ", ("iso8859-14", *_WEST)),
}

_CYRILLIC: Final = ("cp1251", "koi8-r", "iso8859-5", "cp866")
_OTHER: Final[dict[str, tuple[str, ...]]] = {
    "ar": ("cp1256", "iso8859-6", "cp864"),
    "be": _CYRILLIC,
    "bg": _CYRILLIC,
    "el": ("cp1253", "iso8859-7", "cp737"),
    "fa": ("cp1256",),
    "he": ("cp1255", "iso8859-8", "cp862"),
    "ja": ("cp932", "euc_jp", "iso2022_jp"),
    "kk": ("cp1251", "ptcp154"),
    "ko": ("cp949", "euc_kr"),
    "mk": _CYRILLIC,
    "ru": _CYRILLIC,
    "th": ("cp874",),
    "uk": ("cp1251", "koi8-u", "iso8859-5", "cp1125"),
    "ur": ("cp1256",),
    "vi": ("cp1258",),
    "zh": ("gb18030", "big5", "big5hkscs"),
}
_MARKS: Final = frozenset("“”„‟’‘‚«»‹›–—…♪°§€£©®\u00a0\u00ad·•")


def code_page(data: bytes, language: str | None) -> str | None:
    """Return the likeliest code page of `data` for a language; None if the language does not tell it.

    Args:
        data: lines that are not ASCII, and not UTF-8.
        language: ISO 639-1 code.
    """
    if language in _LATIN:
        script = _LATIN[language]
        scores = {page: _score(data, page, script.letters) for page in script.pages}
        best = max(scores, key=lambda page: scores[page])
        return best if scores[best] > 0 else None
    pages = _OTHER.get(language or "")
    return _likeliest(data, pages) if pages else None


def _score(data: bytes, page: str, letters: str) -> float:
    """Return the share of characters above ASCII that are letters of the language, less those that are none."""
    text = data.decode(page, errors="replace")
    high = [c for c in text if ord(c) > 127]
    good = sum(c.lower() in letters or c in "İ" for c in high)
    bad = sum(not (c.lower() in letters or c in _MARKS or c in "İ") for c in high)
    odd = sum(2 for c in high if c == "\ufffd" or ord(c) < 160)
    return (good - bad - odd) / max(len(high), 1)


def _likeliest(data: bytes, pages: tuple[str, ...]) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(data, cp_isolation=list(pages)).best()
    return None if best is None else best.encoding
