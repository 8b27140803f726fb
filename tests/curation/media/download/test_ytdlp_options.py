"""yt-dlp's own options are checked before work starts."""

from pathlib import Path

import pytest
from support.downloads import quick_settings

from curation.media.download.downloader import check_options
from runtime.errors import UserError


def test_options_are_accepted_by_either_of_their_names(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n")
    check_options(quick_settings(yt_dlp={"cookies": str(cookies), "sleep-requests": 1, "geo_bypass": False}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cookeis": "x"}, r"yt_dlp\.cookeis: yt-dlp has no such option \(did you mean"),
        ({"concurrent-fragments": "hunter2"}, "does not accept this value"),
        ({"cookies": "/nowhere/cookies.txt"}, "no such file"),
    ],
)
def test_a_wrong_option_is_reported_before_work_starts(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        check_options(quick_settings(yt_dlp=options))
    assert "hunter2" not in str(error.value)
