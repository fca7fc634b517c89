"""Where an OpenAI-compatible API is, and one bounded request to it."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from predator.domain.errors import InputError, PredatorError

MOST_BYTES = 1_000_000
"""Of an answer: a hundred queries with everything around them are a tenth of that."""

_CURE = "Set the base URL that the service documents, such as https://api.openai.com/v1"
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_METADATA = ipaddress.ip_address("fd00:ec2::254")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower case), and the first ``MOST_BYTES`` of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Endpoint:
    """``base_url``/chat/completions: https, or plain http on this machine or a private network.

    Names are resolved, checked and then connected to as they are. Link-local addresses, where
    clouds keep their credentials, are refused. No redirect is followed and no proxy used; errors
    repeat neither key nor answer. May be shared by threads.
    """

    def __init__(
        self,
        base_url: str,
        key: str = "",
        *,
        timeout_s: float = 60.0,
        connections: int = 8,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        try:
            url = httpx.URL(base_url)
            port = url.port or (443 if url.scheme == "https" else 80)
        except (httpx.InvalidURL, TypeError, ValueError):
            raise InputError("the query writer's base URL is no URL", cure=_CURE) from None
        host = url.raw_host.decode("ascii", "replace")
        plain = not (url.userinfo or url.query or url.fragment)
        if url.scheme not in {"https", "http"} or not _HOST.fullmatch(host) or not plain:
            raise InputError("the query writer's base URL is no plain http(s) URL", cure=_CURE)
        if not 0 < port < 65536:
            raise InputError("the query writer's base URL has no possible port", cure=_CURE)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InputError("the query writer's key holds characters that no key has")
        self._url = url.copy_with(path=url.path.rstrip("/") + "/chat/completions")
        self._port, self._key, self._timeout_s = port, key, timeout_s
        limits = httpx.Limits(max_connections=connections)
        # The transport itself, not a client: a client logs each URL.
        self._transport = httpx.HTTPTransport(
            verify=tls or True, limits=limits, trust_env=False
        )  # fmt: skip

    def __repr__(self) -> str:
        return "Endpoint([redacted])"

    def close(self) -> None:
        """Give the connections back; a later request opens new ones."""
        self._transport.close()

    def address(self) -> str:
        """An address of the host that may be asked; ``InputError`` or ``PredatorError`` else."""
        try:
            found = socket.getaddrinfo(self._url.host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise PredatorError("the query writer's host name cannot be resolved") from None
        addresses = [str(item[4][0]) for item in found]
        if not all(allowed(address, self._url.scheme) for address in addresses):
            raise InputError(
                "the query writer's base URL leads to an address that may not be asked",
                cure="Use https for public addresses; link-local ones are refused",
            )
        return addresses[0]

    def post(self, address: str, value: Any) -> Answer:
        """Send ``value`` as JSON; ``httpx.HTTPError`` where no whole answer comes in time."""
        headers = {
            "Host": self._url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = httpx.Request(
            "POST",
            self._url.copy_with(host=f"[{address}]" if ":" in address else address),
            headers=headers,
            content=json.dumps(value).encode(),  # ASCII: half a surrogate pair is escaped
            extensions={
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s),
                "sni_hostname": self._url.raw_host.decode("ascii"),
            },
        )
        deadline = time.monotonic() + self._timeout_s
        response = self._transport.handle_request(request)
        body = b""
        try:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MOST_BYTES:
                    break
                if time.monotonic() > deadline:  # a drip that never ends is no answer
                    raise httpx.ReadTimeout("the answer takes too long", request=request)
        finally:
            response.close()
        known = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, known, body[:MOST_BYTES])


def allowed(address: str, scheme: str) -> bool:
    """Whether a request may go to ``address``: by https to any but special ones, by http only to
    this machine and private networks, where nobody on the way can read the key."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip.sixtofour is not None or ip.teredo is not None or ip in _NAT64:
            return False
    if ip.is_loopback:
        return True
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return False
    if ip == _METADATA:
        return False
    return ip.is_private or (scheme == "https" and ip.is_global)
