"""Tasks from the hub: Parquet files of one configuration, kept in the hub's own cache, which also serves offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import UserError, one_line

if TYPE_CHECKING:
    from training.evaluation.language.tasks.task_registry import Task


def fetch_task(task: Task) -> Path:
    """The folder with a task's Parquet files, fetched where the cache lacks them.

    Raises:
        UserError: the hub has the task not, not labelled, or can't be reached; names the way to local files.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    local = f"put its published files into a folder and name that as --data (or folders.{task.name})"
    if task.hub is None:
        raise UserError(f"{task.title}: the hub has no labelled copy; {local}")
    where = f"datasets/{task.hub.repository}"
    try:
        folder = snapshot_download(
            task.hub.repository,
            repo_type="dataset",
            revision=task.hub.revision,
            allow_patterns=[f"{task.hub.config}/*.parquet"],
        )
    except LocalEntryNotFoundError:
        raise UserError(
            f"{task.title}: {where} is not in the hub's local cache and the hub can't be reached; {local}"
        ) from None
    except HfHubHTTPError as error:
        reason = one_line(error, keep="last")
        raise UserError(f"{task.title}: {where}: {reason}; {local}") from None
    found = Path(folder) / task.hub.config
    if not found.is_dir():
        raise UserError(f"{task.title}: {where} holds no {task.hub.config}/*.parquet; {local}")
    return found
