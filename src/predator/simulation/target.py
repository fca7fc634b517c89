"""Which server the users may search: this machine, unless a person says otherwise."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from predator.domain.errors import InputError


@dataclass(frozen=True, slots=True)
class Target:
    """A resolved address: what was checked is what is connected to."""

    address: str
    port: int


def resolve_target(url: str, *, allow_remote: bool = False) -> Target:
    """The address of ``http://host[:port]``.

    Raises :class:`InputError` for another kind of URL, a host without an address, and, unless
    ``allow_remote``, a host with any address that is not loopback: a load generator pointed at
    somebody else's server is an attack.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as error:
        raise InputError(f"{url!r} is not a URL: {error}") from error
    extra = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "http" or not parts.hostname or extra:
        raise InputError(f"{url!r} is not of the form http://host:port")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{parts.hostname!r} has no address: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not allow_remote and not all(map(_is_loopback, addresses)):
        raise InputError(
            f"{parts.hostname!r} is not this machine",
            cure="Give a loopback address, or --allow-remote if that server is yours to load",
        )
    # "localhost" is often both; servers bound to one family are bound to IPv4.
    return Target(min(addresses, key=lambda address: ":" in address), port)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
