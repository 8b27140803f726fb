"""The identity of a URL: ``extractor:id`` if yt-dlp can tell it from the URL alone, otherwise the normalised URL.

Nothing here touches the network. URLs of the same video get the same keys, on any machine.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

_YOUTUBE: Final = re.compile(
    r"https?://(?:(?:www|m|music)\.)?"
    r"(?:youtube(?:-nocookie)?\.com/(?:watch/?\?(?:[^#]*&)?v=|shorts/|live/|embed/|v/)|youtu\.be/)"
    r"(?!videoseries|live_stream)([0-9A-Za-z_-]{11})(?![0-9A-Za-z_-])",
    re.IGNORECASE,
)
_GRAM: Final = 4
_COMMON: Final = frozenset({"http", "ttps", "tps:", "ttp:", "tp:/", "ps:/", "s://", "://w", "www.", ".com", "com/"})
"""Letters that many URLs hold."""
_ALSO_IDS: Final = ("YoutubeIE", "YoutubePlaylistIE")
"""Extractors whose patterns match bare ids too; as URLs, only those of the hosts that the patterns spell out."""
_LONG: Final = 5
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def url_id(url: str) -> str:
    """Return the canonical id of a URL: ``youtube:dQw4w9WgXcQ``, ``vimeo:76979871``, otherwise the normalised URL.

    YouTube is recognised without yt-dlp, because lists of a million of its URLs are common. Other sites are looked up
    among yt-dlp's extractors.
    """
    youtube = _YOUTUBE.match(url)
    if youtube is not None:
        return f"youtube:{youtube[1]}"
    name, id_ = _extractor_id(url)
    return f"{name}:{id_}" if id_ is not None else normalised(url)


def normalised(url: str) -> str:
    """Return a URL with scheme and host in lower case, without default port and fragment, and with a path."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme.lower())) else f":{parts.port}"
    return urlunsplit((parts.scheme.lower(), host + port, parts.path or "/", parts.query, ""))


def _extractor_id(url: str) -> tuple[str, str | None]:
    """Return name and id from the first of yt-dlp's extractors that accepts the URL; None if the URL holds no id."""
    lowered = url.lower()
    grams = {lowered[place : place + _GRAM] for place in range(len(lowered) - _GRAM + 1)}
    extractors, by_gram = _extractors()
    places = {place for gram in grams if gram in by_gram for place in by_gram[gram]}
    for place in sorted({*places, *by_gram[""]}):
        needed, extractor = extractors[place]
        if _holds(lowered, needed) and extractor.suitable(url):
            return _id_of(extractor, url)
    return "generic", None


def _holds(lowered: str, needed: Iterable[frozenset[str]]) -> bool:
    """Return True if a text holds one of each set. Loops, and no generators: it runs forty times a URL."""
    for texts in needed:
        for text in texts:
            if text in lowered:
                break
        else:
            return False
    return True


def _id_of(extractor: Any, url: str) -> tuple[str, str | None]:
    name = str(extractor.ie_key()).lower()
    if name == "generic":
        return name, None
    try:
        id_ = extractor.get_temp_id(url)
    except (IndexError, AttributeError, TypeError):  # its pattern has no group for an id
        id_ = None
    return name, str(id_) if id_ else None


@cache
def _extractors() -> tuple[list[tuple[Sequence[frozenset[str]], Any]], dict[str, list[int]]]:
    """Return yt-dlp's extractors in its order with their `needed_texts`, and their places by gram.

    Matching all 1,750 patterns takes milliseconds per URL. A URL that holds one of an extractor's texts holds the
    rarest four letters of it, so the letters of the URL tell which extractors to ask. Those of the gram ``""`` are
    always asked.
    """
    from yt_dlp.extractor import gen_extractor_classes

    classes = list(gen_extractor_classes())
    usual = classes[-1].suitable.__func__  # the generic extractor matches as the base class does
    extractors = [(_needed_by(extractor, usual), extractor) for extractor in classes]
    best = [needed[0] if needed else frozenset({""}) for needed, _ in extractors]
    counts = Counter(gram for texts in best for text in texts for gram in _grams(text))
    by_gram: defaultdict[str, list[int]] = defaultdict(list)
    for place, (_, extractor) in enumerate(extractors[:-1]):  # the last one takes what no other does
        if extractor._VALID_URL is False and extractor.suitable.__func__ is usual:
            continue  # it is for players inside pages
        for gram in {min(_grams(text), key=counts.__getitem__, default="") for text in best[place]}:
            by_gram[gram].append(place)
    return extractors, {"": [], **by_gram}


def _grams(text: str) -> list[str]:
    return [gram for place in range(len(text) - _GRAM + 1) if (gram := text[place : place + _GRAM]) not in _COMMON]


def _needed_by(extractor: Any, usual: Any) -> Sequence[frozenset[str]]:
    """Return sets of texts: every URL that the extractor accepts holds one of each; none if they can't be known."""
    patterns = extractor._VALID_URL
    own = extractor.suitable.__func__
    if not patterns or not (own is usual or "super" in own.__code__.co_names):
        return ()  # it accepts URLs by other means than its pattern
    if extractor.__name__ in _ALSO_IDS:
        return [frozenset(_long_texts(_parser.parse(patterns))) | {"youtu"}]
    if isinstance(patterns, str):
        return needed_texts(patterns)
    sets = [next(iter(needed_texts(pattern)), frozenset()) for pattern in patterns]
    return [frozenset().union(*sets)] if all(sets) else ()


def needed_texts(pattern: str) -> Sequence[frozenset[str]]:
    r"""Return sets of texts in lower case: every match of a regular expression holds one of each set.

    The rarest set is first, and those that most URLs hold are left out:
    ``https?://(?:www\.)?(?:example\.org|example\.com/v)/(?P<id>\d+)`` gives {``example.org``, ``example.com/v``} first.
    """
    sets = [frozenset(text.lower() for text in texts) for texts in _required(_parser.parse(pattern))]
    return sorted((texts for texts in sets if _rarity(texts) > 0), key=_rarity, reverse=True)


def _required(items: Iterable[tuple[Any, Any]]) -> list[frozenset[str]]:
    """Return the sets of texts that a parsed pattern requires: at its top, in its groups, and in its choices."""
    sets: list[frozenset[str]] = []
    run = ""
    for operation, argument in [*items, ("END", None)]:
        name = str(operation)
        if name == "LITERAL":
            run += chr(argument)
            continue
        sets += [frozenset({run})] if run else []
        run = ""
        if name == "SUBPATTERN":
            sets += _required(argument[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT") and argument[0] > 0:
            sets += _required(argument[2])
        elif name == "BRANCH":
            choices = [max(_required(choice), key=_rarity, default=frozenset()) for choice in argument[1]]
            sets += [frozenset().union(*choices)] if all(choices) else []
    return sets


def _long_texts(items: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    """Yield every run of five letters or more that a parsed pattern holds anywhere."""
    run = ""
    for operation, argument in [*items, ("END", None)]:
        name = str(operation)
        if name == "LITERAL":
            run += chr(argument)
            continue
        if len(run) >= _LONG:
            yield run.lower()
        run = ""
        if name == "SUBPATTERN":
            yield from _long_texts(argument[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            yield from _long_texts(argument[2])
        for choice in argument[1] if name == "BRANCH" else ():
            yield from _long_texts(choice)


def _rarity(texts: frozenset[str]) -> int:
    """Return how well texts rule URLs out: the length of the shortest, without what most URLs begin with."""
    return min((len(text.removeprefix("http").removeprefix("s").removeprefix("://")) for text in texts), default=-1)
