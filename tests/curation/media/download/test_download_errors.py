"""Messages and statuses of failed downloads become classes of the ledger."""

import pytest

from curation.media.download.download_errors import classify, retry_after_seconds


@pytest.mark.parametrize(
    ("message", "class_"),
    [
        ("[youtube] x: Private video. Sign in if you've been granted access to this video", "private"),
        ("[youtube] x: Video unavailable. This video is private", "private"),
        ("[youtube] x: Join this channel to get access to members-only content", "private"),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.", "private"),
        ("[site] x: This video is only available for registered users. Use --cookies", "private"),
        ("[site] x: This video is protected by a password, use the --video-password option", "private"),
        ("[youtube] x: Sign in to confirm you’re not a bot. Use --cookies-from-browser", "bot_check"),
        ("[generic] Got HTTP Error 403 caused by Cloudflare anti-bot challenge; try again with", "bot_check"),
        ("unable to download video data: HTTP Error 403: Forbidden", "bot_check"),
        ("[youtube] x: Video unavailable", "removed"),
        ("[youtube] x: This video has been removed by the uploader", "removed"),
        ("[youtube] x: Video unavailable. This video is no longer available because the account", "removed"),
        ("[vimeo] x: HTTP Error 404: Not Found (caused by <HTTPError 404: Not Found>)", "removed"),
        ("[site] x: This video does not exist", "removed"),
        ("[site] x: HTTP Error 401: Unauthorized", "private"),
        ("[site] x: HTTP Error 451: Unavailable For Legal Reasons", "geo_blocked"),
        ("[youtube] x: The uploader has not made this video available in your country", "geo_blocked"),
        ("[youtube] x: contains content from Y, who has blocked it in your country on copyright", "geo_blocked"),
        ("[site] x: This video is not available from your location due to geo restriction", "geo_blocked"),
        (
            "[youtube] x: This content isn't available, try again later. Your session is rate-limited",
            "rate_limited",
        ),
        ("unable to download: HTTP Error 429: Too Many Requests", "rate_limited"),
        ("[generic] x: Unable to download webpage: HTTP Error 503: Service Unavailable", "network"),
        ("[generic] x: Failed to resolve 'a.b' ([Errno -2] Name or service not known)", "network"),
        ("[download] Got error: Read timed out.", "network"),
        ("[download] Got error: 10 bytes read, 90 more expected", "network"),
        ("Service temporarily unavailable", "network"),
        ("Unsupported URL: https://example.org/private/login/404", "not_video"),
        ("[site] private: No video formats found!", "not_video"),
        ("[generic] x: Requested format is not available. Use --list-formats", "not_video"),
        ("[site] x: This video is DRM protected", "not_video"),
        ("[youtube] x: This live event will begin in 3 hours.", "not_video"),
        ("[youtube] x: Premieres in 2 hours", "not_video"),
        ("Postprocessing: Error opening input: Invalid data found when processing input", "corrupt"),
        ("[site] x: Unable to extract player version; please report this issue", "internal"),
    ],
)
def test_each_message_has_its_class(message: str, class_: str) -> None:
    assert classify(f"ERROR: {message}").class_ == class_


@pytest.mark.parametrize(
    ("message", "transient"),
    [
        ("HTTP Error 503: Service Unavailable", True),
        ("HTTP Error 429: Too Many Requests", True),
        ("Read timed out", True),
        ("HTTP Error 404: Not Found", False),
        ("HTTP Error 400: Bad Request", False),
        ("CERTIFICATE_VERIFY_FAILED", False),
        ("Private video", False),
    ],
)
def test_only_errors_that_may_pass_are_transient(message: str, transient: bool) -> None:
    assert classify(message).transient is transient


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after_seconds("7", now=0) == 7
    assert retry_after_seconds("Thu, 01 Jan 1970 00:01:40 GMT", now=40) == 60
    assert retry_after_seconds("Thu, 01 Jan 1970 00:00:00 GMT", now=40) == 0
    assert retry_after_seconds("soon", now=0) is None
    assert retry_after_seconds(None, now=0) is None
