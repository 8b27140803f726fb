"""Connects a run to Ray: a cluster at ``--address``, the cluster that this job runs in, or a Ray in this process.

An in-process Ray prints nothing and opens no dashboard, and all its processes end with the driver, even if that is
killed by SIGKILL. Ray is imported inside the functions, never at module level.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from runtime.errors import MachineError, UserError, one_line
from runtime.log import LEVEL_VARIABLE, get_logger
from runtime.ray_runner.driver.process_reaper import start_reaper
from runtime.ray_runner.driver.ray_node import reduced_node_start
from runtime.ray_runner.interrupts import own_sigterm_handler
from runtime.ray_runner.placement import MachineNode
from runtime.retry_limits import RAY_CONNECT_SECONDS, RAY_START_RETRIES, RAY_START_SECONDS, REAPER_SECONDS
from runtime.settings import Runtime, Settings

_GIB: Final = 1024**3
_SERVERS: Final = ("raylet", "gcs_server")
log = get_logger(__name__)

LOCAL_ADDRESS: Final = "local"
"""The value of ``--address`` that runs the stages without Ray (`runtime.ray_runner.local`)."""
_MAX_TEMP_PATH: Final = 40
"""The paths of Ray's sockets are 60 characters longer than its folder, and the limit for a socket is 107."""

_ENVIRONMENT: Final = {
    # Kill the children of a dead worker (engines above all) with it. Ray's alternative, the subreaper, makes the
    # kernel discard exit statuses in every process that imports Ray: a failed ffmpeg would seem to succeed.
    "RAY_process_group_cleanup_enabled": "true",
    # Workers use this interpreter and its packages; `uv run` must not build another environment for them.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # On a small busy machine a worker takes longer to start than the default minute. The other two are limits for Ray's
    # own processes, which start at the same time.
    "RAY_worker_register_timeout_seconds": str(RAY_START_SECONDS.count),
    "RAY_agent_register_timeout_ms": str(1000 * RAY_START_SECONDS.count),
    "RAY_gcs_server_port_wait_time_s": str(RAY_START_SECONDS.count),
    # Hide all GPUs from a worker that reserves none: Ray's future default, without its warning.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_QUIET: Final = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_TQDM": "0"}
"""Ray's native code must not write to the driver's standard error, where the live view is drawn."""


class ClusterSettings(Settings):
    """The Ray cluster of a run."""

    address: Runtime[str | None] = None
    """Ray cluster to join (``host:port``, or ``auto`` for the one on this machine); ``local``: run without Ray, in this
    process; none: the cluster that this job was submitted to, otherwise a Ray in this process."""
    wait_for_nodes: Runtime[float] = 0.0
    """Seconds to wait for nodes, and to ask the autoscaler for them, if the cluster has no room for a stage."""
    num_cpus: Runtime[int | None] = None
    """Logical CPUs of a Ray in this process; none: as many as this process may use."""
    temp_dir: Runtime[Path | None] = None
    """Folder for the sockets and logs of a Ray in this process; none: a new one, removed after a clean end."""


@dataclass
class Cluster:
    """A connected Ray."""

    nodes: tuple[MachineNode, ...]
    logs: Path | None = None
    """Folder with the logs of an in-process Ray, the output of dead workers included."""
    keep_logs: bool = False
    """Keep the logs at the end, because the run failed."""
    processes: Mapping[str, int] = field(default_factory=dict)
    """Process ids of an in-process Ray's servers, by name (``raylet``, ``gcs_server``)."""
    reaper: subprocess.Popen[bytes] | None = None
    """Ends the processes that an in-process Ray leaves behind."""


def machine_nodes(settings: ClusterSettings) -> tuple[MachineNode, ...]:
    """Return the resources that an in-process Ray would offer, without starting one: for plans."""
    cpus = settings.num_cpus if settings.num_cpus is not None else len(os.sched_getaffinity(0))
    return (MachineNode(cpus, _gpus(), 0.7 * psutil.virtual_memory().available / _GIB),)


def _gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() and part.strip() != "-1"])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def joins_running_cluster(settings: ClusterSettings) -> bool:
    """Return True if a run with these settings joins a Ray that is already running."""
    return settings.address != LOCAL_ADDRESS and bool(settings.address or os.environ.get("RAY_ADDRESS"))


def is_connected() -> bool:
    """Return True if this process has connected to Ray; imports no Ray."""
    return "ray" in sys.modules and sys.modules["ray"].is_initialized()


def keep_exit_statuses() -> None:
    """Have the kernel keep the exit statuses of this process's children, even if Ray has changed that.

    A cluster started with Ray's subreaper ignores SIGCHLD in every worker: each child would seem to succeed.
    """
    ctypes.CDLL(None).signal(signal.SIGCHLD.value, 0)  # signal.signal works in the main thread only


