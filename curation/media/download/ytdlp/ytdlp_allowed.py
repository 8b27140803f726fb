"""The yt-dlp options that the user may set, with the values that each takes.

An allow-list: an option that runs a program, names a file to write, loads code, or changes what curate relies on is
refused because it is not here, also one that a later yt-dlp adds. What is here decides how a site is reached, who asks,
and which of its formats is preferred.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from runtime.errors import UserError

_NAME: Final = re.compile(r"[a-z]{1,20}")


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_headers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(item, str) for pair in value.items() for item in pair)


def _is_extractor_args(value: Any) -> bool:
    groups = value.values() if isinstance(value, Mapping) else [None]
    return all(isinstance(group, Mapping) and all(map(_is_texts, group.values())) for group in groups)


def _is_runtimes(value: Any) -> bool:
    """Accept names of JavaScript runtimes; a path would name a program to run."""
    if isinstance(value, Mapping):
        return all(_NAME.fullmatch(str(name)) and not options for name, options in value.items())
    names = [value] if isinstance(value, str) else value
    return _is_texts(names) and all(_NAME.fullmatch(name) for name in names)


def _never(value: Any) -> bool:
    return False


_PYTHON_NAMES: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("proxy", "geo_verification_proxy", "source_address", "geo_bypass_country"), _is_text),
    **dict.fromkeys(("geo_bypass_ip_block", "username", "password", "twofactor", "videopassword"), _is_text),
    **dict.fromkeys(("ap_mso", "ap_username", "ap_password", "netrc_location", "cookiefile"), _is_text),
    **dict.fromkeys(("client_certificate", "client_certificate_key", "client_certificate_password"), _is_text),
    **dict.fromkeys(("sleep_interval", "max_sleep_interval", "sleep_interval_requests"), _is_number),
    **dict.fromkeys(("sleep_interval_subtitles", "ratelimit", "throttledratelimit", "http_chunk_size"), _is_number),
    **dict.fromkeys(("buffersize", "concurrent_fragment_downloads", "fragment_retries"), _is_number),
    **dict.fromkeys(("extractor_retries", "file_access_retries", "age_limit"), _is_number),
    **dict.fromkeys(("geo_bypass", "usenetrc", "nocheckcertificate", "legacyserverconnect"), _is_flag),
    **dict.fromkeys(("prefer_insecure", "noresizebuffer", "format_sort_force", "prefer_free_formats"), _is_flag),
    **dict.fromkeys(("check_formats", "dynamic_mpd", "hls_split_discontinuity", "force_generic_extractor"), _is_flag),
    **dict.fromkeys(("format_sort", "allowed_extractors"), _is_texts),
    "http_headers": _is_headers,
    "extractor_args": _is_extractor_args,
    "js_runtimes": _is_runtimes,
    "impersonate": _never,  # yt-dlp parses its value
    "retry_sleep_functions": _never,  # set by retry_sleep
}
"""yt-dlp's Python names, and what accepts a value that is passed on as it is."""

_COMMAND_LINE_NAMES: Final = frozenset(
    {
        "cookies",
        "user_agent",
        "referer",
        "add_headers",
        "limit_rate",
        "rate_limit",
        "throttled_rate",
        "sleep_requests",
        "sleep_subtitles",
        "min_sleep_interval",
        "force_ipv4",
        "force_ipv6",
        "retry_sleep",
        "concurrent_fragments",
        "buffer_size",
        "resize_buffer",
        "video_password",
        "netrc",
        "no_check_certificates",
        "legacy_server_connect",
        "xff",
        "check_all_formats",
        "allow_dynamic_mpd",
        "use_extractors",
        "impersonate",
        "extractor_args",
        "format_sort",
        "http_chunk_size",
        "fragment_retries",
        "extractor_retries",
        "file_access_retries",
        "sleep_interval",
        "max_sleep_interval",
        "check_formats",
    }
)
"""Names on yt-dlp's command line, whose values yt-dlp parses."""

