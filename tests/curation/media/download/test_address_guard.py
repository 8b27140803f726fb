"""Private addresses are refused: in redirects, in media URLs, behind proxies, and by every library."""

import ipaddress
import multiprocessing
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.downloads import Fetcher
from support.video_server import VideoServer
from support.waiting import PATIENCE

from curation.sources.address_guard import (
    PrivateAddress,
    check_host,
    guard_connections,
    is_permitted,
    is_public,
    parse_network,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("address", ["169.254.169.254", "[::ffff:192.168.1.1]"])
def test_a_redirect_to_a_private_address_is_refused(fetch: Fetcher, site: VideoServer, address: str) -> None:
    failed = fetch.failure(site.url(f"to?url=http://{address}/x.mp4"), retries=3)
    assert (failed.class_, "private address" in failed.message) == ("network", True)
    assert len(site.requests) == 1


def test_a_media_url_with_a_private_address_is_refused(fetch: Fetcher, site: VideoServer) -> None:
    assert "10.9.8.7 is a private address" in fetch.failure(site.url("inside.html")).message


def test_loopback_is_refused_by_number_and_by_name_unless_allowed(fetch: Fetcher, site: VideoServer) -> None:
    port = site.host.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost"):
        failed = fetch.failure(f"http://{host}:{port}/plain.mp4", allow_private_addresses=False)
        assert "is a private address" in failed.message
    assert site.requests == []


def test_all_addresses_can_be_allowed(fetch: Fetcher, site: VideoServer) -> None:
    assert fetch(site.url("plain.mp4"), allow_private_addresses=True).path.is_file()


def test_a_redirect_to_a_file_is_refused(fetch: Fetcher, site: VideoServer) -> None:
    assert fetch.failure(site.url("to?url=file:///etc/passwd")).class_ == "network"


def test_a_proxy_is_used_and_not_taken_for_a_private_address(fetch: Fetcher, site: VideoServer) -> None:
    url = "http://198.51.100.7.invalid/plain.mp4"
    got = fetch(url, yt_dlp={"proxy": f"http://{site.host}"}, allow_private_addresses=[])
    assert got.path.is_file()
    assert site.paths()[0] == url


@pytest.mark.parametrize("target", ["http://localhost/x.mp4", "https://10.1.2.3/x.mp4"])
def test_a_private_host_is_not_requested_from_a_proxy(fetch: Fetcher, site: VideoServer, target: str) -> None:
    failed = fetch.failure(target, yt_dlp={"proxy": f"http://{site.host}"}, allow_private_addresses=[])
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
def test_only_public_addresses_are_permitted_by_default(address: str, public: bool) -> None:
    assert is_permitted(address, []) is public


def test_a_wrapped_address_is_permitted_if_the_wrapped_one_is() -> None:
    assert is_permitted("::ffff:10.0.0.1", [parse_network("10.0.0.0/8")])
    assert not is_permitted("::ffff:10.0.0.1", [parse_network("192.168.0.0/16")])


def test_a_name_is_checked_by_the_addresses_it_resolves_to() -> None:
    with pytest.raises(PrivateAddress, match=r"localhost \(.*private"):
        check_host("localhost", [])
    check_host("localhost", [parse_network("127.0.0.0/8"), parse_network("::1/128")])


def test_every_way_to_connect_is_refused_and_child_processes_that_would_connect() -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_try_everything, args=(answers,))
    process.start()
    refused = answers.get(timeout=PATIENCE)
    process.join()
    assert refused == {"connect": True, "by name": True, "udp": True, "ffmpeg": True, "local ffmpeg": False}


def test_documentation_addresses_are_not_public() -> None:
    assert is_public(ipaddress.ip_address("1.1.1.1"))
    assert not is_public(ipaddress.ip_address("192.0.2.1"))


def _try_everything(answers: Any) -> None:
    guard_connections([])
    ways: dict[str, Callable[[], object]] = {
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
