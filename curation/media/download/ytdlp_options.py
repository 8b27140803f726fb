"""Convert yt-dlp options, by their Python or command-line names, to parameters of ``yt_dlp.YoutubeDL``."""

from __future__ import annotations

import difflib
import optparse
from collections.abc import Collection, Mapping
from typing import Any

from runtime.errors import UserError


def ytdlp_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of ``yt_dlp.YoutubeDL`` for options under their Python or their command-line names.

    Raises:
        UserError: yt-dlp has no such option, or does not accept the value.
    """
    if not given:
        return {}
    import yt_dlp

    base = ["--ignore-config"]
    parser, _, _, known = yt_dlp.parse_options(base)
    names = {*known, *(flag.removeprefix("--") for flag in parser._long_opt)}
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name in known:
            options[name] = value
            continue
        parsed = _parse(base + _arguments(name, value), name, names)
        options |= {key: parsed[key] for key in parsed if parsed[key] != known.get(key)}
    return options


def _arguments(name: str, value: Any) -> list[str]:
    """Return the command-line arguments of one option; a list repeats it, true and false switch it on and off."""
    flag = name.lstrip("-").replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    values = value if isinstance(value, list | tuple) else [value]
    return [argument for item in values for argument in (f"--{flag}", str(item))]


def _parse(arguments: list[str], name: str, names: Collection[str]) -> dict[str, Any]:
    import yt_dlp

    try:
        return dict(yt_dlp.parse_options(arguments).ydl_opts)
    except optparse.OptParseError as error:
        message = str(error)
    if "no such option" not in message:
        raise UserError(f"download.yt_dlp.{name}: yt-dlp does not accept this value")
    near = difflib.get_close_matches(name.lstrip("-"), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`python -m yt_dlp --help` lists them"
    raise UserError(f"download.yt_dlp.{name}: yt-dlp has no such option ({hint})")
