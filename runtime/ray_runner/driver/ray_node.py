"""Starts the node of an in-process Ray with only the processes that a run needs, and waits minutes for it.

Ray has no arguments for either, so functions of its private modules are replaced while `ray.init` runs. A release of
Ray without one of them starts with its defaults. Imports Ray.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import socket
import time
from collections.abc import Iterator
from typing import Any, Final

import psutil

from runtime.log import get_logger
from runtime.retry_limits import RAY_START_SECONDS

_POLL_SECONDS: Final = 0.1
_UNUSED_PORTS: Final = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
_NOT_IN_USE: Final = -1
_log = get_logger(__name__)


@contextlib.contextmanager
def reduced_node_start(log_to_driver: bool) -> Iterator[None]:
    """Inside the block, have `ray.init` start a node without the helper processes of a cluster, and wait for it.

    The dashboard, the autoscaler's monitor and the log monitor take seconds of processor time for their imports. The
    node's agents need that time: the node waits 15 s for them to choose their ports, and then aborts. Without the
    dashboard's services they are up sooner, and with ports that are chosen here the node does not wait. Ray itself
    waits at most half a minute for the node, even if it is still starting.

    Args:
        log_to_driver: start the log monitor nevertheless, because it passes on the output of workers.
    """
    try:
        replacements = _replacements(log_to_driver)
        before = [(module, name, getattr(module, name)) for module, name, _ in replacements]
    except (ImportError, AttributeError) as error:
        _log.info("this release of Ray has other internals (%s): it starts with its defaults", error)
        yield
        return
    for module, name, ours in replacements:
        setattr(module, name, ours)
    try:
        yield
    finally:
        for module, name, theirs in before:
            setattr(module, name, theirs)


def _replacements(log_to_driver: bool) -> list[tuple[Any, str, Any]]:
    """Return module, name and replacement; `AttributeError` is left to the caller if the module lacks the name."""
    import ray._private.parameter as parameter
    import ray._private.services as services
    import ray._private.utils as utils
    from ray._raylet import persist_port  # type: ignore[attr-defined]

    params = functools.partial(
        parameter.RayParams,
        no_monitor=True,
        include_log_monitor=log_to_driver,
        runtime_env_agent_port=_free_port(),
    )
    return [
        (services, "start_raylet", functools.partial(_start_with_ports, services.start_raylet, persist_port)),
        (services, "get_node", functools.partial(_wait_for_node, services.get_node)),
        (services, "start_api_server", _no_dashboard),
        (parameter, "RayParams", params),
        (utils, "get_dashboard_dependency_error", lambda: ImportError("no dashboard is wanted")),
    ]


def _free_port() -> int:
    """Return a port that no process of this machine listens on now."""
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


def _start_with_ports(start_raylet: Any, persist_port: Any, *args: Any, **options: Any) -> Any:
    """Start the node with the files in which its agents would tell it their ports."""
    given = inspect.signature(start_raylet).bind(*args, **options).arguments
    for name in _UNUSED_PORTS:
        persist_port(given["session_dir"], given["node_id"], name, _NOT_IN_USE)
    return start_raylet(*args, **options)


def _no_dashboard(*_: Any, **__: Any) -> tuple[None, None]:
    """Return no address and no process."""
    return None, None


def _wait_for_node(get_node: Any, *where: Any) -> Any:
    """Return the node's information once it has registered; raise `RuntimeError` if its process ended or time is up."""
    deadline = time.monotonic() + RAY_START_SECONDS.seconds
    while True:
        try:
            return get_node(*where)
        except RuntimeError:
            if time.monotonic() > deadline or "raylet" not in _children():
                raise
            time.sleep(_POLL_SECONDS)


def _children() -> Iterator[str]:
    """Yield the names of this process's own children that are running."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                yield child.name()