@contextlib.contextmanager
def connected(settings: ClusterSettings) -> Iterator[Cluster]:
    """Connect to Ray inside the block; a Ray that the caller has connected is used and stays connected.

    Raises:
        UserError: nothing answers at the address.
        MachineError: Ray can't be started here.
    """
    for name, value in (_ENVIRONMENT if _debug() else _ENVIRONMENT | _QUIET).items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield Cluster(alive_nodes())
        return
    with own_sigterm_handler():
        cluster = _join(settings) if joins_running_cluster(settings) else _start(settings)
    try:
        yield cluster
    except Exception as error:
        cluster.keep_logs = not isinstance(error, UserError)
        raise
    finally:
        ray.shutdown()
        if cluster.reaper and cluster.reaper.stdin:
            cluster.reaper.stdin.close()
            cluster.reaper.wait()
        if cluster.logs and not settings.temp_dir and not cluster.keep_logs:
            shutil.rmtree(cluster.logs, ignore_errors=True)


def alive_nodes() -> tuple[MachineNode, ...]:
    """Return the nodes of the connected Ray that are alive."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return tuple(MachineNode(r.get("CPU", 0.0), r.get("GPU", 0.0), r.get("memory", 0.0) / _GIB) for r in alive)


def _debug() -> bool:
    return os.environ.get(LEVEL_VARIABLE, "").lower() == "debug"


def _common() -> dict[str, Any]:
    level = logging.INFO if _debug() else logging.CRITICAL
    logging.getLogger("ray").setLevel(level)
    return {"log_to_driver": _debug(), "logging_level": level}


def _start(settings: ClusterSettings) -> Cluster:
    folder = settings.temp_dir or Path(tempfile.mkdtemp(prefix="cg-", dir="/tmp"))
    if len(str(folder.absolute())) > _MAX_TEMP_PATH:
        raise UserError(f"temp_dir={folder}: longer than {_MAX_TEMP_PATH} characters, too long for Ray's sockets")
    before = child_processes()
    for attempt in range(1 + RAY_START_RETRIES.count):
        try:
            _init_local(settings, folder)
            break
        except Exception as error:  # Ray raises plain Exception if its node takes longer than half a minute
            kill_processes(child_processes() - before)
            if attempt == RAY_START_RETRIES.count:
                raise MachineError(f"Ray can't be started in {folder}: {one_line(error, keep='first')}") from error
            log.warning("Ray did not start (%s); trying again", one_line(error, keep="first"))
    keep_exit_statuses()
    started = {child.pid: child.name() for child in child_processes() - before}
    servers = {name: pid for pid, name in started.items() if name in _SERVERS}
    reaper = start_reaper(started, REAPER_SECONDS.seconds, None if settings.temp_dir else folder)
    return Cluster(alive_nodes(), folder, processes=servers, reaper=reaper)


def _init_local(settings: ClusterSettings, folder: Path) -> None:
    import ray

    with _native_silence(), reduced_node_start(log_to_driver=_debug()):
        ray.init(
            address="local",
            num_cpus=settings.num_cpus if settings.num_cpus is not None else len(os.sched_getaffinity(0)),
            include_dashboard=False,
            object_store_memory=_store_bytes(),
            _temp_dir=str(folder.absolute()),
            **_common(),
        )


def child_processes() -> set[psutil.Process]:
    """Return all descendants of this process."""
    return set(psutil.Process().children(recursive=True))


def is_running(process: psutil.Process) -> bool:
    """Return True if a process has not ended; one that its parent has yet to reap has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_processes(processes: Iterable[psutil.Process]) -> None:
    """Kill processes with SIGKILL; those that have ended are skipped."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@contextlib.contextmanager
def _native_silence() -> Iterator[None]:
    """Keep Ray's native code from printing its log level on standard error; errors are raised as exceptions.

    Also switch off Ray's later messages on standard output (each death of a worker); the runner reports those.
    """
    if _debug():
        yield
        return
    import ray._private.worker

    ray._private.worker._worker_logs_enabled = False
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _store_bytes() -> int:
    """Return the size of Ray's shared memory: rows are small, audio windows are not. Unused memory costs nothing."""
    return int(max(128 * 1024**2, min(_GIB, 0.2 * psutil.virtual_memory().available)))


def _join(settings: ClusterSettings) -> Cluster:
    import ray

    check_address(settings)
    address, where = _address(settings)
    try:
        with _native_silence():
            ray.init(address=address, **_common())
    except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
        raise UserError(f"{where}: can't join this Ray cluster ({one_line(error, keep='first')})") from None
    keep_exit_statuses()
    return Cluster(alive_nodes())


def _address(settings: ClusterSettings) -> tuple[str, str]:
    """Return the address of the cluster to join, and the option or variable that named it, for messages."""
    address = settings.address or os.environ["RAY_ADDRESS"]
    return address, f"--address {address}" if settings.address else f"RAY_ADDRESS={address}"


def check_address(settings: ClusterSettings) -> None:
    """Refuse the address of a cluster to join if nothing answers there; imports no Ray.

    Ray itself takes a minute to give up on a silent host and may abort the process.

    Raises:
        UserError: no connection, or an address that a driver can't use.
    """
    if not joins_running_cluster(settings):
        return
    address, where = _address(settings)
    if address.startswith("ray://"):
        raise UserError(f"{where}: Ray client addresses can't drive a run; use host:port, or `ray job submit`")
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=RAY_CONNECT_SECONDS.seconds).close()
    except OSError as error:
        raise UserError(
            f"{where}: no Ray cluster answers there ({error.strerror or error}); start one with `ray start --head`, "
            "or leave the option out to run in this process"
        ) from None
