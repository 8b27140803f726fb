"""yt-dlp's options under either of their names, as parameters of ``yt_dlp.YoutubeDL``."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

from runtime.errors import UserError, nearest


def ytdlp_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of ``yt_dlp.YoutubeDL`` from options under their Python or their command-line names.

    Raises:
        UserError: yt-dlp knows no such option, or does not take the value.
    """
    import yt_dlp

    base = ["--ignore-config"]
    known = yt_dlp.parse_options(base).ydl_opts
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name in known:
            options[name] = value
            continue
        parsed = _parse(base + _arguments(name, value), name, known)
        options |= {key: parsed[key] for key in parsed if parsed[key] != known.get(key)}
    return options


def _arguments(name: str, value: Any) -> list[str]:
    """Command-line arguments for one option; a list repeats it, true and false switch it."""
    flag = name.lstrip("-").replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    values = value if isinstance(value, list | tuple) else [value]
    return [argument for item in values for argument in (f"--{flag}", str(item))]


def _parse(arguments: list[str], name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    import yt_dlp

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return dict(yt_dlp.parse_options(arguments).ydl_opts)
    except SystemExit:
        said = complaint.getvalue().strip()
    if "no such option" in said:
        raise UserError(f"download.yt_dlp.{name}: yt-dlp has no such option{nearest(name, known)}")
    raise UserError(f"download.yt_dlp.{name}: yt-dlp does not take this value")
