"""Fetch tasks from the hub: Parquet files of one configuration, kept in the hub's cache, which also works offline."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError, one_line
from training.evaluation.language.tasks.language_task import LanguageTask


def fetch_task(task: LanguageTask) -> Path:
    """Return the folder with a task's Parquet files; fetch those that the cache lacks.

    Raises:
        UserError: the hub lacks the task, has it without labels, or can't be reached; says how to use local files.
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
    parquet = Path(folder) / task.hub.config
    if not parquet.is_dir():
        raise UserError(f"{task.title}: {where} holds no {task.hub.config}/*.parquet; {local}")
    return parquet
