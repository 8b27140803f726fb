"""The downloader against a real HTTP server on loopback: every end has its class."""

import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from support.video_server import VTT, VideoServer, closed_port, make_videos, video_server
from support.waiting import PATIENCE

from curation.media.download.address_guard import PrivateAddress, check_host, is_permitted, is_public, parse_network
from curation.media.download.download_errors import classify, retry_after_seconds
from curation.media.download.download_settings import DownloadSettings, redact
from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.download.downloader import check_options, download, javascript_runtime
from curation.media.download.host_pacing import host_slot, postpone
from curation.media.download.local_videos import open_local
from curation.media.download.site_subtitles import choose_subtitles
from curation.media.download.stall_watch import StallWatch
from curation.sources.ledger import SourceFailed, SourceFiltered
from runtime.errors import MachineError, UserError
from runtime.settings import build


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    return make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def site(videos) -> Iterator[VideoServer]:
    with video_server(videos) as server:
        yield server


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def settings(**changes) -> DownloadSettings:
    """Loopback allowed, no pause, no second attempt; the rest as it comes."""
    quick = {"allow_private_addresses": ["127.0.0.0/8"], "host_interval": 0, "retries": 0, "backoff": 0.1}
    return DownloadSettings(**(quick | changes))


@pytest.fixture
def fetch(tmp_path):
    """DownloadedVideo a URL into a scratch folder of its own."""

    def fetch(url: str, **changes) -> DownloadedVideo:
        scratch = tmp_path / f"scratch{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        return download(url, settings(**changes), scratch)

    return fetch


def failure(fetch, url: str, **changes) -> SourceFailed:
    with pytest.raises(SourceFailed) as error:
        fetch(url, **changes)
    return error.value


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return sorted(stream.type for stream in container.streams)


class TestVideos:
    def test_a_plain_file_arrives_whole(self, fetch, site, videos):
        got = fetch(site.url("plain.mp4"))
        assert got.path.read_bytes() == (videos / "plain.mp4").read_bytes()
        assert got.metadata.webpage_url == site.url("plain.mp4")
        assert got.tracks == ()

    def test_a_page_gives_its_video_its_title_and_its_subtitles(self, fetch, site):
        got = fetch(site.url("page.html"))
        assert streams(got.path) == ["audio", "video"]
        assert "A ball & a dog" in got.metadata.title
        (track,) = got.tracks
        assert (track.language, track.kind, track.format) == ("en", "manual", "vtt")
        assert track.path.read_text() == VTT

    def test_subtitles_of_other_languages_are_left_where_they_are(self, fetch, site):
        assert fetch(site.url("page.html"), languages=["de"]).tracks == ()
        assert "/words.vtt" not in site.paths()

    def test_hls_is_put_together_from_its_segments(self, fetch, site):
        got = fetch(site.url("hls/index.m3u8"))
        assert streams(got.path) == ["audio", "video"]
        assert got.metadata.duration == pytest.approx(2, abs=0.2)

    def test_picture_and_sound_that_come_apart_are_joined(self, fetch, site):
        got = fetch(site.url("hls/master.m3u8"))
        assert got.path.suffix == ".mkv"
        assert streams(got.path) == ["audio", "video"]

    def test_a_busy_site_is_asked_again_after_the_time_it_names(self, fetch, site):
        assert fetch(site.url("busy/1/plain.mp4"), retries=1).path.is_file()
        (first, _, _), (second, _, _) = site.requests[:2]
        assert second - first >= 1

    def test_a_download_that_breaks_off_goes_on_where_it_was(self, fetch, site, videos):
        got = fetch(site.url("cut/plain.mp4"), retries=2)
        assert got.path.read_bytes() == (videos / "plain.mp4").read_bytes()
        assert any("Range" in headers for _, _, headers in site.requests)

    def test_a_subtitle_that_is_missing_does_not_cost_the_video(self, fetch, site):
        got = fetch(site.url("missing-track.html"), retries=3)
        assert got.tracks == ()
        assert site.visits["/missing-track.html"] == 1


