"""What surrounds a run and can fail without killing any of its processes: the disk, and the clock."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own that can be filled."""

    folder: Path

    def fill(self, spare: int) -> str:
        """Fill it but for `spare` bytes; return a description."""
        facts = os.statvfs(self.folder)
        size = max(0, facts.f_bavail * facts.f_frsize - spare)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
        return f"{spare} bytes left"

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a file system in memory; skip the test if this machine does not allow it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class JumpingClock:
    """The wall clock of processes that are started with its `environment`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for the processes whose clock it is."""
        path = os.pathsep.join(filter(None, (str(Path(__file__).parent / "clock"), os.environ.get("PYTHONPATH"))))
        return {"PYTHONPATH": path, "CHAOS_CLOCK": str(self._file)}

    def jump(self, seconds: float) -> str:
        """Let the clock be wrong by `seconds`; return a description."""
        hidden = self._file.with_name(f".{self._file.name}")
        hidden.write_text(repr(seconds))
        hidden.replace(self._file)
        return f"wrong by {seconds:.0f} s"
