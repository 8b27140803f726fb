"""Stop asking a host that refuses one source after the other: its other sources are postponed to the next run.

A site that takes the run for a robot answers every request with 403, 429 or a check for robots. Without a limit the
whole list would be asked for and recorded as failed. Workers are separate processes, so the counts are kept in files,
as the pace is (`curation.media.download.politeness.host_pacing`): in a folder of one run on one machine, whose address
is the one that the site refuses.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from curation.sources.ledger import SourcePostponed
from shards.schema import FailedClass

REFUSALS: Final[frozenset[FailedClass]] = frozenset({"bot_check", "rate_limited"})
"""Classes of failures by which a host refuses whoever asks, and not one source."""
_ANSWERS: Final[frozenset[FailedClass]] = frozenset({"removed"})
"""Classes of failures by which a host answers about one source, so that it does not refuse us."""
_EVERYWHERE: Final = "everywhere"
_FEWEST_HOSTS: Final = 2
_AGAIN: Final = "(media.download.postpone_after); the next run asks again"


class HostRefusals:
    """Counts of refusals in a row, shared by all workers of one run on one machine."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Name the folder; nothing is written before the first refusal.

        Args:
            folder: the same folder for all workers of a run, and for no other run.
            limit: sources refused in a row after which a host is not asked any more; 0: no limit.
        """
        self._folder = folder
        self._limit = limit

    def check(self, host: str) -> None:
        """Return if the host may be asked.

        Raises:
            SourcePostponed: it has refused too many sources in a row, or too many hosts in a row have refused theirs.
        """
        if not self._limit:
            return
        if len(self._read(host)) >= self._limit:
            raise SourcePostponed(f"{host} refused {self._limit} sources in a row {_AGAIN}")
        hosts = max(self._limit, _FEWEST_HOSTS)
        if len(set(self._read(_EVERYWHERE))) >= hosts:
            raise SourcePostponed(f"{hosts} hosts in a row refused every source {_AGAIN}")

    def failed(self, host: str, class_: FailedClass) -> None:
        """Take in that a source of a host failed, after all attempts."""
        if not self._limit:
            return
        if class_ in REFUSALS:
            for name in (host, _EVERYWHERE):
                with self._locked(name) as path, path.open("a", encoding="utf-8") as file:
                    file.write(f"{_digest(host)}\n")
        elif class_ in _ANSWERS:
            self.answered(host)

    def answered(self, host: str) -> None:
        """Take in that a host gave us a source, or told something about it: the row of refusals has ended."""
        for name in (host, _EVERYWHERE):
            if self._limit and self._read(name):
                with self._locked(name) as path:
                    path.write_text("", encoding="utf-8")

    def _read(self, name: str) -> list[str]:
        """Return the hosts that refused, one for each source since the last answer."""
        try:
            return self._path(name).read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return []

    @contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        with path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield path

    def _path(self, name: str) -> Path:
        return self._folder / f"{_digest(name)}.refused"


def _digest(name: str) -> str:
    """Return a file name for a host; names of hosts come from outside and never become paths."""
    return hashlib.sha256(name.lower().encode()).hexdigest()[:16]
