"""Convert yt-dlp options, by their Python or command-line names, to parameters of ``yt_dlp.YoutubeDL``."""

from __future__ import annotations

import optparse
from collections.abc import Mapping
from typing import Any, Final

from curation.media.download.ytdlp.ytdlp_allowed import check_allowed, is_passed_on, may_result, plain_name
from runtime.errors import UserError

_BASE: Final = ["--ignore-config"]


def ytdlp_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of ``yt_dlp.YoutubeDL`` for options under their Python or their command-line names.

    Raises:
        UserError: the option can't be set, yt-dlp has none of that name, or it does not accept the value.
    """
    if not given:
        return {}
    check_allowed(given)
    import yt_dlp

    known = dict(yt_dlp.parse_options(_BASE).ydl_opts)
    options: dict[str, Any] = {}
    for name, value in given.items():
        if plain_name(name) == "js_runtimes":
            options["js_runtimes"] = {runtime: {} for runtime in ([value] if isinstance(value, str) else value)}
        elif is_passed_on(name, value):
            options[plain_name(name)] = value
        else:
            parsed = _parse([*_BASE, *_arguments(name, value)], name)
            options |= {key: parsed[key] for key in parsed if may_result(key) and parsed[key] != known.get(key)}
    return options


def _arguments(name: str, value: Any) -> list[str]:
    """Return the command-line arguments of one option; a list repeats it, true and false switch it on and off."""
    flag = plain_name(name).replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    values = value if isinstance(value, list | tuple) else [value]
    return [f"--{flag}={item}" for item in values]  # one argument, so that no value is taken for another option


def _parse(arguments: list[str], name: str) -> dict[str, Any]:
    import yt_dlp

    try:
        return dict(yt_dlp.parse_options(arguments).ydl_opts)
    except (optparse.OptParseError, ValueError) as error:
        missing = "no such option" in str(error)
    reason = "yt-dlp has no such option" if missing else "yt-dlp does not accept this value"
    raise UserError(f"download.yt_dlp.{name}: {reason}")