class TestFailures:
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
    def test_each_ends_in_its_class(self, fetch, site, path, class_):
        assert failure(fetch, site.url(path)).class_ == class_

    def test_a_site_that_stays_busy_is_rate_limited(self, fetch, site):
        assert failure(fetch, site.url("busy/9/plain.mp4"), retries=1).class_ == "rate_limited"
        assert site.visits["/busy/9/plain.mp4"] == 2

    def test_what_is_gone_is_not_asked_for_again(self, fetch, site):
        failure(fetch, site.url("status/410"), retries=3)
        assert site.visits["/status/410"] == 1

    def test_a_truncated_file_is_noticed(self, fetch, site):
        failed = failure(fetch, site.url("truncated.mp4"))
        assert failed.class_ == "network"
        assert "more expected" in failed.message

    def test_silence_ends_with_the_socket_timeout(self, fetch, site):
        failed = failure(fetch, site.url("stall.mp4"), socket_timeout=1)
        assert (failed.class_, "timed out" in failed.message) == ("network", True)

    def test_a_server_that_drips_bytes_is_left(self, fetch, site):
        failed = failure(fetch, site.url("drip.mp4"), stall_seconds=4)
        assert (failed.class_, "less than 4000 bytes in 4 s" in failed.message) == ("network", True)

    def test_the_time_limit_holds_whatever_happens(self, fetch, site):
        failed = failure(fetch, site.url("drip.mp4"), time_limit=4, retries=5)
        assert (failed.class_, "time_limit" in failed.message) == ("network", True)
        assert site.visits["/drip.mp4"] <= 2, "one look at it and one download: no second attempt"

    def test_nobody_listening_is_network(self, fetch):
        with closed_port() as port:
            assert failure(fetch, f"http://127.0.0.1:{port}/x.mp4").class_ == "network"

    def test_a_file_of_no_known_length_is_stopped_at_the_size_limit(self, fetch, site):
        with pytest.raises(SourceFiltered) as filtered:
            fetch(site.url("endless.mp4"), max_bytes=1_000_000)
        assert filtered.value.class_ == "too_long"

    def test_a_long_video_is_not_even_begun(self, fetch, site):
        with pytest.raises(SourceFiltered) as filtered:
            fetch(site.url("hls/index.m3u8"), max_duration=1)
        assert filtered.value.class_ == "too_long"
        assert not any(path.endswith(".ts") for path in site.paths())

    def test_a_playlist_that_names_local_files_is_not_read_as_sound(self, fetch, site, videos):
        secret = videos / "hls" / "secret.txt"
        secret.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
        evil = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.txt\n#EXT-X-ENDLIST\n"
        (videos / "hls" / "evil.m3u8").write_text(evil)
        master = (videos / "hls" / "master.m3u8").read_text().replace("apart1.m3u8", "evil.m3u8")
        (videos / "hls" / "evil-master.m3u8").write_text(master)
        assert failure(fetch, site.url("hls/evil-master.m3u8")).class_ == "corrupt"

    def test_a_full_disk_is_the_machines_fault(self, site, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "curation.media.download.downloader.run", lambda *_, **__: _outcome(tmp_path, machine="disk full")
        )
        with pytest.raises(MachineError, match="disk full"):
            download(site.url("plain.mp4"), settings(), tmp_path)


def _outcome(scratch: Path, **fields) -> SimpleNamespace:
    (scratch / "outcome.json").write_text(json.dumps(fields))
    return SimpleNamespace(returncode=0, stderr="")


