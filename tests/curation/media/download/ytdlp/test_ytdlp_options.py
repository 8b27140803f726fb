"""yt-dlp's own options are checked before work starts."""

from pathlib import Path

import pytest
from support.downloads import quick_settings

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.downloader import check_options
from curation.media.download.ytdlp.ytdlp_allowed import allowed_names
from curation.media.download.ytdlp.ytdlp_options import ytdlp_options
from runtime.errors import UserError
from runtime.settings import build


def test_options_are_accepted_by_either_of_their_names(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n")
    check_options(quick_settings(yt_dlp={"cookies": str(cookies), "sleep-requests": 1, "geo_bypass": False}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cookeis": "x"}, r"yt_dlp\.cookeis: is no option that is passed on to yt-dlp \(did you mean 'cookies'"),
        ({"concurrent-fragments": "hunter2"}, "does not accept this value"),
        ({"cookies": "/nowhere/cookies.txt"}, "no such file"),
        ({"ratelimit": "hunter2"}, "does not accept this value"),
        ({"http_headers": "hunter2"}, "does not accept this value"),
        ({"netrc": "--exec=hunter2"}, "does not accept this value"),
    ],
)
def test_a_wrong_option_is_reported_before_work_starts(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        check_options(quick_settings(yt_dlp=options))
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("postprocessors", [{"key": "Exec", "exec_cmd": "touch x"}]),
        ("print_to_file", {"video": [["%(id)s", "/tmp/x"]]}),
        ("--print-to-file", "x"),
        ("use-postprocessor", "Exec:exec_cmd=touch x"),
        ("exec_before_download", "touch x"),
        ("--exe", "touch x"),
        ("EXEC", "touch x"),
        ("external_downloader", "curl"),
        ("external_downloader_args", {"default": ["-x"]}),
        ("cookiesfrombrowser", ["firefox"]),
        ("cookies-from-browser", "firefox"),
        ("netrc_cmd", "touch x"),
        ("ffmpeg_location", "/tmp/evil"),
        ("config-locations", "/tmp/evil.conf"),
        ("plugin_dirs", "/tmp/evil"),
        ("alias", "evil --exec"),
        ("preset-alias", "mp3"),
        ("load_info_json", "/etc/passwd"),
        ("batch_file", "/etc/passwd"),
        ("outtmpl", {"default": "../../x"}),
        ("outtmpl_na_placeholder", "../x"),
        ("paths", {"home": "/"}),
        ("cachedir", "/tmp/x"),
        ("write_pages", True),
        ("writeinfojson", True),
        ("download_archive", "/tmp/x"),
        ("compat_opts", ["allow-unsafe-ext"]),
        ("merge_output_format", "../x"),
        ("postprocessor_args", {"ffmpeg": ["-y", "/tmp/x"]}),
        ("progress_hooks", []),
        ("js_runtimes", {"node": {"path": "/tmp/evil"}}),
        ("js-runtimes", "node:/tmp/evil"),
        ("remote_components", ["ejs:github"]),
        ("enable_file_urls", True),
        ("update", True),
        ("version", True),
        ("", True),
        ("an_option_of_tomorrow", 1),
    ],
)
def test_an_option_that_runs_a_program_writes_a_file_or_is_unknown_is_refused(name: str, value: object) -> None:
    with pytest.raises(UserError, match=r"^download\.yt_dlp\."):
        build(DownloadSettings, {"yt_dlp": {name: value}}, "download")


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ({"user-agent": "A"}, {"http_headers": {"User-Agent": "A"}}),
        ({"limit_rate": "2M"}, {"ratelimit": 2 << 20}),
        ({"force_ipv4": True}, {"source_address": "0.0.0.0"}),
        ({"extractor_args": "youtube:player_client=web"}, {"extractor_args": {"youtube": {"player_client": ["web"]}}}),
        ({"js_runtimes": ["node", "deno"]}, {"js_runtimes": {"node": {}, "deno": {}}}),
        ({"usenetrc": True, "netrc_location": "/a"}, {"usenetrc": True, "netrc_location": "/a"}),
        ({"proxy": "--exec=touch x"}, {"proxy": "--exec=touch x"}),
        ({"referer": "--exec=touch x"}, {"http_headers": {"Referer": "--exec=touch x"}}),
    ],
)
def test_an_allowed_option_reaches_yt_dlp_and_nothing_else_does(
    given: dict[str, object], passed: dict[str, object]
) -> None:
    options = ytdlp_options(given)
    headers = options.get("http_headers")
    if isinstance(headers, dict):
        options["http_headers"] = {k: v for k, v in headers.items() if v in ("A", "--exec=touch x")}
    assert options == passed


def test_every_allowed_option_is_one_that_yt_dlp_has() -> None:
    import yt_dlp

    parser, _, _, parameters = yt_dlp.parse_options(["--ignore-config"])
    flags = {flag.removeprefix("--").replace("-", "_") for flag in parser._long_opt}
    assert [name for name in allowed_names() if name not in parameters and name not in flags] == []


def test_files_to_read_are_named_by_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = quick_settings(yt_dlp={"netrc_location": "n", "client-certificate": "c.pem"})
    assert settings.yt_dlp == {"netrc_location": str(tmp_path / "n"), "client-certificate": str(tmp_path / "c.pem")}
