"""The downloader against a real HTTP server on loopback: every failure has its class."""

import json
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import av
import pytest
from support.downloads import Fetcher, quick_settings
from support.video_server import VTT, VideoServer, closed_port

from curation.media.download.downloader import download, javascript_runtime
from curation.sources.ledger import SourceFiltered
from runtime.errors import MachineError

pytestmark = pytest.mark.slow


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return sorted(stream.type for stream in container.streams)


def test_a_plain_file_arrives_whole(fetch: Fetcher, site: VideoServer, videos: Path) -> None:
    got = fetch(site.url("plain.mp4"))
    assert got.path.read_bytes() == (videos / "plain.mp4").read_bytes()
    assert got.metadata.webpage_url == site.url("plain.mp4")
    assert got.tracks == ()


def test_credentials_in_a_redirect_are_not_stored(fetch: Fetcher, site: VideoServer) -> None:
    secret = quote(site.url("plain.mp4").replace("://", "://me:hunter2@"), safe="")
    got = fetch(site.url(f"to?url={secret}"))
    assert got.path.stat().st_size > 0
    assert "hunter2" not in repr(got.metadata).replace(secret, "")
    assert got.metadata.webpage_url is not None and "@" not in got.metadata.webpage_url


def test_a_page_gives_its_video_its_title_and_its_subtitles(fetch: Fetcher, site: VideoServer) -> None:
    got = fetch(site.url("page.html"))
    assert streams(got.path) == ["audio", "video"]
    assert "A ball & a dog" in (got.metadata.title or "")
    (track,) = got.tracks
    assert (track.language, track.kind, track.format) == ("en", "manual", "vtt")
    assert track.path.read_text() == VTT


def test_subtitles_in_other_languages_are_not_downloaded(fetch: Fetcher, site: VideoServer) -> None:
    assert fetch(site.url("page.html"), languages=["de"]).tracks == ()
    assert "/words.vtt" not in site.paths()


def test_hls_segments_are_merged(fetch: Fetcher, site: VideoServer) -> None:
    got = fetch(site.url("hls/index.m3u8"))
    assert streams(got.path) == ["audio", "video"]
    assert got.metadata.duration == pytest.approx(2, abs=0.2)


def test_separate_video_and_audio_are_merged(fetch: Fetcher, site: VideoServer) -> None:
    got = fetch(site.url("hls/master.m3u8"))
    assert got.path.suffix == ".mkv"
    assert streams(got.path) == ["audio", "video"]


def test_a_busy_site_is_tried_again_after_the_time_it_asks_for(fetch: Fetcher, site: VideoServer) -> None:
    assert fetch(site.url("busy/1/plain.mp4"), retries=1).path.is_file()
    first, second = [when for when, path, _ in site.requests if path.startswith("/busy/")][:2]
    assert second - first >= 1.0


def test_an_interrupted_download_is_resumed(fetch: Fetcher, site: VideoServer, videos: Path) -> None:
    got = fetch(site.url("cut/plain.mp4"), retries=2)
    assert got.path.read_bytes() == (videos / "plain.mp4").read_bytes()
    assert any("Range" in headers for _, _, headers in site.requests)


def test_a_missing_subtitle_does_not_fail_the_video(fetch: Fetcher, site: VideoServer) -> None:
    got = fetch(site.url("missing-track.html"), retries=3)
    assert got.tracks == ()
    assert site.visits["/missing-track.html"] == 1


@pytest.mark.parametrize(
    ("path", "class_"),
    [
        ("status/403", "bot_check"),
        ("status/404", "removed"),
        ("status/503", "network"),
        ("nothing.html", "not_video"),
        ("two.html", "not_video"),
    ],
)
def test_each_failure_has_its_class(fetch: Fetcher, site: VideoServer, path: str, class_: str) -> None:
    assert fetch.failure(site.url(path)).class_ == class_


def test_a_site_that_stays_busy_is_rate_limited(fetch: Fetcher, site: VideoServer) -> None:
    assert fetch.failure(site.url("busy/9/plain.mp4"), retries=1).class_ == "rate_limited"
    assert site.visits["/busy/9/plain.mp4"] == 2


def test_a_removed_video_is_not_tried_again(fetch: Fetcher, site: VideoServer) -> None:
    fetch.failure(site.url("status/410"), retries=3)
    assert site.visits["/status/410"] == 1