class TestPrivateAddresses:
    @pytest.mark.parametrize("address", ["169.254.169.254", "[::ffff:192.168.1.1]"])
    def test_a_redirect_inside_is_refused(self, fetch, site, address):
        failed = failure(fetch, site.url(f"to?url=http://{address}/x.mp4"), retries=3)
        assert (failed.class_, "private address" in failed.message) == ("network", True)
        assert len(site.requests) == 1

    def test_a_media_url_inside_is_refused(self, fetch, site):
        assert "10.9.8.7 is a private address" in failure(fetch, site.url("inside.html")).message

    def test_loopback_itself_is_refused_unless_allowed_by_number_and_by_name(self, fetch, site):
        port = site.host.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost"):
            failed = failure(fetch, f"http://{host}:{port}/plain.mp4", allow_private_addresses=False)
            assert "is a private address" in failed.message
        assert site.requests == []

    def test_all_may_be_allowed(self, fetch, site):
        assert fetch(site.url("plain.mp4"), allow_private_addresses=True).path.is_file()

    def test_a_redirect_to_a_file_is_refused(self, fetch, site):
        assert failure(fetch, site.url("to?url=file:///etc/passwd")).class_ == "network"

    def test_a_proxy_is_used_and_not_taken_for_a_private_address(self, fetch, site):
        url = "http://198.51.100.7.invalid/plain.mp4"
        got = fetch(url, yt_dlp={"proxy": f"http://{site.host}"}, allow_private_addresses=[])
        assert got.path.is_file()
        assert site.paths()[0] == url

    @pytest.mark.parametrize("target", ["http://localhost/x.mp4", "https://10.1.2.3/x.mp4"])
    def test_a_proxy_is_not_asked_for_what_is_inside(self, fetch, site, target):
        failed = failure(fetch, target, yt_dlp={"proxy": f"http://{site.host}"}, allow_private_addresses=[])
        assert "is a private address" in failed.message
        assert site.requests == []

    @pytest.mark.parametrize(
        ("address", "public"),
        [
            ("8.8.8.8", True),
            ("2606:4700::1111", True),
            ("100.64.0.1", False),
            ("0.0.0.0", False),
            ("224.0.0.1", False),
            ("fe80::1%eth0", False),
            ("::ffff:10.0.0.1", False),
            ("::ffff:8.8.8.8", True),
            ("64:ff9b::a00:1", False),
            ("2002:a00:1::", False),
            ("not-a-number", False),
        ],
    )
    def test_what_is_public(self, address, public):
        assert is_permitted(address, []) is public

    def test_a_wrapped_address_is_allowed_with_what_it_wraps(self):
        assert is_permitted("::ffff:10.0.0.1", [parse_network("10.0.0.0/8")])
        assert not is_permitted("::ffff:10.0.0.1", [parse_network("192.168.0.0/16")])

    def test_a_name_is_checked_by_what_it_resolves_to(self):
        with pytest.raises(PrivateAddress, match=r"localhost \(.*private"):
            check_host("localhost", [])
        check_host("localhost", [parse_network("127.0.0.0/8"), parse_network("::1/128")])

    def test_the_guard_sees_every_way_to_connect_and_children_that_would(self):
        context = multiprocessing.get_context("spawn")
        answers = context.Queue()
        process = context.Process(target=_try_everything, args=(answers,))
        process.start()
        refused = answers.get(timeout=PATIENCE)
        process.join()
        assert refused == {"connect": True, "by name": True, "udp": True, "ffmpeg": True, "local ffmpeg": False}


def _try_everything(answers) -> None:
    import subprocess
    import sys

    from curation.media.download.address_guard import guard_connections

    guard_connections([])
    ways = {
        "connect": lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
        "by name": lambda: socket.socket().connect(("localhost", 9)),
        "udp": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9)),
        "ffmpeg": lambda: subprocess.run([sys.executable, "-c", "", "https://example.org/"], check=True),
        "local ffmpeg": lambda: subprocess.run([sys.executable, "-c", "", "file:///x"], check=True),
    }
    refused = {}
    for name, way in ways.items():
        try:
            way()
            refused[name] = False
        except PrivateAddress:
            refused[name] = True
    answers.put(refused)


class TestLocalFiles:
    def test_a_file_stays_where_it_is_with_the_subtitles_beside_it(self, tmp_path):
        video = tmp_path / "my film.mp4"
        for name in (
            "my film.mp4",
            "my film.vtt",
            "my film.en.srt",
            "my film.pt-BR.auto.json3",
            "my film 2.vtt",
            "a.vtt",
        ):
            (tmp_path / name).write_text("x")
        got = download(str(video), settings(), tmp_path)
        assert got.path == video
        found = {(t.path.name, t.language, t.kind, t.format) for t in got.tracks}
        assert found == {
            ("my film.vtt", None, "manual", "vtt"),
            ("my film.en.srt", "en", "manual", "srt"),
            ("my film.pt-BR.auto.json3", "pt-BR", "auto", "json3"),
        }
        assert got.metadata.title == "my film"

    def test_a_file_that_is_gone_is_removed(self, tmp_path):
        with pytest.raises(SourceFailed) as error:
            open_local(str(tmp_path / "gone.mp4"))
        assert error.value.class_ == "removed"


YOUTUBE_CAPTIONS = {
    "en-orig": [{"ext": "json3", "url": "https://y.t/api?lang=en"}, {"ext": "vtt", "url": "https://y.t/api?lang=en"}],
    "en": [{"ext": "vtt", "url": "https://y.t/api?lang=en"}],
    "de": [{"ext": "json3", "url": "https://y.t/api?lang=en&tlang=de"}],
}


