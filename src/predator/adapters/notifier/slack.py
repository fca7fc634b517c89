"""Slack's incoming webhook: ``{text, blocks}`` over HTTPS; the URL is a secret."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from typing import Any

import httpx

from predator.adapters.notifier.delivery import RetryLater
from predator.domain.errors import InputError, PredatorError
from predator.domain.governance import Notice
from predator.journal.redact import redact

_CURE = "Set the webhook to the https URL that Slack gave"
_MOST_BYTES = 1024
_WAIT_S = 60.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_CODES = frozenset(
    {
        *("action_prohibited", "channel_is_archived", "channel_not_found", "invalid_blocks"),
        *("invalid_payload", "invalid_token", "no_service", "no_team", "no_text"),
        *("rate_limited", "rollup_error", "user_not_found"),
    }
)
"""What Slack says in plain text; nothing else of an answer is repeated."""
_SIGN = {"info": "ℹ️", "warning": "⚠️", "critical": "🚨"}


class SlackWebhook:
    """Posts notices; a :data:`~predator.adapters.notifier.delivery.Send` hook.

    Only to public addresses, checked after the name was resolved and then connected to as they
    are; ``allow_loopback`` is for a receiver on this machine, which may speak plain http. No
    redirect is followed and no proxy used. Errors never repeat the URL.
    """

    def __init__(
        self,
        url: str,
        *,
        allow_loopback: bool = False,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        try:
            self._url = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            raise InputError("the Slack webhook is no URL", cure=_CURE) from None
        schemes = {"https", "http"} if allow_loopback else {"https"}
        host = self._url.raw_host.decode("ascii")
        port = self._url.port or 443
        if self._url.scheme not in schemes or not _HOST.fullmatch(host) or self._url.userinfo:
            raise InputError("the Slack webhook is no https URL", cure=_CURE)
        if not 0 < port < 65536:
            raise InputError("the Slack webhook has no possible port", cure=_CURE)
        self._allow_loopback = allow_loopback
        self._timeout_s = timeout_s
        self._tls = tls

    def __repr__(self) -> str:
        return "SlackWebhook([redacted])"

    def __call__(self, notice: Notice) -> None:
        """Post; ``RetryLater`` where Slack asks for patience, ``PredatorError`` otherwise."""
        address = self._address()
        host = f"[{address}]" if ":" in address else address
        request = httpx.Request(
            "POST",
            self._url.copy_with(host=host),
            headers={"Host": self._url.netloc.decode("ascii")},
            json=message(notice),
            extensions={
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s),
                "sni_hostname": self._url.raw_host.decode("ascii"),
            },
        )
        # The transport itself, not a client: a client logs each URL.
        try:
            with httpx.HTTPTransport(verify=self._tls or True) as transport:
                response = transport.handle_request(request)
                body = self._read(response)
        except httpx.HTTPError as error:
            raise PredatorError(f"Slack did not answer ({type(error).__name__})") from None
        _judge(response, body)

    def _read(self, response: httpx.Response) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        body = b""
        try:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) >= _MOST_BYTES or time.monotonic() > deadline:
                    break
        finally:
            response.close()
        return body[:_MOST_BYTES]

    def _address(self) -> str:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        try:
            found = socket.getaddrinfo(self._url.host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise PredatorError("Slack's name cannot be resolved") from None
        addresses = [str(item[4][0]) for item in found]
        for address in addresses:
            if not _allowed(address, self._allow_loopback, self._url.scheme):
                raise PredatorError(
                    "the Slack webhook leads to an address that is not public, which is refused",
                    cure=_CURE,
                )
        return addresses[0]


def message(notice: Notice) -> dict[str, Any]:
    """What Slack shows: one line for notifications, and blocks. Markup in a notice is text."""
    title = f"{_SIGN.get(notice.severity, '')} {redact(notice.title)}".strip() or "Predator"
    where = " · ".join(part for part in (notice.contour, notice.cycle_id) if part)
    context = [{"type": "mrkdwn", "text": _escaped(where, 500) or "predator"}]
    if re.fullmatch(r"https?://[^\s<>|]{1,500}", notice.link):
        context.append({"type": "mrkdwn", "text": f"<{redact(notice.link)}|open>"})
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title[:150]}}
    ]
    if body := _escaped(str(redact(notice.text)), 2900):
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": body}})
    blocks.append({"type": "context", "elements": context})
    return {"text": _escaped(title, 300), "blocks": blocks}


def _escaped(text: str, most: int) -> str:
    escaped = _escape(text)
    if len(escaped) <= most:
        return escaped
    # Cut before escaping, so that no entity is cut; each has at most five characters.
    return _escape(text[: most // 5]) + "…"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _allowed(address: str, allow_loopback: bool, scheme: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip.sixtofour is not None or ip.teredo is not None or ip in _NAT64:
            return False
    if ip.is_loopback:
        return allow_loopback
    return scheme == "https" and ip.is_global and not ip.is_multicast


def _judge(response: httpx.Response, body: bytes) -> None:
    if response.status_code == 200 and body.strip() == b"ok":
        return
    if response.status_code == 429:
        raise RetryLater(
            "Slack asks for patience", wait_s=_seconds(response.headers.get("retry-after"))
        )
    said = body.decode("ascii", "replace").strip()
    why = f" ({said})" if said in _CODES else ""
    raise PredatorError(f"Slack refused the notice: HTTP {response.status_code}{why}")


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and re.fullmatch(r"\d{1,6}", retry_after) else _WAIT_S
