"""A real HTTP server on loopback that serves videos, well and badly, to the downloader under test.

The path decides what happens: ``/plain.mp4``, ``/page.html`` (a page with ``<video>`` and ``<track>``),
``/hls/index.m3u8``, ``/status/404``, ``/busy/2/plain.mp4`` (429 twice, then the file), ``/stall.mp4``, ``/drip.mp4``,
``/truncated.mp4``, ``/cut/plain.mp4`` (closes the connection once in the middle), ``/nothing.html``,
``/to?url=…`` (a redirect), …
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from support.fake_llm import Server
from support.waiting import PATIENCE

from runtime.processes import ffmpeg_binary, run

VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nA red ball rolls.\n"
TYPES = {".mp4": "video/mp4", ".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".vtt": "text/vtt"}


class VideoServer:
    """A running server, and the requests that it received."""

    def __init__(self, folder: Path, *, listening: bool = True) -> None:
        self.folder = folder
        self.requests: list[tuple[float, str, dict[str, str]]] = []
        """Unix time, path and headers of each request."""
        self.visits: Counter[str] = Counter()
        self.closing = threading.Event()
        self.walled = False
        """While True, everything under ``/wall/`` is refused; otherwise it is ``plain.mp4``."""
        self._http = Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": self}), bind_and_activate=False)
        self._http.server_bind()
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        if listening:
            self.listen()

    def listen(self) -> None:
        """Accept connections from now on; earlier ones are refused."""
        self._http.server_activate()
        self._thread.start()

    @property
    def host(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self._http.server_port}"

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://{self.host}/{path.lstrip('/')}"

    def paths(self) -> list[str]:
        """Return the paths of all requests, in order."""
        return [path for _, path, _ in self.requests]

    def close(self) -> None:
        """Stop the server."""
        self.closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
        self._http.server_close()


@contextlib.contextmanager
def video_server(folder: Path, *, listening: bool = True) -> Iterator[VideoServer]:
    """Serve `folder` (see `make_videos`) until the block ends; without `listening` connections are refused at first."""
    server = VideoServer(folder, listening=listening)
    try:
        yield server
    finally:
        server.close()


def make_videos(folder: Path) -> Path:
    """Write the files to serve: two seconds of moving picture with a tone, in several forms."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / "plain.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15:duration=2"]
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2"]
    _ffmpeg(*picture, *sound, "-c:v", "libx264", "-preset", "ultrafast", "-g", "15", "-pix_fmt", "yuv420p", str(plain))
    _ffmpeg("-i", str(plain), "-map", "0:v", "-c", "copy", str(folder / "picture.mp4"))
    _ffmpeg("-i", str(plain), "-map", "0:a", "-c", "copy", str(folder / "sound.m4a"))
    (folder / "hls").mkdir(exist_ok=True)
    hls = ["-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"]
    _ffmpeg("-i", str(plain), "-c", "copy", *hls, str(folder / "hls" / "index.m3u8"))
    apart = ["-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8"]
    apart += ["-var_stream_map", "v:0,agroup:sound a:0,agroup:sound"]
    _ffmpeg("-i", str(plain), "-map", "0", "-c", "copy", *apart, str(folder / "hls" / "apart%v.m3u8"))
    (folder / "words.vtt").write_text(VTT)
    return folder