class TestSubtitleChoice:
    def test_people_go_before_machines(self):
        manual = {"en-GB": [{"ext": "json3"}, {"ext": "vtt"}], "live_chat": [{"ext": "json"}]}
        chosen = choose_subtitles(manual, YOUTUBE_CAPTIONS, ["en"])
        assert chosen == {"en-GB": ("manual", {"ext": "vtt"})}

    def test_a_machines_captions_are_taken_once_and_with_word_times(self):
        chosen = choose_subtitles({}, YOUTUBE_CAPTIONS, ["en", "de"])
        assert {language: (kind, entry["ext"]) for language, (kind, entry) in chosen.items()} == {
            "en-orig": ("auto", "json3")
        }

    def test_no_language_named_means_all_that_are_not_translated(self):
        manual = {"fr": [{"ext": "srt"}], "es": [{"ext": "ass"}]}
        assert set(choose_subtitles(manual, YOUTUBE_CAPTIONS, [])) == {"fr", "en-orig"}

    def test_a_language_that_is_a_path_is_no_language(self):
        assert set(choose_subtitles({"../../x": [{"ext": "vtt"}]}, {}, [])) == {"und"}


class TestErrorTable:
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
    def test_each_message_has_its_class(self, message, class_):
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
    def test_only_what_may_pass_is_tried_again(self, message, transient):
        assert classify(message).transient is transient

    def test_retry_after_is_seconds_or_a_date(self):
        assert retry_after_seconds("7", now=0) == 7
        assert retry_after_seconds("Thu, 01 Jan 1970 00:01:40 GMT", now=40) == 60
        assert retry_after_seconds("Thu, 01 Jan 1970 00:00:00 GMT", now=40) == 0
        assert retry_after_seconds("soon", now=0) is None
        assert retry_after_seconds(None, now=0) is None


class TestSettings:
    def test_what_only_says_how_to_reach_a_site_is_no_content(self):
        plain = DownloadSettings()
        reached = {"proxy": "http://u:hunter2@p:1", "cookies": "c.txt", "username": "me", "add_headers": "Cookie:x"}
        assert DownloadSettings(yt_dlp=reached, retries=9, time_limit=1).content() == plain.content()
        assert DownloadSettings(yt_dlp={"prefer_free_formats": True}).content() != plain.content()
        assert DownloadSettings(height=720).content() != plain.content()

    def test_secrets_are_in_no_text_that_settings_give(self):
        own = settings(
            yt_dlp={"proxy": "http://u:hunter2@p:1", "password": "hunter3", "http_headers": {"Cookie": "s=hunter4"}}
        )
        texts = [repr(own), str(own), own.model_dump_json(), json.dumps(own.content())]
        texts.append(redact("at http://u:hunter2@p:1 with hunter3 and s=hunter4; http://x:hunter5@y/", own))
        assert not [text for text in texts if "hunter" in text]

    def test_a_secret_is_in_no_message(self, fetch):
        with closed_port() as port:
            proxy = f"http://me:hunter2@127.0.0.1:{port}"
            failed = failure(fetch, "http://example.org/x.mp4", yt_dlp={"proxy": proxy})
        assert failed.class_ == "network"
        assert "hunter2" not in failed.message

    @pytest.mark.parametrize("name", ["outtmpl", "format", "--retries", "exec", "external-downloader"])
    def test_what_is_ours_to_set_is_refused_with_the_remedy(self, name):
        with pytest.raises(UserError, match=rf"^download\.yt_dlp\.{name}: can't be set; "):
            build(DownloadSettings, {"yt_dlp": {name: "secret"}}, "download")

    def test_options_go_by_either_of_their_names(self, tmp_path):
        cookies = tmp_path / "cookies.txt"
        cookies.write_text("# Netscape HTTP Cookie File\n")
        check_options(settings(yt_dlp={"cookies": str(cookies), "sleep-requests": 1, "geo_bypass": False}))

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"cookeis": "x"}, r"yt_dlp\.cookeis: yt-dlp has no such option \(did you mean"),
            ({"concurrent-fragments": "hunter2"}, "does not accept this value"),
            ({"cookies": "/nowhere/cookies.txt"}, "no such file"),
        ],
    )
    def test_a_wrong_option_is_told_before_work_starts(self, options, said):
        with pytest.raises(UserError, match=said) as error:
            check_options(settings(yt_dlp=options))
        assert "hunter2" not in str(error.value)

    def test_a_cookies_file_is_sent_and_not_written_to(self, fetch, site, tmp_path):
        cookies = tmp_path / "cookies.txt"
        cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\ttoken\tabc\n")
        before = cookies.read_bytes()
        fetch(site.url("plain.mp4"), yt_dlp={"cookies": str(cookies)})
        assert site.requests[0][2]["Cookie"] == "token=abc"
        assert cookies.read_bytes() == before

    def test_a_bad_network_is_refused(self):
        with pytest.raises(UserError, match="allow_private_addresses"):
            build(DownloadSettings, {"allow_private_addresses": ["10.0.0.0/99"]}, "download")

    def test_a_javascript_runtime_is_named_where_yt_dlp_can_use_it(self):
        found = javascript_runtime()
        assert found is None or found.split()[0] in ("deno", "node", "bun", "quickjs", "quickjs-ng")


