"""Runs stages in a child process that drives Ray, and ends the run in good order whatever happens to that process.

Ray's native code ends its driver without a word when the node's server (raylet) or the cluster's (GCS) dies, after a
minute in the case of the latter. The supervisor holds the lock of the DIR and imports no Ray. It watches both servers
and the driver; when one of them is lost it ends all processes of the run, and reports one line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeAlias

import psutil
from rich.console import Console

from runtime.children.child_setup import prepare_child
from runtime.processes import ending_of
from runtime.ray_runner.cluster import child_processes, is_running
from runtime.ray_runner.driver.orphans import end_descendants, orphans_adopted
from runtime.ray_runner.driver.ray_job import DriverMessage, Finished, RayCloses, RayIsUp, RayJob
from runtime.ray_runner.interrupts import InterruptFlag
from runtime.ray_runner.reports import Counts, add_counts
from runtime.ray_runner.run_record import OnResult, RunReport
from runtime.retry_limits import DRIVER_STOP_SECONDS

_POLL_SECONDS: Final = 0.2
_SERVERS: Final = {"raylet": "Ray's server on this machine (raylet)", "gcs_server": "Ray's control server (GCS)"}
_RESUMES: Final = "finished shards are kept, and the same command resumes from there"

_Pipe: TypeAlias = "Connection[object, DriverMessage]"


def run_in_driver(job: RayJob, on_result: OnResult | None) -> RunReport:
    """Run `job` in a process of its own and return its report; afterwards no process of the run is left.

    The death of the driver or of one of Ray's servers is reported in `RunReport.fatal`.

    Raises:
        UserError, MachineError: what `runtime.ray_runner.runner.run_on_ray` raised in the driver.
        RuntimeError: it failed unexpectedly; the message has the traceback.
    """
    spared, interrupt = child_processes(), InterruptFlag()
    with orphans_adopted(), interrupt.caught():
        process, pipe = _start_driver()
        with pipe:
            try:
                with contextlib.suppress(BrokenPipeError):  # an early death is noticed below
                    pipe.send(sys.path)
                    pipe.send(job)
                return _Supervisor(job, on_result, process, pipe, interrupt).follow()
            finally:
                process.kill()
                process.wait()
                end_descendants(spared, DRIVER_STOP_SECONDS.seconds)


def _start_driver() -> tuple[subprocess.Popen[bytes], _Pipe]:
    ours, theirs = Pipe()
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime.ray_runner.driver.driver_process", str(number)],
            stdin=subprocess.DEVNULL,
            pass_fds=[number],
            process_group=0,
            preexec_fn=prepare_child(os.getpid()),
        )
    return process, ours


class _Supervisor:
    """The state of one driver: its messages, and the servers without which it can't go on."""

    def __init__(
        self,
        job: RayJob,
        on_result: OnResult | None,
        process: subprocess.Popen[bytes],
        pipe: _Pipe,
        interrupt: InterruptFlag,
    ) -> None:
        self._job = job
        self._on_result = on_result
        self._process = process
        self._pipe = pipe
        self._interrupt = interrupt
        self._patience_ends: float | None = None
        self._servers: dict[str, psutil.Process] = {}
        self._logs: Path | None = None
        self._done = {stage.name: 0 for stage in job.stages}
        self._counts: dict[str, Counts] = {stage.name: {} for stage in job.stages}

    def follow(self) -> RunReport:
        """Pass results on until the driver's report, or until the driver or one of Ray's servers has ended."""
        while True:
            lost = [name for name, server in self._servers.items() if not is_running(server)]
            try:
                if (report := self._take_messages()) is not None:
                    return report
            except EOFError:
                return self._without_report()
            if self._servers and lost:
                return self._stopped(f"{_SERVERS[lost[0]]} has ended")
            if self._has_to_be_killed():
                return self._report(interrupted=True)

    def _take_messages(self) -> RunReport | None:
        """Take in what the driver sends within `_POLL_SECONDS`; return its report if that has come.

        Raises:
            EOFError: the driver has ended without one.
            Exception: what ended the run in the driver.
        """
        patience = _POLL_SECONDS
        while self._pipe.poll(patience):
            patience = 0.0
            message = self._received()
            if isinstance(message, RunReport):
                return message
            if isinstance(message, BaseException):
                raise message
            self._take(message)
        return None

    def _received(self) -> DriverMessage:
        try:
            return self._pipe.recv()
        except ConnectionResetError as error:
            raise EOFError from error

    def _take(self, message: RayIsUp | RayCloses | Finished) -> None:
        match message:
            case RayIsUp(processes, logs):
                self._logs = logs
                with contextlib.suppress(psutil.NoSuchProcess):  # the driver itself ends then
                    self._servers = {name: psutil.Process(pid) for name, pid in processes.items()}
            case RayCloses():
                self._servers = {}
            case Finished(stage, shard, result):
                self._done[stage] += 1
                add_counts(self._counts[stage], result.counts)
                if self._on_result:
                    self._on_result(stage, shard, result)

    def _has_to_be_killed(self) -> bool:
        """Pass an interrupt on once; return True if the driver has not ended in the time it then gets."""
        if self._interrupt.is_set and self._patience_ends is None:
            self._process.terminate()
            self._patience_ends = time.monotonic() + DRIVER_STOP_SECONDS.seconds
        return self._patience_ends is not None and time.monotonic() > self._patience_ends

    def _without_report(self) -> RunReport:
        """Return the report of a driver that has closed its end of the pipe."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DRIVER_STOP_SECONDS.seconds)
        if self._interrupt.is_set:
            return self._report(interrupted=True)
        status = self._process.returncode
        lost = [name for name, server in self._servers.items() if not is_running(server)]
        if lost and status != -signal.SIGKILL:  # a killed driver takes Ray's servers with it
            return self._stopped(f"{_SERVERS[lost[0]]} has ended")
        ended = "does not end" if status is None else ending_of(status)
        joined = "" if self._servers else ", as it does when the cluster is lost"
        return self._stopped(f"the process that drives Ray {ended}{joined}")

    def _stopped(self, reason: str) -> RunReport:
        if sys.stderr.isatty():
            Console(stderr=True).show_cursor()  # the driver's live view has hidden it
        logs = f"; Ray's logs are in {self._logs}" if self._logs else ""
        return self._report(fatal=f"{reason}; {_RESUMES}{logs}")

    def _report(self, *, fatal: str | None = None, interrupted: bool = False) -> RunReport:
        elapsed = time.monotonic() - self._job.started
        return RunReport(
            self._done,
            self._counts,
            elapsed,
            fatal=fatal,
            interrupted=interrupted,
            ray_logs=self._logs if fatal else None,
        )
