"""Uploads of exports to a dataset repository of the model hub: old files are deleted, a person's README is kept.

`runtime.models.hub_push` has the repository, the token, the repetitions and the plain errors.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.errors import UserError
from runtime.models.hub_push import HubTarget, upload_with_retries
from shards.card_files import MARK, README
from shards.export.export_record import RECORD_NAME

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_EXPORTED: Final = re.compile(
    r"__len__|data/\w+-\d{5}\.parquet|\w+/\d{5}/[^/]+\.(mp4|parquet)|\d{5}(\.tar|\.parquet|_stats\.json)|data\.lance/.*"
)
"""Names of the files of all formats."""
_DELETIONS_PER_COMMIT: Final = 1000


def upload(folder: Path, target: HubTarget) -> str:
    """Make a repository hold an export, and return the address of the dataset's page.

    Files of an earlier export that this one does not have are deleted; a README that a person wrote, and files with
    other names, are left as they are.

    Raises:
        UserError: the token may not do that, the repository is public but a private one was asked for, or it holds
            data that is not of an export.
        MachineError: the hub can't be reached, or fails again and again.
    """
    return upload_with_retries(target, lambda api: _upload_once(api, folder, target))


def _upload_once(api: HfApi, folder: Path, target: HubTarget) -> None:
    name, revision = target.repository, target.revision
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    present = api.list_repo_files(name, repo_type="dataset", revision=revision)
    old = sorted(file for file in present if file not in files and _EXPORTED.fullmatch(file))
    if old and RECORD_NAME not in present:
        raise UserError(
            f"{target.flag}: holds data that `curate export` did not write ({old[0]}); choose another repository, or "
            "another branch with --revision"
        )
    keeps_readme = README in present and not _has_own_readme(api, target)
    api.upload_folder(
        repo_id=name,
        repo_type="dataset",
        folder_path=folder,
        revision=revision,
        commit_message="Upload an export of clipgrove",
        ignore_patterns=[README] if keeps_readme else None,
    )
    _delete(api, target, old)


def _has_own_readme(api: HfApi, target: HubTarget) -> bool:
    """Return True if the README of the repository is one that a card or an export wrote."""
    with tempfile.TemporaryDirectory(prefix="readme-") as folder:  # the hub's cache could hold one of before
        path = api.hf_hub_download(
            target.repository, README, repo_type="dataset", revision=target.revision, cache_dir=folder
        )
        return MARK in Path(path).read_text(encoding="utf-8", errors="replace")


def _delete(api: HfApi, target: HubTarget, files: Sequence[str]) -> None:
    from huggingface_hub import CommitOperationDelete

    for start in range(0, len(files), _DELETIONS_PER_COMMIT):
        api.create_commit(
            target.repository,
            [CommitOperationDelete(file) for file in files[start : start + _DELETIONS_PER_COMMIT]],
            commit_message="Delete the files of an earlier export",
            repo_type="dataset",
            revision=target.revision,
        )
