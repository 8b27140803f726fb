"""Models from a model hub (`hf://` of `runtime.models.model_uri`), through the hub's client and its cache.

A snapshot is a folder named after its commit. The client's environment variables (``HF_ENDPOINT``, ``HF_TOKEN``,
``HF_HOME``) choose the hub, the token and the cache. A model in the cache is opened without a network.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import UserError, one_line
from runtime.retry_limits import HUB_SECONDS

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

_COMPLETE = ".clipgrove-files"
"""File in a snapshot that lists its files, written when all of them have been fetched."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Weights in formats that are not read here, often as large as the others.
_UNREAD = ("*.h5", "*.msgpack", "*.onnx", "*.onnx_data", "*.tflite", "*.ot", "original/*", "coreml/*", "openvino/*")
# The same weights again, if there are safetensors.
_SECOND_COPY = ("pytorch_model*.bin", "*.pth", "*.pt")


def fetch(uri: str, name: str, revision: str | None) -> Path:
    """Return the folder with a repository's files at a revision, named after the commit; missing files are fetched.

    Args:
        uri: the URI that the user wrote, for messages.
        name: ``org/name``.
        revision: branch, tag or commit; None: the default branch.

    Raises:
        UserError: no such repository or revision, no access, or neither the hub nor the cache has it.
    """
    with _user_errors(uri):
        return _fetched(name, revision) or _snapshot(name, revision, _ask(name, revision))


def fetch_file(uri: str, name: str, files: Sequence[str]) -> Path:
    """Return one file of a repository, the first of several names that it has; fetched unless it is in the cache.

    If the hub can't be reached, that is said at once: the client's own retries of a single file take minutes.

    Args:
        uri: what the user wrote, for messages.
        name: ``org/name``.
        files: names of the file, in order of preference.

    Raises:
        UserError: no such repository or file, no access, or neither the hub nor the cache has it.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = (try_to_load_from_cache(name, file) for file in files)
    if path := next((path for path in cached if isinstance(path, str)), None):
        return Path(path)
    with _user_errors(uri):
        info = _ask(name, None)
        if info is None:
            raise UserError(
                f"model {uri!r}: the model hub can't be reached and {name} is not in its local cache; check the "
                "network, or name a copy as path:///folder"
            )
        there = {file.rfilename for file in info.siblings or ()}
        chosen = next((file for file in files if file in there), None)
        if chosen is None:
            raise UserError(f"model {uri!r}: {name} has no {' or '.join(files)}; take another")
        return Path(hf_hub_download(name, chosen))


def commit(uri: str, name: str, revision: str | None) -> str:
    """Return the commit that `fetch` would give, without fetching files; arguments and errors as there."""
    if revision and is_commit(revision):
        return revision
    with _user_errors(uri):
        info = _ask(name, revision)
        return str(info.sha) if info else _snapshot(name, revision, None).name


def is_commit(revision: str | None) -> bool:
    """Return True if a revision is a commit, which never moves, and not a branch or a tag."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def _fetched(name: str, revision: str | None) -> Path | None:
    """Return the folder of a commit that `_snapshot` has fetched completely; the hub is not asked."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    if revision is None or not is_commit(revision):
        return None
    folder = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model") / "snapshots" / revision
    try:
        names = (folder / _COMPLETE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return folder if all((folder / file).exists() for file in names) else None


def _ask(name: str, revision: str | None) -> ModelInfo | None:
    """Return commit and files of a repository; None if the hub can't be reached, so that the cache is used."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return HfApi().model_info(name, revision=revision, timeout=HUB_SECONDS.seconds)
    except HfHubHTTPError as error:
        if error.response.status_code >= 500:
            return None
        raise
    except Exception as error:  # the client's HTTP library, and with it its exceptions, changed with each version
        logging.getLogger(__name__).info("model hub not reached: %s", error)
        return None


def _snapshot(name: str, revision: str | None, info: ModelInfo | None) -> Path:
    """Return the repository's folder in the cache; without `info`, no file is fetched."""
    from huggingface_hub import snapshot_download

    ignore = [*_UNREAD]
    if info is None or any(file.rfilename.endswith(".safetensors") for file in info.siblings or ()):
        ignore += _SECOND_COPY
    folder = Path(snapshot_download(name, revision=revision, ignore_patterns=ignore, local_files_only=info is None))
    if info is not None and is_commit(revision):
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        (folder / _COMPLETE).write_text("\n".join(files), encoding="utf-8")
    return folder


@contextmanager
def _user_errors(uri: str) -> Iterator[None]:
    """Convert errors of the hub's client to `UserError`."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        yield
    except GatedRepoError:
        raise UserError(
            f"model {uri!r}: its owner grants access one by one; accept the licence on the hub and set HF_TOKEN"
        ) from None
    except LocalEntryNotFoundError:
        raise UserError(
            f"model {uri!r}: the model hub can't be reached and the model is not in its local cache; "
            "check the network, or name a copy as path:///folder"
        ) from None
    except HfHubHTTPError as error:
        reason = one_line(error, keep="last")
        raise UserError(f"model {uri!r}: {reason}; check name and revision") from None
