"""Which addresses a download may connect to: the public internet, and what the user allows besides.

A page, a redirect or a media URL from outside can name a machine inside (``http://169.254.169.254/``). Names
prove nothing, so the check stands where the socket connects: `guard` puts an audit hook into the process, which
sees the address of every connection whatever library makes it. Audit hooks can't be taken out again, so the
guard belongs in a process that does nothing but one download (`curation.media.download.fetch_process`).
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
"""Words that end every refusal's message, so that it is recognised in whatever error wraps it."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_REMOTE: Final = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_SOCKS_PORT: Final = 1080


class PrivateAddress(ConnectionRefusedError):
    """A connection that is not made: the address is not public and not allowed."""


def is_public(address: IPAddress) -> bool:
    """Whether `address` is on the public internet, addresses wrapped in it (IPv4 in IPv6) included."""
    wrapped = _wrapped(address)
    if wrapped is not None:
        return is_public(wrapped)
    return address.is_global and not address.is_multicast


def permits(host: str, allowed: Sequence[IPNetwork]) -> bool:
    """Whether a connection to `host` is permitted; a host that is no numeric address is not.

    Args:
        host: a numeric IPv4 or IPv6 address, as a socket takes it.
        allowed: networks that are permitted though they are not public.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    candidates = [candidate for candidate in (address, _wrapped(address)) if candidate is not None]
    return is_public(address) or any(candidate in network for candidate in candidates for network in allowed)


def network(text: str) -> IPNetwork:
    """A network in CIDR form; `ValueError` where it is none."""
    return ipaddress.ip_network(text, strict=False)


def guard(allowed: Iterable[str], proxies: Iterable[str] = ()) -> None:
    """Refuse, from now on and in this whole process, connections to addresses that are neither public nor allowed.

    Connections by a host's name are refused too (libraries resolve first: what is checked is what is connected
    to), and so are child processes that are handed a URL, for the guard does not reach into them. Behind a proxy
    the proxy's address is all that the socket sees: the proxy itself is permitted, and the host asked of it is
    checked by its number, or by what its name resolves to here; a name that only the proxy can resolve passes.

    Args:
        allowed: networks in CIDR form that are permitted though they are not public.
        proxies: URLs of proxies that are in use.
    """
    networks = [network(text) for text in allowed]
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
    """Refuse a host that is, or resolves here to, an address that is not permitted.

    Raises:
        PrivateAddress: it is.
    """
    for address, _ in _resolved(host, 0):
        if not permits(address, allowed):
            raise _refusal(host if host == address else f"{host} ({address})")


def _wrapped(address: IPAddress) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4 or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _refusal(host: str) -> PrivateAddress:
    return PrivateAddress(f"refused: {host} is a private address {REFUSAL}")


def _check_peer(peer: Any, relays: set[tuple[str, int]], allowed: Sequence[IPNetwork]) -> None:
    """Refuse a socket's peer; `peer` is None for data sent on a connected socket."""
    if peer is None:
        return
    if not isinstance(peer, tuple):
        raise _refusal(f"the local socket {peer!r}")
    host, port = peer[0], peer[1]
    if (host, port) not in relays and not permits(host, allowed):
        raise _refusal(str(host))


def _check_command(args: Any) -> None:
    """Refuse a child process that would open a URL by itself."""
    parts = [args] if isinstance(args, str | bytes) else list(args or ())
    for part in parts:
        text = part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)
        if _REMOTE.match(text):
            program = str(parts[0]).rpartition("/")[2]
            raise PrivateAddress(f"refused: {program} would connect by itself, where no address is checked {REFUSAL}")


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
    """Check what is asked of a SOCKS proxy: yt-dlp's own SOCKS client raises no audit event for it."""
    from yt_dlp.socks import sockssocket

    connect = sockssocket.connect

    def checked(self: Any, address: tuple[str, int]) -> Any:
        check_host(address[0], allowed)
        return connect(self, address)

    sockssocket.connect = checked


def _endpoint(proxy: str) -> tuple[str, int]:
    """Host and port of a proxy's URL."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, _SOCKS_PORT)


def _resolved(host: str, port: int) -> set[tuple[str, int]]:
    """Numeric addresses of a host; none where it can't be resolved here."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {(str(entry[4][0]), port) for entry in found}
