"""Settings of the downloader: their content, their secrets, and options that can't be set."""

import json

import pytest
from support.downloads import quick_settings

from curation.media.download.download_settings import DownloadSettings, redact
from runtime.errors import UserError
from runtime.settings import build


def test_options_on_how_to_reach_a_site_do_not_change_the_content() -> None:
    plain = DownloadSettings()
    reached = {"proxy": "http://u:hunter2@p:1", "cookies": "c.txt", "username": "me", "add_headers": "Cookie:x"}
    assert DownloadSettings(yt_dlp=reached, retries=9, time_limit=1).content() == plain.content()
    assert DownloadSettings(yt_dlp={"prefer_free_formats": True}).content() != plain.content()
    assert DownloadSettings(height=720).content() != plain.content()


def test_no_text_made_from_settings_has_their_secrets() -> None:
    own = quick_settings(
        yt_dlp={"proxy": "http://u:hunter2@p:1", "password": "hunter3", "http_headers": {"Cookie": "s=hunter4"}}
    )
    texts = [repr(own), str(own), own.model_dump_json(), json.dumps(own.content())]
    texts.append(redact("at http://u:hunter2@p:1 with hunter3 and s=hunter4; http://x:hunter5@y/", own))
    assert not [text for text in texts if "hunter" in text]


@pytest.mark.parametrize("name", ["outtmpl", "format", "--retries", "exec", "external-downloader"])
def test_an_option_that_curate_sets_itself_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(UserError, match=rf"^download\.yt_dlp\.{name}: can't be set; "):
        build(DownloadSettings, {"yt_dlp": {name: "secret"}}, "download")


def test_a_bad_network_is_refused() -> None:
    with pytest.raises(UserError, match="allow_private_addresses"):
        build(DownloadSettings, {"allow_private_addresses": ["10.0.0.0/99"]}, "download")
