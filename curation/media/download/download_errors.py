"""Classify a failed download: from a site's message or an HTTP status to a class of the ledger.

A table of patterns, tried from top to bottom. Messages are tried first, because sites send them with any status; the
status decides if no pattern matches. An unknown error is `internal`: probably the site has changed and yt-dlp's
extractor has not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from curation.sources.address_guard import REFUSAL

if TYPE_CHECKING:  # a type only, so that the child process need not import Arrow
    from shards.schema import FailedClass


@dataclass(frozen=True)
class Failure:
    """Why one attempt failed."""

    class_: FailedClass
    message: str
    transient: bool = False
    """True if another attempt soon may succeed."""
    retry_after: float | None = None
    """Seconds that the site asks to wait."""


REFUSALS: Final[frozenset[FailedClass]] = frozenset({"bot_check", "rate_limited"})
"""Classes of failures by which a site refuses whoever asks, and not one source."""
ANSWERS: Final[frozenset[FailedClass]] = frozenset({"removed"})
"""Classes of failures by which a site answers about one source, so that it does not refuse us."""

_WORDS: Final[tuple[tuple[FailedClass, str], ...]] = (
    ("rate_limited", r"rate.?limit|too many requests|exceeded the (rate|quota)|reached your play limit|slow down"),
    ("bot_check", r"not a (bot|robot)|captcha|anti-?bot|cloudflare|unusual traffic|automated (requests|queries)"),
    ("bot_check", r"ip address is (blocked|unable)|impersonat"),
    ("geo_blocked", r"geo.?(restrict|block)|(your|this|certain) (country|countries|region|location|territory)"),
    ("geo_blocked", r"country on copyright grounds|not available (in|from) your"),
    ("private", r"\bprivate\b|confirm your age|age.?restricted|log.?in|sign.?in|registered users|password|credentials"),
    ("private", r"members?.only|member-?exclusive|join this channel|subscri(ber|bed|ption)|supporter|premium|purchase"),
    ("private", r"requires? payment|ticket|does not have access|need (an )?account|accounts? cannot access"),
    ("network", r"temporar(y|ily)|server.side|try again later"),
    ("removed", r"unavailable|no longer available|not available$|isn'?t available|video is not available(?! yet)"),
    ("removed", r"(been|was) (removed|deleted|taken down|terminated)|terminated|copyright|does ?n[o']t exist"),
    ("removed", r"\b(has )?expired\b|(video|track|content|show|page|clip|post|file) (was )?not found|is offline"),
    ("not_video", r"unsupported url|no (valid )?(video|media)|not (a|contain a?n?y?) ?(video|videos|playable)"),
    ("not_video", r"not have (a|any) video|requested format is not available|drm|no downloads available"),
    ("not_video", r"is live|live event|livestream|premieres|not available yet|not yet available|unsupported features"),
    ("network", r"timed? ?out|timeout|connection|name or service|name resolution|resolve|network|unreachable|ssl|tls"),
    (
        "network",
        r"bytes read|more expected|content too short|did not get any data|remote end|reset by peer|\beof\b|proxy",
    ),
    ("corrupt", r"postprocessing|invalid data found|conversion failed"),
    ("network", r"redirect loop|incomplete data|fragment"),
)
_TABLE: Final = tuple((class_, re.compile(words, re.IGNORECASE)) for class_, words in _WORDS)

_STATUS: Final[dict[int, FailedClass]] = {
    401: "private",
    402: "private",
    403: "bot_check",  # the answer of a site that admits people but not programs
    404: "removed",
    410: "removed",
    415: "not_video",
    429: "rate_limited",
    451: "geo_blocked",
}
_STATUS_WORDS: Final = re.compile(r"HTTP Error (\d{3})(?:: [^.;)]*)?")
_NAMES: Final = re.compile(r"^\[[^\]]*\] (?:[^\s:]+: )?|\b[a-z]+://\S+")
"""Parts of a message that are not the site's: extractor, video id, URLs."""
_REFUSED: Final = re.compile(r"refused: .*?" + re.escape(REFUSAL))
_FINAL: Final = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|connection adapters|URL scheme|Name or service not known|No address associated",
    re.IGNORECASE,
)


_PROXY: Final = re.compile(r"prox|tunnel|refused|resol|name or service|unreachable|no route", re.IGNORECASE)


def classify(message: str, status: int | None = None, retry_after: float | None = None) -> Failure:
    """Classify the error of a download.

    Args:
        message: yt-dlp's message, of one or several lines.
        status: HTTP status of the response that ended the download, if there was one.
        retry_after: seconds that this response asked to wait.
    """
    text = " ".join(message.removeprefix("ERROR: ").replace("’", "'").split())
    refused = _REFUSED.search(text)
    if refused is not None:
        return Failure("network", refused[0])
    stated = _STATUS_WORDS.search(text)
    status = status if status is not None or stated is None else int(stated[1])
    class_ = _class(_NAMES.sub("", _STATUS_WORDS.sub("", text)), status)
    return Failure(class_, text, _transient(class_, text, status), retry_after)


def _class(text: str, status: int | None) -> FailedClass:
    """Return the class of the first matching pattern, otherwise the class of the status."""
    known = next((class_ for class_, words in _TABLE if words.search(text)), None)
    if status is not None and known in (None, "network"):
        return _STATUS.get(status, "network")
    return known or "internal"


def _transient(class_: FailedClass, text: str, status: int | None) -> bool:
    if class_ == "rate_limited":
        return True
    refused_request = status is not None and 400 <= status < 500 and status not in (408, 425)
    return class_ == "network" and not refused_request and not _FINAL.search(text)


def is_proxy_fault(failure: Failure) -> bool:
    """Return True if a download through a proxy failed because that can't be reached, or admits nobody.

    All connections are made to the proxy, so one that is refused is refused by it.
    """
    of_guard = _REFUSED.search(failure.message) is not None
    if failure.class_ != "network" or of_guard:
        return "Proxy Authentication" in failure.message
    return _STATUS_WORDS.search(failure.message) is None and _PROXY.search(failure.message) is not None


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header (a number or a date) asks to wait; None if it is not valid.

    Args:
        header: the value of the header; None if it is absent.
        now: Unix time.
    """
    from email.utils import parsedate_to_datetime

    if header is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", header.strip()):
        return float(header)
    try:
        return max(parsedate_to_datetime(header).timestamp() - now, 0.0)
    except (TypeError, ValueError):
        return None
