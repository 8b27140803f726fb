"""Short checks of a model's server before a run: something listens there, accepts the key, and serves the model."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from curation.engines.endpoint.bounded_response import UNCOMPRESSED
from runtime.errors import UserError, nearest
from runtime.retry_limits import ENDPOINT_CHECK_SECONDS, ENDPOINT_CONNECT_SECONDS

_PORTS: Final = {"http": 80, "https": 443}
_LARGEST_LIST: Final = 1 << 20
"""Bytes of a list of models."""
_SHOWN: Final = 5


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


def check_served(url: str, model: str, key: str | None, setting: str) -> None:
    """Refuse a server that does not accept the key, or that does not serve the model.

    The server is asked for its list of models. If the model is not in it, one token is asked of the model, because some
    servers know more names than they list. A server that is busy, or has no list, passes: the run itself finds out.

    Args:
        url: address of the server, up to and including ``/v1``.
        model: name of the model, as the server knows it.
        key: sent with each request; None: no key.
        setting: name of the engine's settings (``engines.llm``), for messages.

    Raises:
        UserError: names the setting, its value and the remedy.
    """
    headers = UNCOMPRESSED | ({"Authorization": f"Bearer {key}"} if key else {})
    with httpx.Client(headers=headers, timeout=ENDPOINT_CHECK_SECONDS.seconds) as client:
        status, listed = _listed_models(client, url)
        if status in (401, 403):
            said = "its key" if key else "a request without a key"
            raise UserError(
                f"{setting}.base_url={url}: the server refuses {said} (status {status}); name the variable that holds "
                "the right one in api_key_env"
            )
        if not listed or any(fnmatchcase(model, name) for name in listed) or _answers(client, url, model):
            return
    names = ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")
    raise UserError(f"{setting}.model={model!r}: the server at {url} serves {names}{nearest(model, listed)}")


def _listed_models(client: httpx.Client, url: str) -> tuple[int, list[str]]:
    """Return the status of the answer, 0 if there is none, and the names of the models that the server lists."""
    try:
        with client.stream("GET", f"{url}/models") as response:
            data = b""
            for part in response.iter_raw():
                data += part
                if len(data) > _LARGEST_LIST:
                    return response.status_code, []
    except httpx.HTTPError:
        return 0, []
    return response.status_code, _names(data) if response.is_success else []


def _names(data: bytes) -> list[str]:
    try:
        values: Any = json.loads(data)
    except (ValueError, RecursionError):
        return []
    entries = values.get("data") if isinstance(values, Mapping) else None
    ids = [entry.get("id") for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
    return [name for name in ids if isinstance(name, str)]


def _answers(client: httpx.Client, url: str, model: str) -> bool:
    """Return False if the server says that it can't answer for the model."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    try:
        with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            return response.status_code not in (400, 404, 422)
    except httpx.HTTPError:
        return True