class TestPacing:
    def test_starts_at_a_host_are_apart(self, tmp_path):
        before, starts = time.time(), []

        def visit() -> None:
            with host_slot("a", tmp_path, interval=0.3, slots=9):
                starts.append(time.time())

        _together([visit] * 3)
        assert [start - before >= 0.3 * n for n, start in enumerate(sorted(starts))] == [True] * 3

    def test_no_more_than_its_places_are_taken_at_a_host(self, tmp_path):
        most, inside, lock, two = 0, 0, threading.Lock(), threading.Barrier(2, timeout=PATIENCE)

        def visit() -> None:
            nonlocal most, inside
            with host_slot("a", tmp_path, interval=0, slots=2):
                with lock:
                    inside += 1
                    most = max(most, inside)
                two.wait()
                time.sleep(0.1)
                with lock:
                    inside -= 1

        _together([visit] * 6)
        assert most == 2

    def test_a_host_that_asked_for_patience_has_it(self, tmp_path):
        before = time.time()
        postpone("a", tmp_path, 0.4)
        with host_slot("a", tmp_path, interval=0, slots=1):
            assert time.time() - before >= 0.4

    def test_hosts_don_t_wait_for_each_other(self, tmp_path):
        postpone("a", tmp_path, 3600)
        with host_slot("b", tmp_path, interval=3600, slots=1), host_slot("c", tmp_path, interval=3600, slots=1):
            pass


def _together(jobs) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


class TestStall:
    def test_a_watch_calls_when_too_little_comes(self):
        called = threading.Event()
        watch = StallWatch(0.3, 1000, lambda _: called.set())
        watch.suspend(False)
        for size in range(1, 20):
            watch.arrived("x", size)
            time.sleep(0.03)
        assert called.wait(PATIENCE)

    def test_a_watch_is_quiet_while_enough_comes_or_work_is_local(self, monkeypatch):
        now, looks = [0.0], threading.Semaphore(0)

        def look(seconds: float) -> None:
            looks.release()
            time.sleep(0.001)

        monkeypatch.setattr(
            "curation.media.download.stall_watch.time", SimpleNamespace(monotonic=lambda: now[0], sleep=look)
        )
        called = threading.Event()
        watch = StallWatch(30.0, 1000, lambda _: called.set())

        def pass_(seconds: float) -> None:
            now[0] += seconds
            for _ in range(2):  # a look that began before the clock went on does not count
                assert looks.acquire(timeout=PATIENCE) or called.is_set()
            while looks.acquire(blocking=False):
                pass

        pass_(1000)
        watch.suspend(False)
        for size in range(1, 5):
            pass_(20)
            watch.arrived("x", size * 40_000)
        watch.suspend(True)
        pass_(1000)
        assert not called.is_set()
        watch.suspend(False)
        now[0] += 31
        assert called.wait(PATIENCE), "the watch was awake"

    def test_a_watch_that_looks_while_long_local_work_ends_is_quiet(self, monkeypatch):
        now, me = [0.0], threading.current_thread()

        def monotonic() -> float:
            if threading.current_thread() is me:
                time.sleep(0.05)  # time for many looks
            return now[0]

        monkeypatch.setattr(
            "curation.media.download.stall_watch.time", SimpleNamespace(monotonic=monotonic, sleep=lambda _: None)
        )
        called = threading.Event()
        watch = StallWatch(30.0, 1000, lambda _: called.set())
        now[0] += 1000
        watch.suspend(False)
        watch.suspend(True)
        assert not called.is_set()


def test_public_addresses_are_told_from_the_rest_by_the_standard_library():
    import ipaddress

    assert is_public(ipaddress.ip_address("1.1.1.1"))
    assert not is_public(ipaddress.ip_address("192.0.2.1"))
