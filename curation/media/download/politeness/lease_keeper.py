"""Signs of life for the slots that this process holds, from one thread; a killed process sends no more."""

from __future__ import annotations

import threading
import time
from typing import Final

from curation.media.download.politeness.file_pacer import SitePacer
from curation.media.download.politeness.pace_limits import Visitor
from runtime.log import get_logger
from runtime.retry_limits import PACING_LEASE

_log = get_logger(__name__)
_BEAT_SECONDS: Final = PACING_LEASE.seconds / 3


class LeaseKeeper:
    """Renews slots until they are dropped. Its thread starts with the first slot, and goes on until the process ends.

    It sends a sign of life also without slots: a pacer that nobody calls any more ends itself.
    """

    def __init__(self, pacer: SitePacer) -> None:
        self._pacer = pacer
        self._held: dict[str, tuple[Visitor, int]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def keep(self, visitor: Visitor, access: int) -> None:
        """Renew a slot from now on."""
        with self._lock:
            self._held[visitor.lease] = (visitor, access)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="site-slots")
                self._thread.start()

    def drop(self, visitor: Visitor) -> None:
        """Renew a slot no longer."""
        with self._lock:
            self._held.pop(visitor.lease, None)

    def _run(self) -> None:
        while True:
            time.sleep(_BEAT_SECONDS)
            with self._lock:
                held = list(self._held.values())
            try:
                self._pacer.beat(held)
            except Exception as error:  # the thread must live on: the next sign of life may arrive
                _log.warning("pacing of sites: %s", error)
