"""What an answer of Argo CD says about one application, typed; anything else is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from predator.adapters.argocd.api import MARK
from predator.adapters.argocd.errors import said
from predator.domain.errors import InputError, PredatorError

KEPT = "predator/break-glass"
"""The annotation with what a break-glass rollback has to put back."""

_MOST_TROUBLES = 5


@dataclass(frozen=True, slots=True)
class Operation:
    """A sync, asked for or done: ``mark`` is ours, or empty; ``revision`` what it brings."""

    phase: str
    revision: str
    mark: str
    message: str

    @property
    def running(self) -> bool:
        return self.phase in {"", "Running", "Terminating"}

    @property
    def failed(self) -> bool:
        return self.phase in {"Failed", "Error"}


@dataclass(frozen=True, slots=True)
class Deployed:
    """An entry of the history: an id for a rollback, and the commit that was deployed."""

    id: int
    revision: str


@dataclass(frozen=True, slots=True)
class Application:
    """``sync`` and ``health`` in Argo CD's words, ``compared`` the commit they are about.

    ``auto_sync`` is the policy as it stands in the manifest, ``None`` where it is off; ``kept``
    is the text that a break-glass rollback left. ``history`` is oldest first.
    """

    auto_sync: Mapping[str, Any] | None
    kept: str | None
    sync: str
    compared: str
    health: str
    operation: Operation | None
    history: tuple[Deployed, ...]
    troubles: tuple[str, ...]

    @property
    def running(self) -> bool:
        """Whether an operation is under way."""
        return self.operation is not None and self.operation.running

    @property
    def failed(self) -> bool:
        """Whether the last operation ended badly."""
        return self.operation is not None and self.operation.failed

    @property
    def applied(self) -> str:
        """The commit that the cluster is at; empty before the first."""
        if self.sync == "Synced":
            return self.compared
        return self.history[-1].revision if self.history else ""

    def told(self) -> str:
        """Why it is not well, in one line; empty where nothing is to be said."""
        last = self.operation
        failed = [f"sync {last.phase}: {last.message}"] if last and last.failed else []
        return "; ".join([*failed, *self.troubles])


def read_application(value: Any) -> Application:
    """``PredatorError`` where ``value`` is no Application; ``InputError`` for several sources."""
    try:
        spec, status = value["spec"], value.get("status") or {}
        if spec.get("sources"):
            raise InputError(
                "the Argo CD application has several sources, so no one commit is live",
                cure="Use one source: the GitOps repository holds chart and values",
            )
        sync, health = status.get("sync") or {}, status.get("health") or {}
        return Application(
            _policy(spec.get("syncPolicy") or {}),
            (value["metadata"].get("annotations") or {}).get(KEPT),
            str(sync.get("status") or "Unknown"),
            str(sync.get("revision") or ""),
            str(health.get("status") or "Unknown"),
            _operation(value.get("operation"), status.get("operationState")),
            tuple(
                Deployed(int(one["id"]), str(one.get("revision") or ""))
                for one in status.get("history") or []
            ),
            tuple(_troubles(status))[:_MOST_TROUBLES],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PredatorError(
            f"Argo CD's answer is no Application ({type(error).__name__})",
            cure="Set argocd_url to argocd-server itself",
        ) from None


def _policy(policy: Mapping[str, Any]) -> Mapping[str, Any] | None:
    automated = policy.get("automated")
    if automated is None or automated.get("enabled") is False:
        return None
    return dict(automated)


def _operation(asked: Any, state: Any) -> Operation | None:
    """What is asked for and not begun outweighs what was done before."""
    if asked:
        return Operation("", str((asked.get("sync") or {}).get("revision") or ""), _mark(asked), "")
    if not state:
        return None
    result = state.get("syncResult") or {}
    wanted = (state.get("operation") or {}).get("sync") or {}
    failures = [
        f"{one.get('kind')}/{one.get('name')}: {said(one.get('message', ''))}"
        for one in result.get("resources") or []
        if one.get("status") == "SyncFailed" or one.get("hookPhase") in {"Failed", "Error"}
    ]
    return Operation(
        str(state.get("phase") or ""),
        str(result.get("revision") or wanted.get("revision") or ""),
        _mark(state.get("operation") or {}),
        "; ".join([said(state.get("message", "")), *failures][:_MOST_TROUBLES]),
    )


def _mark(operation: Mapping[str, Any]) -> str:
    lines = operation.get("info") or []
    return next((str(one.get("value", "")) for one in lines if one.get("name") == MARK), "")


def _troubles(status: Mapping[str, Any]) -> list[str]:
    """Conditions that are errors, then resources that are unhealthy or wait to be pruned."""
    found = [
        f"{one['type']}: {said(one.get('message', ''))}"
        for one in status.get("conditions") or []
        if str(one["type"]).endswith("Error")
    ]
    for one in status.get("resources") or []:
        name, health = f"{one.get('kind')}/{one.get('name')}", one.get("health") or {}
        if health.get("status") in {"Degraded", "Missing", "Unknown", "Suspended"}:
            found.append(f"{name} is {health['status']}: {said(health.get('message', ''))}")
        elif one.get("requiresPruning"):
            found.append(f"{name} waits to be pruned")
    return [text.removesuffix(": ") for text in found]
