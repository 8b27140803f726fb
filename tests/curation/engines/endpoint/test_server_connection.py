"""The short check that something listens at the address of a model's server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from support.video_server import free_port

from curation.engines.endpoint.server_connection import check_connection
from runtime.errors import UserError


@pytest.fixture
def port() -> Iterator[int]:
    """A loopback port that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxies of this machine."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_server_that_accepts_connections_passes(port: int) -> None:
    check_connection(f"http://127.0.0.1:{port}/v1", "engines.llm.base_url")


def test_a_port_that_nothing_listens_on_is_refused_with_setting_and_value() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(UserError, match=rf"^engines\.llm\.base_url={url}: no server answers there"):
        check_connection(url, "engines.llm.base_url")


def test_a_host_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UserError, match="no server answers there"):
        check_connection("http://no-such-host.invalid/v1", "engines.llm.base_url")


def test_the_proxy_is_checked_if_requests_go_through_one(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    check_connection("https://no-such-host.invalid/v1", "engines.llm.base_url")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match=r"through the proxy 127\.0\.0\.1"):
        check_connection("https://no-such-host.invalid/v1", "engines.llm.base_url")


def test_a_host_that_no_proxy_names_is_checked_directly(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    check_connection(f"http://127.0.0.1:{port}/v1", "engines.llm.base_url")
