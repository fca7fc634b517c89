"""Every pod of the search service, through its control endpoint: what it serves, and a flip."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import httpx

from predator.adapters.argocd.errors import UnreachableError
from predator.adapters.platform.embedded_deployer import EmbeddedDeployer
from predator.domain.errors import InputError, PredatorError
from predator.ports.deployer import Preparation
from predator.ports.gitops import GitOps

_CURE = "Set argocd_control_url to the headless service of the search pods, http://NAME:PORT"


def addresses_of(host: str, port: int) -> Sequence[str]:
    """Every address of ``host``: of a headless service, its ready pods."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(item[4][0]) for item in found})


@dataclass(frozen=True, slots=True)
class Serving:
    """What the pods serve: one release, or an empty string while they differ; then why.

    ``revisions`` are the commits that they have applied.
    """

    release: str
    revisions: frozenset[str]
    ready: bool
    detail: str
    preparing: Preparation | None


class Replicas:
    """The pods behind ``url``, each asked by its own address, so that none is left out.

    ``resolve`` gives the addresses of a host and port. The token is the control token that the
    pods were started with.
    """

    def __init__(
        self,
        url: str,
        token: str,
        gitops: GitOps,
        *,
        resolve: Callable[[str, int], Sequence[str]] = addresses_of,
    ) -> None:
        try:
            self._url = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            raise InputError("argocd_control_url is no URL", cure=_CURE) from None
        if self._url.scheme != "http" or not self._url.host or self._url.userinfo:
            raise InputError("argocd_control_url is no plain http URL", cure=_CURE)
        self._token, self._gitops, self._resolve = token, gitops, resolve
        self._pods: dict[str, EmbeddedDeployer] = {}
        self._lock = Lock()

    def close(self) -> None:
        with self._lock:
            pods, self._pods = self._pods, {}
        for pod in pods.values():
            pod.close()

    def serving(self) -> Serving:
        """``UnreachableError`` where a pod does not answer, as while they are replaced."""
        try:
            found = [pod.status() for pod in self._now()]
        except PredatorError as error:
            raise UnreachableError(error.cause, cure=error.cure) from None
        releases = sorted({one.release for one in found})
        details = [one.detail for one in found if one.detail]
        if len(releases) > 1:
            details.insert(0, f"the pods serve {len(releases)} releases at once")
        waiting = [one.preparing for one in found if one.preparing is not None]
        return Serving(
            releases[0] if len(releases) == 1 else "",
            frozenset(one.revision for one in found),
            len(releases) == 1 and all(one.healthy for one in found),
            "; ".join(dict.fromkeys(details)),
            min(waiting, key=lambda one: one.done) if waiting else None,
        )

    def flip(self, release: str) -> None:
        """Every pod; ``PredatorError`` where one refuses, after all were asked."""
        pods = self._now()
        failed: list[PredatorError] = []
        for pod in pods:
            try:
                pod.flip(release)
            except PredatorError as error:
                failed.append(error)
        if failed:
            raise PredatorError(
                f"{len(failed)} of {len(pods)} pods did not flip: {failed[0].cause}",
                cure=failed[0].cure or "The commit takes them back when they see it",
            )

    def _now(self) -> Sequence[EmbeddedDeployer]:
        """The pods that there are now; ``PredatorError`` for none."""
        host, port = self._url.host, self._url.port or 80
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise PredatorError(f"no search pod stands behind {host}", cure=_CURE)
        with self._lock:
            for address in found:
                if address not in self._pods:
                    self._pods[address] = self._pod(address)
            return [self._pods[address] for address in found]

    def _pod(self, address: str) -> EmbeddedDeployer:
        literal = ipaddress.ip_address(address.partition("%")[0])
        host = f"[{address}]" if literal.version == 6 else address
        return EmbeddedDeployer(str(self._url.copy_with(host=host)), self._token, self._gitops)
