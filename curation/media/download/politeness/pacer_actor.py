"""The pacer of a run on a cluster: one Ray actor that all media workers of all nodes ask.

The first worker that downloads starts it, under the name of the run, so that runs over local files have none. It is a
`FilePacer` on its node, which it shares with runs on that machine without a cluster. Ray starts it again if its process
or its node dies: it then grants nothing until the holders of slots have sent a sign of life. It ends itself when no
worker has sent one for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from curation.media.download.politeness.file_pacer import FilePacer, SitePacer, pacing_folder
from curation.media.download.politeness.pace_limits import LEASE_SECONDS, Answer, PaceLimits, VisitEnd, Visitor
from runtime.log import get_logger
from runtime.retry_limits import PACER_PATIENCE

_log = get_logger(__name__)
_CALLS_AT_ONCE: Final = 16
_POLL_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.5
_ALONE_SECONDS: Final = 600.0
"""Time for which a machine paces itself before it tries the actor again."""
T = TypeVar("T")


def run_pacer(run: str, limits: PaceLimits) -> SitePacer:
    """Return the pacer of a run: an actor if this process is a worker of Ray, otherwise the files of this machine."""
    files = FilePacer(pacing_folder(), limits, run)
    return RayPacer(run, limits, files) if _on_ray() and run else files


class PacerActor:
    """Serves a `FilePacer`; wrapped by ``ray.remote``."""

    def __init__(self, run: str, limits: PaceLimits) -> None:
        import ray

        self._pacer = FilePacer(pacing_folder(), limits, run)
        self._called = time.monotonic()
        context = ray.get_runtime_context()
        if context.was_current_actor_reconstructed:
            self._pacer.hold(LEASE_SECONDS / 2)
        self._own = context.current_actor
        threading.Thread(target=self._end_when_unused, daemon=True, name="end-when-unused").start()

    def ask(self, visitor: Visitor) -> Answer:
        """Ask for a slot; see `SitePacer`."""
        self._called = time.monotonic()
        return self._pacer.ask(visitor)

    def end(self, visitor: Visitor, end: VisitEnd) -> str | None:
        """End a visit; see `SitePacer`."""
        self._called = time.monotonic()
        return self._pacer.end(visitor, end)

    def beat(self, visitors: Sequence[tuple[Visitor, int]]) -> None:
        """Renew slots; see `SitePacer`."""
        self._called = time.monotonic()
        self._pacer.beat(visitors)

    def _end_when_unused(self) -> None:
        import ray

        while time.monotonic() - self._called < 2 * LEASE_SECONDS:
            time.sleep(_POLL_SECONDS)
        ray.kill(self._own, no_restart=True)


class RayPacer:
    """A `SitePacer` that calls the run's actor, and paces this machine alone while there is none.

    Args:
        run: id of the run.
        limits: for the actor, if it is not there yet.
        files: the pacer of this machine.
    """

    def __init__(self, run: str, limits: PaceLimits, files: FilePacer) -> None:
        self._run = run
        self._limits = limits
        self._files = files
        self._actor: Any = None
        self._lock = threading.Lock()
        self._alone_until = 0.0

    def ask(self, visitor: Visitor) -> Answer:
        """Ask for a slot; see `SitePacer`."""
        return self._call(lambda actor: actor.ask.remote(visitor), lambda: self._files.ask(visitor))

    def end(self, visitor: Visitor, end: VisitEnd) -> str | None:
        """End a visit; see `SitePacer`."""
        return self._call(lambda actor: actor.end.remote(visitor, end), lambda: self._files.end(visitor, end))

    def beat(self, visitors: Sequence[tuple[Visitor, int]]) -> None:
        """Renew slots; see `SitePacer`."""
        return self._call(lambda actor: actor.beat.remote(visitors), lambda: self._files.beat(visitors))

    def _call(self, remote: Callable[[Any], Any], local: Callable[[], T]) -> T:
        """Return the actor's answer; that of this machine if there is none within `PACER_PATIENCE`."""
        import ray

        deadline = time.monotonic() + PACER_PATIENCE.seconds
        while time.monotonic() >= self._alone_until:
            try:
                pending = remote(self._handle())
                while not ray.wait([pending], timeout=_POLL_SECONDS)[0] and time.monotonic() < deadline:
                    pass  # in steps: a thread that waits inside Ray can't be stopped
                answer: T = ray.get(pending, timeout=_POLL_SECONDS)
                return answer
            except Exception as error:  # whatever is wrong with Ray, downloads go on
                self._actor = None
                if time.monotonic() > deadline or not isinstance(error, ray.exceptions.RayError):
                    _log.warning("the run's site pacer does not answer (%s): this machine paces itself", error)
                    self._alone_until = time.monotonic() + _ALONE_SECONDS
            time.sleep(_PAUSE_SECONDS)
        return local()

    def _handle(self) -> Any:
        """Return the run's actor, which is started if there is none of its name."""
        import ray

        with self._lock:
            if self._actor is None:
                actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, max_concurrency=_CALLS_AT_ONCE)(
                    PacerActor
                )
                options = {"name": f"site-pacer-{self._run}", "lifetime": "detached", "get_if_exists": True}
                self._actor = actor.options(**options).remote(self._run, self._limits)
            return self._actor


def _on_ray() -> bool:
    """Return True if this process is connected to Ray; does not import it."""
    import sys

    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())
