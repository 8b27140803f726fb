"""Child processes: started from an argument list, without a shell or standard input, with a time limit.

A child gets its own process group, which is killed whole when time is up. On Linux it dies with the thread that started
it, so that no process outlives a killed worker. All programs that are not Python (mainly ffmpeg) are called from here.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import IO, Final

from runtime.children.child_setup import prepare_child
from runtime.errors import MachineError, UserError
from runtime.retry_limits import FFMPEG_CHECK_SECONDS

STDERR_TAIL: Final = 16 * 1024
"""Bytes kept of the end of standard error."""

_MACHINE_SIGNS: Final = (
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Too many open files",
)


@dataclass(frozen=True)
class FinishedProcess:
    """The result of a process that has ended."""

    returncode: int
    """Exit status; negative: the signal that ended it."""
    stdout: bytes
    stderr: str
    """The end of standard error, at most `STDERR_TAIL` bytes."""


class ProcessFailed(Exception):
    """A process ended with an exit status other than 0."""

    def __init__(self, name: str, returncode: int, stderr_tail: str) -> None:
        super().__init__(f"{name} {ending_of(returncode)}: {_last_line(stderr_tail)}")
        self.returncode = returncode
        self.stderr_tail = stderr_tail


class ProcessTimeout(Exception):
    """A process exceeded its time limit and was killed with its group."""

    def __init__(self, name: str, seconds: float, stderr_tail: str = "") -> None:
        super().__init__(f"{name} took longer than {seconds:.0f} s and was stopped")
        self.seconds = seconds
        self.stderr_tail = stderr_tail


def run(
    args: Sequence[str | Path],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    max_output: int = 1 << 20,
    memory: int | None = None,
) -> FinishedProcess:
    """Run a program to its end.

    Args:
        args: program and arguments; never a shell string.
        timeout: wall seconds until the whole process group is killed.
        cwd: folder to run in.
        env: the whole environment of the child; None: that of this process.
        check: raise if the exit status is not 0.
        max_output: the most bytes of standard output.
        memory: the most bytes of memory of the process, and of each that it starts; None: no limit.

    Raises:
        ProcessFailed: exit status not 0 (with `check`), or more than `max_output` bytes written.
        ProcessTimeout: the time limit was exceeded.
        MachineError: the program can't be started, or it reports a full disk.
    """
    deadline = time.monotonic() + timeout
    process = start(args, cwd=cwd, env=env, memory=memory)
    assert process.stdout is not None and process.stderr is not None
    head, tail = PipeHead(process.stdout, max_output, lambda: kill(process)), PipeTail(process.stderr)
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
        for reader in (head, tail):
            reader.join(max(0.0, deadline - time.monotonic()))
        if head.is_alive() or tail.is_alive():  # a grandchild still holds the pipes
            raise ProcessTimeout(_name(args), timeout, tail.text)
    except subprocess.TimeoutExpired:
        raise ProcessTimeout(_name(args), timeout, tail.text) from None
    finally:
        if process.poll() is None or head.is_alive() or tail.is_alive():
            kill(process)
    if head.overflow:
        raise ProcessFailed(_name(args), process.returncode, f"wrote more than {max_output} bytes")
    if check:
        raise_for_status(args, process.returncode, tail.text)
    return FinishedProcess(process.returncode, head.data, tail.text)


def python_environment() -> dict[str, str]:
    """Return an environment in which a Python child finds our packages where this process found them."""
    packages = str(Path(__file__).parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))}


def start(
    args: Sequence[str | Path],
    *,
    stdout: int | IO[bytes] = PIPE,
    stderr: int | IO[bytes] = PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    memory: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Popen[bytes]:
    """Start a program and return at once; the caller reads its pipes (`PipeTail` drains one), waits, or calls `kill`.

    The child dies with the *thread* that called this (Linux): keep that thread until the child has ended.

    Args:
        args: program and arguments; never a shell string.
        stdout: a file, or a constant of `subprocess`.
        stderr: a file, or a constant of `subprocess`.
        cwd: folder to run in.
        env: the whole environment of the child; None: that of this process.
        memory: the most bytes of memory of the process, and of each that it starts; None: no limit.
        pass_fds: file descriptors that stay open in the child.

    Raises:
        MachineError: the program can't be started.
    """
    try:
        return Popen(
            [os.fspath(arg) for arg in args],
            stdin=DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=env,
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=prepare_child(os.getpid(), memory),
        )
    except OSError as error:
        raise MachineError(f"{_name(args)} can't be started: {error.strerror or error}") from error


def kill(process: Popen[bytes]) -> None:
    """Kill a process of `start` with its whole group, and reap it; a process that has ended is only reaped."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # ended already (macOS says EPERM for a zombie)
        process.kill()
    process.wait()


