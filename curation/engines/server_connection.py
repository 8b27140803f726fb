"""A short check that something listens at the address of a model's server."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from runtime.errors import UserError
from runtime.retry_limits import ENDPOINT_CONNECT_SECONDS

_PORTS: Final = {"http": 80, "https": 443}


def check_connection(url: str, setting: str) -> None:
    """Open a connection to the host of `url`, or to the proxy for it, and close it again.

    Args:
        url: address of the server, http or https.
        setting: name of the setting that holds it, for the message.

    Raises:
        UserError: nothing accepts a connection there within a few seconds.
    """
    server = urlsplit(url)
    proxies = {} if proxy_bypass(server.hostname or "") else getproxies()
    proxy = proxies.get(server.scheme) or proxies.get("all")
    target = urlsplit(proxy) if proxy else server
    port = target.port or _PORTS.get(target.scheme)
    if not target.hostname or port is None:  # a proxy of a kind that can't be checked here
        return
    try:
        socket.create_connection((target.hostname, port), timeout=ENDPOINT_CONNECT_SECONDS.seconds).close()
    except OSError as error:
        through = f" (through the proxy {target.hostname}:{port})" if proxy else ""
        why = error.strerror or error
        raise UserError(
            f"{setting}={url}: no server answers there{through} ({why}); start it, or correct the address"
        ) from None