_PATHS: Final = frozenset({"cookies", "cookiefile", "netrc_location", "client_certificate", "client_certificate_key"})
"""Options whose value is a file to read."""

_NO_FILES: Final = "files are named and written by curate"
_NO_PROGRAMS: Final = "no program is run on downloaded files"
_REMEDIES: Final[Mapping[str, str]] = {
    "format": "set download.format",
    **dict.fromkeys(("subtitleslangs", "sub_langs", "srt_langs"), "set download.languages"),
    "socket_timeout": "set download.socket_timeout",
    "retries": "set download.retries",
    "max_filesize": "set download.max_bytes",
    **dict.fromkeys(("external_downloader", "downloader"), "its connections can't be checked"),
    "enable_file_urls": "name local files with --input",
    **dict.fromkeys(("exec", "exec_cmd", "exec_before_download", "postprocessors", "use_postprocessor"), _NO_PROGRAMS),
    **dict.fromkeys(("outtmpl", "output", "paths", "print_to_file", "cachedir", "cache_dir"), _NO_FILES),
    **dict.fromkeys(("cookiesfrombrowser", "cookies_from_browser"), "export them to a file and set cookies"),
    "netrc_cmd": "write the passwords to a file and set netrc_location",
    "ffmpeg_location": "put ffmpeg on the PATH",
    "remote_components": "install yt-dlp[default], which contains them",
    "js_runtimes": "put the runtime on the PATH and give its name alone",
    **dict.fromkeys(("ignoreerrors", "ignore_errors"), "errors are recorded in the ledger"),
    "download_archive": "the DIR records what is done",
    "skip_download": "set --stages instead",
    "simulate": "use curate plan",
}
"""Options that are refused and for which there is another way, or a reason worth telling."""


def plain_name(name: str) -> str:
    """Return an option's name without dashes and in lower case, as the tables here have it."""
    return name.lstrip("-").replace("-", "_").lower()


def is_passed_on(name: str, value: Any) -> bool:
    """Return True if an option is passed to yt-dlp under its Python name, without parsing its value."""
    accepts = _PYTHON_NAMES.get(plain_name(name))
    return accepts is not None and accepts(value)


def is_parsed(name: str) -> bool:
    """Return True if yt-dlp may parse the value of an option as on its command line."""
    return plain_name(name) in _COMMAND_LINE_NAMES


def may_result(parameter: str) -> bool:
    """Return True if parsing an option may set this parameter of ``yt_dlp.YoutubeDL``."""
    return parameter in _PYTHON_NAMES


def check_allowed(given: Mapping[str, Any]) -> None:
    """Refuse options that are not on the list, and values that an option does not take.

    Raises:
        UserError: names the option and the remedy, never the value, which may be a secret.
    """
    for name, value in given.items():
        if is_passed_on(name, value) or (is_parsed(name) and isinstance(value, str | int | float | list | tuple)):
            continue
        plain = plain_name(name)
        if plain in _REMEDIES:
            raise UserError(f"download.yt_dlp.{name}: can't be set; {_REMEDIES[plain]}")
        if plain in _PYTHON_NAMES:
            raise UserError(f"download.yt_dlp.{name}: yt-dlp does not accept this value")
        near = difflib.get_close_matches(plain, sorted({*_PYTHON_NAMES, *_COMMAND_LINE_NAMES}), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "docs/your-own-videos.md lists them"
        raise UserError(f"download.yt_dlp.{name}: is no option that is passed on to yt-dlp ({hint})")


def with_absolute_paths(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with absolute paths, because workers may run in another working folder."""
    return {
        name: str(Path(value).expanduser().absolute())
        if value and isinstance(value, str) and plain_name(name) in _PATHS
        else value
        for name, value in given.items()
    }


def allowed_names() -> list[str]:
    """Return the names of all options that can be set, sorted."""
    return sorted({*_PYTHON_NAMES, *_COMMAND_LINE_NAMES} - {"retry_sleep_functions"})