def test_a_truncated_file_fails_as_network(fetch: Fetcher, site: VideoServer) -> None:
    failed = fetch.failure(site.url("truncated.mp4"))
    assert failed.class_ == "network"
    assert "more expected" in failed.message


def test_a_silent_server_ends_with_the_socket_timeout(fetch: Fetcher, site: VideoServer) -> None:
    failed = fetch.failure(site.url("stall.mp4"), socket_timeout=1)
    assert (failed.class_, "timed out" in failed.message) == ("network", True)


def test_a_server_that_drips_bytes_is_a_stall(fetch: Fetcher, site: VideoServer) -> None:
    failed = fetch.failure(site.url("drip.mp4"), stall_seconds=4)
    assert (failed.class_, "less than 4000 bytes in 4 s" in failed.message) == ("network", True)


def test_the_time_limit_ends_a_download_that_still_receives_bytes(fetch: Fetcher, site: VideoServer) -> None:
    failed = fetch.failure(site.url("drip.mp4"), time_limit=4, retries=5)
    assert (failed.class_, "time_limit" in failed.message) == ("network", True)
    assert site.visits["/drip.mp4"] <= 2, "one look at it and one download: no second attempt"


def test_a_refused_connection_fails_as_network(fetch: Fetcher) -> None:
    with closed_port() as port:
        assert fetch.failure(f"http://127.0.0.1:{port}/x.mp4").class_ == "network"


def test_a_file_of_unknown_length_is_stopped_at_the_size_limit(fetch: Fetcher, site: VideoServer) -> None:
    with pytest.raises(SourceFiltered) as filtered:
        fetch(site.url("endless.mp4"), max_bytes=1_000_000)
    assert filtered.value.class_ == "too_long"


def test_no_segment_of_a_too_long_video_is_downloaded(fetch: Fetcher, site: VideoServer) -> None:
    with pytest.raises(SourceFiltered) as filtered:
        fetch(site.url("hls/index.m3u8"), max_duration=1)
    assert filtered.value.class_ == "too_long"
    assert not any(path.endswith(".ts") for path in site.paths())


def test_a_playlist_that_names_local_files_is_not_read_as_audio(
    fetch: Fetcher, site: VideoServer, videos: Path
) -> None:
    secret = videos / "hls" / "secret.txt"
    secret.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    evil = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.txt\n#EXT-X-ENDLIST\n"
    (videos / "hls" / "evil.m3u8").write_text(evil)
    master = (videos / "hls" / "master.m3u8").read_text().replace("apart1.m3u8", "evil.m3u8")
    (videos / "hls" / "evil-master.m3u8").write_text(master)
    assert fetch.failure(site.url("hls/evil-master.m3u8")).class_ == "corrupt"


def test_a_full_disk_is_a_fault_of_the_machine(
    site: VideoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "curation.media.download.fetch_attempt.run", lambda *_, **__: _outcome(tmp_path, machine="disk full")
    )
    with pytest.raises(MachineError, match="disk full"):
        download(site.url("plain.mp4"), quick_settings(), tmp_path)


def _outcome(scratch: Path, **fields: object) -> SimpleNamespace:
    (scratch / "outcome.json").write_text(json.dumps(fields))
    return SimpleNamespace(returncode=0, stderr="")


def test_a_cookies_file_is_sent_and_not_written_to(fetch: Fetcher, site: VideoServer, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\ttoken\tabc\n")
    before = cookies.read_bytes()
    fetch(site.url("plain.mp4"), yt_dlp={"cookies": str(cookies)})
    assert site.requests[0][2]["Cookie"] == "token=abc"
    assert cookies.read_bytes() == before


def test_no_failure_message_has_a_secret(fetch: Fetcher) -> None:
    with closed_port() as port:
        proxy = f"http://me:hunter2@127.0.0.1:{port}"
        failed = fetch.failure("http://example.org/x.mp4", yt_dlp={"proxy": proxy})
    assert failed.class_ == "network"
    assert "hunter2" not in failed.message


def test_a_javascript_runtime_is_named_if_yt_dlp_supports_it() -> None:
    found = javascript_runtime()
    assert found is None or found.split()[0] in ("deno", "node", "bun", "quickjs", "quickjs-ng")