def raise_for_status(args: Sequence[str | Path], returncode: int, stderr_tail: str) -> None:
    """Raise the error that the end of a process means; return if its status is 0.

    Raises:
        MachineError: its standard error reports a full disk or the like.
        ProcessFailed: `returncode` is not 0.
    """
    if returncode == 0:
        return
    for sign in _MACHINE_SIGNS:
        if sign in stderr_tail:
            raise MachineError(f"{_name(args)}: {sign}")
    raise ProcessFailed(_name(args), returncode, stderr_tail)


class PipeTail(threading.Thread):
    """A thread that drains a pipe and keeps its end."""

    def __init__(self, stream: IO[bytes], limit: int = STDERR_TAIL) -> None:
        super().__init__(daemon=True)
        self._stream, self._limit = stream, limit
        self._data = b""
        self.start()

    def run(self) -> None:
        """Read until the pipe is closed."""
        with self._stream:
            while chunk := self._stream.read1(1 << 16):  # type: ignore[attr-defined]
                self._data = (self._data + chunk)[-self._limit :]

    @property
    def text(self) -> str:
        """The end of the output so far; undecodable bytes are replaced."""
        return self._data.decode("utf-8", "replace")


class PipeHead(threading.Thread):
    """A thread that drains a pipe, keeps everything, and calls `too_much` beyond `limit` bytes."""

    def __init__(self, stream: IO[bytes], limit: int, too_much: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._stream, self._limit, self._too_much = stream, limit, too_much
        self._parts: list[bytes] = []
        self.overflow = False
        self.start()

    def run(self) -> None:
        """Read until the pipe is closed or the limit is exceeded."""
        size = 0
        with self._stream:
            while chunk := self._stream.read1(1 << 16):  # type: ignore[attr-defined]
                size += len(chunk)
                if size > self._limit:
                    self.overflow = True
                    self._too_much()
                    return
                self._parts.append(chunk)

    @property
    def data(self) -> bytes:
        """The output so far."""
        return b"".join(self._parts)


@functools.cache
def ffmpeg_binary() -> str:
    """Return an ffmpeg that can encode H.264: the system's, otherwise that of the package ``imageio-ffmpeg``.

    Raises:
        UserError: neither is there.
    """
    system = shutil.which("ffmpeg")
    if system and _encodes_h264(system):
        return system
    import imageio_ffmpeg

    try:
        bundled: str = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise UserError("ffmpeg: no binary with libx264 was found; `pip install imageio-ffmpeg` installs one") from None
    return bundled


def _encodes_h264(binary: str) -> bool:
    """Return True if `binary` encodes two small frames with libx264."""
    args = [binary, "-v", "error", "-nostdin", "-f", "lavfi", "-i", "color=s=64x64:d=0.2"]
    args += ["-fps_mode", "passthrough", "-c:v", "libx264", "-f", "null", "-"]
    try:
        return run(args, timeout=FFMPEG_CHECK_SECONDS.seconds, check=False).returncode == 0
    except (MachineError, ProcessTimeout):
        return False


def _name(args: Sequence[str | Path]) -> str:
    return Path(args[0]).name.partition("-linux")[0]


def ending_of(returncode: int) -> str:
    """Return how a process ended, as the verb of a sentence about it."""
    return f"was ended by signal {-returncode}" if returncode < 0 else f"ended with status {returncode}"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"