def free_port() -> int:
    """Return a free loopback port, for a process that can't choose one itself.

    Another process may take it first, so the caller must be ready to try again.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Hold a loopback port that refuses connections until the block ends: it is bound, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def _ffmpeg(*args: str) -> None:
    run([ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *args], timeout=PATIENCE)


class _Handler(BaseHTTPRequestHandler):
    site: VideoServer
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing; tests read `VideoServer.requests`."""

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def _answer(self, head: bool) -> None:
        self.site.requests.append((time.time(), self.path, dict(self.headers)))
        self.site.visits[self.path] += 1
        parts = urlsplit(self.path)
        path, query = parts.path, parse_qs(parts.query)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if path.startswith("/status/"):
                self._send(int(path.split("/")[2]), b"no", "text/plain", head)
            elif path.startswith("/busy/"):
                self._busy(path, head)
            elif path == "/to" or path.startswith("/to/"):
                self._redirect(query["url"][0])
            elif path in _PAGES:
                page = _PAGES[path].replace("{host}", self.site.host)
                self._send(200, page.encode(), "text/html; charset=utf-8", head)
            elif path.startswith("/wall/"):
                if self.site.walled:
                    self._send(403, b"no", "text/plain", head)
                else:
                    self._file(self.site.folder / "plain.mp4", head)
            elif path in _LARGE:
                self._send(200, _LARGE[path].encode(), "text/html; charset=utf-8", head)
            elif path in _BAD:
                getattr(self, _BAD[path])(head)
            elif path.startswith("/cut/"):
                self._cut(self.site.folder / path.removeprefix("/cut/"), head)
            else:
                self._file(self.site.folder / path.lstrip("/"), head)

    def _send(self, status: int, body: bytes, kind: str, head: bool, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def _file(self, path: Path, head: bool) -> None:
        if not path.is_file():
            self._send(404, b"no", "text/plain", head)
            return
        body = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        kind = TYPES.get(path.suffix, "application/octet-stream")
        if wanted is None:
            self._send(200, body, kind, head, Accept_Ranges="bytes")
            return
        first, last = int(wanted[1]), int(wanted[2] or len(body) - 1)
        if first >= len(body):
            self._send(416, b"", kind, head, Content_Range=f"bytes */{len(body)}")
            return
        span = f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}"
        self._send(206, body[first : last + 1], kind, head, Content_Range=span)

    def _busy(self, path: str, head: bool) -> None:
        """Answer ``/busy/<times>/<file>`` with 429 that many times, then with the file."""
        times, _, name = path.removeprefix("/busy/").partition("/")
        if self.site.visits[self.path] <= int(times):
            self._send(429, b"slow", "text/plain", head, Retry_After="1")
        else:
            self._file(self.site.folder / name, head)

    def _redirect(self, url: str) -> None:
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _begin(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _truncated(self, head: bool) -> None:
        body = (self.site.folder / "plain.mp4").read_bytes()
        self._begin(len(body) + 5000)
        if not head:
            self.wfile.write(body)

    def _cut(self, path: Path, head: bool) -> None:
        """Send half of a file; answer requests for a range normally."""
        body = path.read_bytes()
        if head or "Range" in self.headers:
            self._file(path, head)
            return
        self._begin(len(body))
        self.wfile.write(body[: len(body) // 2])

    def _stall(self, head: bool) -> None:
        """Send some bytes, then nothing."""
        self._begin(1_000_000)
        if not head:
            self.wfile.write((self.site.folder / "plain.mp4").read_bytes()[:4000])
            self.wfile.flush()
            self.site.closing.wait(60)

    def _drip(self, head: bool) -> None:
        """Send a few bytes again and again, so that no socket times out."""
        self._begin(1_000_000)
        if not head:
            self.wfile.write((self.site.folder / "plain.mp4").read_bytes()[:4000])
            while not self.site.closing.wait(0.1):
                self.wfile.write(b"\0")
                self.wfile.flush()

    def _endless(self, head: bool) -> None:
        """Send a video of unknown length that never ends."""
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        body = (self.site.folder / "plain.mp4").read_bytes()
        while not head and not self.site.closing.is_set():
            self.wfile.write(body)

    def _endless_page(self, head: bool) -> None:
        """Send a page that never ends."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while not head and not self.site.closing.is_set():
            self.wfile.write(b"<p>word</p>" * 10_000)

    def _bomb(self, head: bool) -> None:
        """Send a page of a few megabytes that unpacks to gigabytes."""
        packer = zlib.compressobj(9, wbits=31)
        pieces = [b"<html>", *([b" " * (1 << 24)] * 32)]
        body = b"".join(map(packer.compress, pieces)) + packer.flush()
        self._send(200, body, "text/html", head, Content_Encoding="gzip")


_BAD = {
    "/truncated.mp4": "_truncated",
    "/stall.mp4": "_stall",
    "/drip.mp4": "_drip",
    "/endless.mp4": "_endless",
    "/endless.html": "_endless_page",
    "/bomb.html": "_bomb",
}
_MANY = 200_000
_LARGE = {
    "/many.html": "<html><title>M</title>" + '<video src="/plain.mp4"></video>' * _MANY,
    "/frames.html": '<iframe src="https://www.youtube.com/embed/abcdefghijk"></iframe>' * 2000,
    "/feed.xml": "<rss><channel>" + "<item><link>http://a/a.mp4</link></item>" * 2000 + "</channel></rss>",
    "/episodes.xml": '<?xml version="1.0"?><rss version="2.0"><channel><title>Episodes</title>'
    + "".join(f"<item><title>{n}</title><link>http://a.example/{n}.mp4</link></item>" for n in range(5))
    + "</channel></rss>",
    "/many.m3u8": "#EXTM3U\n" + "#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n" * 2000,
    "/slow.html": "<html><title>S</title>" + "<p class=" * 400_000,
}
_PAGES = {
    "/page.html": """<html><head><title>A ball &amp; a dog</title></head><body>
        <video controls><source src="/plain.mp4" type="video/mp4">
        <track kind="subtitles" src="/words.vtt" srclang="en" label="English"></video></body></html>""",
    "/missing-track.html": """<html><title>One</title><video src="/plain.mp4">
        <track kind="subtitles" src="/status/404" srclang="en"></video></html>""",
    "/two.html": """<html><title>Two</title>
        <video src="/plain.mp4"></video><video src="/picture.mp4"></video></html>""",
    "/inside.html": """<html><title>Inside</title><video src="http://10.9.8.7/secret.mp4"></video></html>""",
    "/nothing.html": "<html><title>Words</title><body><p>No picture moves here.</p></body></html>",
}
