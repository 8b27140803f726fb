"""The node of an in-process Ray: no more processes than a run needs, and minutes to come up on a busy machine.

Ray has no arguments for either: names of its private modules are exchanged while `ray.init` runs. A release that lacks
one of them starts as it would by itself. Imports Ray.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from typing import Any, Final

import psutil

from runtime.failures import RAY_START_SECONDS
from runtime.log import get_logger

_POLL_SECONDS: Final = 0.1
_log = get_logger(__name__)


@contextlib.contextmanager
def small_and_patient(log_to_driver: bool) -> Iterator[None]:
    """Have `ray.init` start a node without the helpers of a cluster inside the block, and wait for it.

    The dashboard, the autoscaler's monitor and the log monitor would import for seconds, and take the processor from
    the node's agent, for which the node waits 15 s before it aborts. An agent without the dashboard's services tells
    the node so at once. Ray itself waits half a minute for the node, whether it is still coming up or not.

    Args:
        log_to_driver: have the log monitor after all, which brings what workers print.
    """
    try:
        exchanged = _exchanged(log_to_driver)
        before = [(module, name, getattr(module, name)) for module, name, _ in exchanged]
    except (ImportError, AttributeError) as error:
        _log.info("this release of Ray is not known from the inside (%s): it starts as it would by itself", error)
        yield
        return
    for module, name, ours in exchanged:
        setattr(module, name, ours)
    try:
        yield
    finally:
        for module, name, theirs in before:
            setattr(module, name, theirs)


def _exchanged(log_to_driver: bool) -> list[tuple[Any, str, Any]]:
    """Module, name and what takes its place; the name may be missing there."""
    import ray._private.parameter as parameter
    import ray._private.services as services
    import ray._private.utils as utils

    params = functools.partial(parameter.RayParams, no_monitor=True, include_log_monitor=log_to_driver)
    return [
        (services, "get_node", functools.partial(_node_once_it_is_there, services.get_node)),
        (services, "start_api_server", _no_dashboard),
        (parameter, "RayParams", params),
        (utils, "get_dashboard_dependency_error", lambda: ImportError("no dashboard is wanted")),
    ]


def _no_dashboard(*_: Any, **__: Any) -> tuple[None, None]:
    """No address and no process."""
    return None, None


def _node_once_it_is_there(get_node: Any, *where: Any) -> Any:
    """What the node tells of itself, as soon as it does; `RuntimeError` once it is clear that it won't."""
    deadline = time.monotonic() + RAY_START_SECONDS.seconds
    while True:
        try:
            return get_node(*where)
        except RuntimeError:
            if time.monotonic() > deadline or "raylet" not in _children():
                raise
            time.sleep(_POLL_SECONDS)


def _children() -> Iterator[str]:
    """Names of this process's own children that run."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                yield child.name()
