"""Guard a download process: it may connect to the public internet and to networks that the user allows.

A page, a redirect or a media URL from outside can name a private address (``http://169.254.169.254/``). Host names
prove nothing, so the check is made when the socket connects: `guard_connections` installs an audit hook, which sees
the address of every connection, whichever library makes it. Audit hooks can't be removed, so the guard belongs in a
process that makes a single download (`curation.media.download.ytdlp.fetch_process`).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

EVERYWHERE: Final = ("0.0.0.0/0", "::/0")
"""The networks that allow every address."""

REFUSAL: Final = "(download.allow_private_addresses permits it)"
"""The end of every refusal's message, by which it is recognized in any error that wraps it."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_REMOTE: Final = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_SOCKS_PORT: Final = 1080


class PrivateAddress(ConnectionRefusedError):
    """A refused connection: the address is neither public nor allowed."""


def is_public(address: IPAddress) -> bool:
    """Return True if `address` is on the public internet; an IPv4 address wrapped in IPv6 is unwrapped first."""
    wrapped = _wrapped(address)
    if wrapped is not None:
        return is_public(wrapped)
    return address.is_global and not address.is_multicast


def is_permitted(host: str, allowed: Sequence[IPNetwork]) -> bool:
    """Return True if a connection to `host` is permitted; a host that is not a numeric address is refused.

    Args:
        host: a numeric IPv4 or IPv6 address, as passed to a socket.
        allowed: networks that are permitted although they are not public.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    candidates = [candidate for candidate in (address, _wrapped(address)) if candidate is not None]
    return is_public(address) or any(candidate in network for candidate in candidates for network in allowed)


def parse_network(text: str) -> IPNetwork:
    """Parse a network in CIDR form; raise `ValueError` if it is malformed."""
    return ipaddress.ip_network(text, strict=False)


def guard_connections(allowed: Iterable[str], proxies: Iterable[str] = ()) -> None:
    """Refuse, from now on in this whole process, connections to addresses that are neither public nor allowed.

    Connections by host name are refused too (libraries resolve first, so the checked address is the one connected
    to). Child processes that receive a URL are refused, because the guard does not reach into them. Behind a proxy
    the socket sees only the proxy's address: the proxy itself is permitted, and the requested host is checked by its
    numeric address or by the addresses to which its name resolves here. A name that only the proxy can resolve
    passes.

    Args:
        allowed: networks in CIDR form that are permitted although they are not public.
        proxies: URLs of the proxies in use.
    """
    networks = [parse_network(text) for text in allowed]
    if any(str(item) in EVERYWHERE for item in networks):
        return
    relays = {relay for proxy in proxies for relay in _resolved(*_endpoint(proxy))}
    checks: dict[str, Callable[..., None]] = dict.fromkeys(
        _CONNECTS, lambda *args: _check_peer(args[-1], relays, networks)
    )
    checks["subprocess.Popen"] = lambda _program, args, *_: _check_command(args)
    if relays:
        checks["http.client.send"] = lambda _connection, data: _check_request(data, networks)
        _guard_socks(networks)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        check = checks.get(event)
        if check is not None:
            check(*args)

    sys.addaudithook(hook)


def check_host(host: str, allowed: Sequence[IPNetwork]) -> None:
    """Check that a host is permitted, and every address to which it resolves here.

    Raises:
        PrivateAddress: one of them is not permitted.
    """
    for address, _ in _resolved(host, 0):
        if not is_permitted(address, allowed):
            raise _refusal(host if host == address else f"{host} ({address})")


def _wrapped(address: IPAddress) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address wraps (mapped, 6to4 or NAT64), or None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _refusal(host: str) -> PrivateAddress:
    return PrivateAddress(f"refused: {host} is a private address {REFUSAL}")


def _check_peer(peer: Any, relays: set[tuple[str, int]], allowed: Sequence[IPNetwork]) -> None:
    """Refuse a connection to a peer that is not permitted; `peer` is None for data sent on a connected socket."""
    if peer is None:
        return
    if not isinstance(peer, tuple):
        raise _refusal(f"the local socket {peer!r}")
    host, port = peer[0], peer[1]
    if (host, port) not in relays and not is_permitted(host, allowed):
        raise _refusal(str(host))


def _check_command(args: Any) -> None:
    """Refuse a child process that would open a URL itself."""
    parts = [args] if isinstance(args, str | bytes) else list(args or ())
    for part in parts:
        text = part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)
        if _REMOTE.match(text):
            program = str(parts[0]).rpartition("/")[2]
            raise PrivateAddress(f"refused: {program} would connect by itself, without a check of addresses {REFUSAL}")


def _check_request(data: Any, allowed: Sequence[IPNetwork]) -> None:
    """Refuse a request to a proxy (``CONNECT host:port`` or ``GET http://host/``) for a private host."""
    if not isinstance(data, bytes):
        return
    method, _, rest = data.partition(b"\r\n")[0].partition(b" ")
    target = rest.partition(b" ")[0].decode("latin-1")
    host = urlsplit(f"//{target}" if method == b"CONNECT" else target).hostname
    if host and rest.rpartition(b" ")[2].startswith(b"HTTP/"):
        check_host(host, allowed)


def _guard_socks(allowed: Sequence[IPNetwork]) -> None:
    """Check hosts requested from a SOCKS proxy, for which yt-dlp's own SOCKS client raises no audit event."""
    from yt_dlp.socks import sockssocket

    connect = sockssocket.connect

    def checked(self: Any, address: tuple[str, int]) -> Any:
        check_host(address[0], allowed)
        return connect(self, address)

    sockssocket.connect = checked


def _endpoint(proxy: str) -> tuple[str, int]:
    """Return host and port of a proxy's URL."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, _SOCKS_PORT)


def _resolved(host: str, port: int) -> set[tuple[str, int]]:
    """Return the numeric addresses of a host; empty if it can't be resolved here."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {(str(entry[4][0]), port) for entry in entries}
