"""One attempt at a URL in a child process (`curation.media.download.ytdlp.fetch_process`), from request to outcome."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curation.media.download.download_errors import Failure
from curation.media.download.download_settings import COOKIE_FILES, DownloadSettings
from curation.media.download.ytdlp.fetch_request import FetchOutcome, FetchRequest
from curation.media.download.ytdlp.page_bounds import CPU_SIGNAL
from runtime.errors import MachineError
from runtime.processes import ProcessTimeout, ffmpeg_binary, python_environment, run


def attempt_fetch(request: FetchRequest, settings: DownloadSettings, seconds: float) -> FetchOutcome:
    """Make one attempt in a child process, for at most `seconds`.

    Raises:
        MachineError: the disk is full, or ffmpeg can't be started.
    """
    scratch = Path(request.folder)
    request_path, outcome_path = scratch / "request.json", scratch / "outcome.json"
    outcome_path.unlink(missing_ok=True)
    _write_private(request_path, json.dumps(asdict(request)))
    module = "curation.media.download.ytdlp.fetch_process"
    args: list[str | Path] = [sys.executable, "-P", "-m", module, request_path, outcome_path]
    try:
        finished = run(args, timeout=seconds, cwd=scratch, env=python_environment(), check=False)
    except ProcessTimeout:
        reason = f"took longer than {settings.time_limit:g} s (download.time_limit)"
        return FetchOutcome(failure=Failure("network", reason))
    finally:
        request_path.unlink(missing_ok=True)
    if finished.returncode == -CPU_SIGNAL:
        reason = f"its page took more than {settings.page_cpu_seconds:g} s of CPU time (download.page_cpu_seconds)"
        return FetchOutcome(failure=Failure("not_video", reason))
    if not outcome_path.is_file():
        last_line = finished.stderr.strip().rpartition("\n")[2]
        message = f"the download process exited with status {finished.returncode}: {last_line}"
        return FetchOutcome(failure=Failure("internal", message))
    outcome = FetchOutcome.read(outcome_path)
    if outcome.machine is not None:
        raise MachineError(outcome.machine)
    return outcome


def fetch_request(
    url: str,
    settings: DownloadSettings,
    access: Mapping[str, Any],
    scratch: Path,
    *,
    patient: bool = False,
    list_limit: int = 0,
) -> FetchRequest:
    """Return the request for one attempt.

    Args:
        url: what to fetch.
        settings: how to download it.
        access: yt-dlp's options of the cookies and the proxy to use.
        scratch: an existing folder of the attempt alone, where its cookies are copied to.
        patient: another attempt will follow a transient failure.
        list_limit: if set, list at most so many videos of a playlist, and download none.
    """
    return FetchRequest(
        url=url,
        folder=str(scratch),
        height=settings.height,
        languages=settings.languages,
        format=settings.format,
        options=_copy_cookies({**settings.yt_dlp, **access}, scratch),
        socket_timeout=settings.socket_timeout,
        stall_seconds=settings.stall_seconds,
        min_bytes_per_second=settings.min_bytes_per_second,
        max_bytes=settings.max_bytes,
        max_duration=settings.max_duration,
        max_page_bytes=settings.max_page_bytes,
        page_cpu_seconds=settings.page_cpu_seconds,
        allowed_networks=settings.allow_private_addresses,
        allowed_schemes=settings.allow_schemes,
        ffmpeg=ffmpeg_binary(),
        patient=patient,
        list_limit=list_limit,
    )


def _copy_cookies(options: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """Return the options with a copy of the cookies file: yt-dlp writes into it, and several downloads share it."""
    result = dict(options)
    for name in COOKIE_FILES:
        if result.get(name):
            copy = scratch / "cookies.txt"
            _write_private(copy, Path(result[name]).read_text(encoding="utf-8"))
            result[name] = str(copy)
    return result


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
