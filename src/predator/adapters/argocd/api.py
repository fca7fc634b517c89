"""Argo CD's HTTP API, for one application: bounded requests, and no more of them than needed."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from predator.adapters.argocd.errors import UnreachableError, refusal
from predator.domain.errors import InputError, PredatorError

MOST_BYTES = 8_000_000
"""Of an answer: an application lists its resources, and etcd holds no object above 1.5 MB."""

MARK = "predator"
"""The name of the line by which an operation is known as ours; its value is the revision."""

_TRUST_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_CURE = "Set argocd_url to the address of argocd-server, such as https://argocd.example.org"


class ArgoApi:
    """The application ``app`` of ``project`` behind ``base_url``; may be shared by threads.

    https, or plain http on this machine and private networks, where nobody on the way reads the
    token. No redirect is followed and no proxy used; an error repeats neither token nor URL.
    ``ca`` is a PEM file with the authority of a private certificate.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        app: str,
        project: str,
        ca: Path | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        for name, value in (("argocd_app", app), ("argocd_project", project)):
            if not _NAME.fullmatch(value):
                raise InputError(f"{name} cannot be {value[:60]!r}: it is no name in Kubernetes")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InputError(
                "Argo CD's token is missing, or holds characters that no token has",
                cure="Set argocd_token to where it lies: env:NAME or file:/path",
            )
        self._url = _checked(base_url)
        self._token, self._timeout_s = token, timeout_s
        self.app, self.project = app, project
        # The transport itself, not a client: a client logs each URL and follows redirects.
        self._transport = httpx.HTTPTransport(
            verify=_trust(ca) if self._url.scheme == "https" else _TRUST_NOBODY, trust_env=False
        )

    def __repr__(self) -> str:
        return f"ArgoApi({self.app!r})"

    def close(self) -> None:
        self._transport.close()

    def application(self, *, refresh: bool = False) -> Any:
        """The application as it stands; ``refresh`` compares it with the newest commit first."""
        query = {"project": self.project, **({"refresh": "normal"} if refresh else {})}
        return self._ask("GET", "read", query=query)

    def sync(self, revision: str | None, mark: str) -> None:
        """Ask for a sync to ``revision`` (``None``: to what the application follows).

        Nothing is pruned. ``BusyError`` where another operation is under way, ``WindowError``
        where a sync window is closed.
        """
        body: dict[str, Any] = {
            "name": self.app,
            "project": self.project,
            "prune": False,
            "dryRun": False,
            "infos": [{"name": MARK, "value": mark}],
        }
        if revision is not None:
            body["revision"] = revision
        self._ask("POST", "sync", "/sync", body=body)

    def roll_back(self, history_id: int) -> None:
        """Deploy what an entry of the history holds; Argo CD refuses that under auto-sync."""
        body = {"name": self.app, "project": self.project, "id": history_id, "prune": False}
        self._ask("POST", "roll back", "/rollback", body=body)

    def terminate(self) -> None:
        """End the operation under way."""
        self._ask("DELETE", "stop", "/operation", query={"project": self.project})

    def patch(self, patch: Mapping[str, Any]) -> None:
        """A JSON merge patch of the application's manifest."""
        body = {
            "name": self.app,
            "project": self.project,
            "patch": json.dumps(patch),
            "patchType": "merge",
        }
        self._ask("PATCH", "change", body=body)

    def windows(self) -> Any:
        """Which sync windows there are, and whether a sync may start now."""
        return self._ask("GET", "read", "/syncwindows", query={"project": self.project})

    def _ask(
        self,
        method: str,
        verb: str,
        below: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        path = f"{self._url.path.rstrip('/')}/api/v1/applications/{self.app}{below}"
        url = self._url.copy_with(path=path, params=query or {})
        try:
            status, content = self._send(method, url, body)
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"Argo CD does not answer ({type(error).__name__})",
                cure="See whether argocd-server runs, and argocd_url and argocd_ca",
            ) from None
        if status != 200:
            raise refusal(status, content, verb, self.app, self.project)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise PredatorError("Argo CD's answer is no JSON", cure=_CURE) from None

    def _send(
        self, method: str, url: httpx.URL, body: Mapping[str, Any] | None
    ) -> tuple[int, bytes]:
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = httpx.Request(
            method,
            url,
            headers=headers,
            content=None if body is None else json.dumps(body).encode(),
            extensions={
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
            },
        )
        deadline = time.monotonic() + self._timeout_s
        response = self._transport.handle_request(request)
        content = bytearray()
        try:
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise PredatorError("Argo CD's answer is larger than 8 MB", cure=_CURE)
                if time.monotonic() > deadline:  # a drip that never ends is no answer
                    raise httpx.ReadTimeout("the answer takes too long", request=request)
        finally:
            response.close()
        return response.status_code, bytes(content)


def _checked(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        raise InputError("argocd_url is no URL", cure=_CURE) from None
    if url.scheme not in {"https", "http"} or not url.host:
        raise InputError("argocd_url is no http(s) URL", cure=_CURE)
    if url.userinfo or url.query or url.fragment:
        raise InputError("argocd_url holds more than an address", cure=_CURE)
    if url.scheme == "http" and not _private(url.host):
        raise InputError(
            "argocd_url would send the token over an open network", cure="Use https there"
        )
    return url


def _private(host: str) -> bool:
    """Whether ``host`` is this machine or on a private network, as far as it can be told."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return host.endswith((".svc", ".svc.cluster.local"))
    return all(ipaddress.ip_address(str(item[4][0]).partition("%")[0]).is_private for item in found)


def _trust(ca: Path | None) -> ssl.SSLContext | bool:
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError):
        raise InputError(
            f"the certificates in {ca} cannot be read", cure="Set argocd_ca to a PEM file"
        ) from None
