"""An Argo CD that behaves: one application, real git, real Helm, a clock that tests move.

Faithful are: one operation at a time, history ids that only grow (10 are kept), no rollback and
no foreign commit under auto-sync, no second automatic sync at a commit that failed, sync windows,
roles of tokens, the codes and texts of refusals, and that a missing application is a 403 unless
``project`` is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.adapters.argocd.fake_controller import Controller
from tests.adapters.argocd.manifests import ComparisonError


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """gRPC's code and message, as the gateway sends them."""

    STATUS: Mapping[int, int] = {3: 400, 5: 404, 7: 403, 9: 400, 14: 503, 16: 401}

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.status = self.STATUS[code]


class FakeArgo(Controller):
    """What the API does with the controller, and how it shows it."""

    def get(self, refresh: str | None) -> dict[str, Any]:
        with self._lock:
            if refresh:
                self.reconcile()
            return self.application()

    def sync(self, body: Mapping[str, Any], user: str) -> dict[str, Any]:
        with self._lock:
            target = self.spec["source"]["targetRevision"]
            wanted = body.get("revision") or target
            if self.automated is not None and wanted != target and not body.get("dryRun"):
                raise Refusal(9, f"Cannot sync to {wanted}: auto-sync currently set to {target}")
            if self.window_closed:
                raise Refusal(7, "cannot sync: blocked by sync window")
            try:
                revision = self.repository.resolve(wanted)
            except ComparisonError as error:
                raise Refusal(9, str(error)) from error
            self._ask({"revision": revision, "prune": body.get("prune", False)}, body, user)
            return self.application()

    def roll_back(self, body: Mapping[str, Any], user: str) -> dict[str, Any]:
        with self._lock:
            if self.automated is not None:
                raise Refusal(9, "rollback cannot be initiated when auto-sync is enabled")
            found = next((one for one in self.history if one["id"] == body.get("id", 0)), None)
            if found is None:
                text = f"application {self.name} does not have deployment with id {body.get('id')}"
                raise Refusal(3, text)
            self._ask({"revision": found["revision"], "source": found["source"]}, body, user)
            return self.application()

    def _ask(self, sync: dict[str, Any], body: Mapping[str, Any], user: str) -> None:
        self.busy -= (hidden := self.busy > 0)
        if hidden or self.operation is not None or self._running():
            raise Refusal(9, "another operation is already in progress")
        self.operation = {"sync": sync, "initiatedBy": {"username": user}}
        if body.get("infos"):
            self.operation["info"] = body["infos"]
        self.version += 1

    def terminate(self) -> dict[str, Any]:
        with self._lock:
            if self.operation is None and not self._running():
                raise Refusal(3, "Unable to terminate operation. No operation is in progress")
            if self.operation is not None:
                self._begin()
            self.terminated += 1
            self._end("Failed", "Operation terminated")
            return {}

    def patch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            if body.get("patchType") != "merge":
                raise Refusal(3, f"Patch type '{body.get('patchType')}' is not supported")
            patch = json.loads(body["patch"])
            self.annotations = merged(
                self.annotations, patch.get("metadata", {}).get("annotations", {})
            )
            self.spec = merged(self.spec, patch.get("spec", {}))
            self.reconcile()
            return self.application()

    def windows(self) -> dict[str, Any]:
        window = {"kind": "deny", "schedule": "0 0 * * *", "duration": "24h", "manualSync": False}
        active = [window] if self.window_closed else []
        return {
            "activeWindows": active,
            "assignedWindows": active,
            "canSync": not self.window_closed,
        }

    def application(self) -> dict[str, Any]:
        """As the API shows it."""
        resources = [self._resource(name) for name in sorted({*self._live, *self._desired})]
        status: dict[str, Any] = {
            "sync": {**self._sync, "comparedTo": {"source": self.spec["source"],
                                                  "destination": self.spec["destination"]}},
            "health": {"status": self._health(resources)},
            "history": list(self.history),
            "resources": resources,
            "reconciledAt": self.timestamp(self._reconciled),
            "sourceType": "Helm",
            "controllerNamespace": "argocd",
        }  # fmt: skip
        if self.state is not None:
            status["operationState"] = self.state
        if self._problem:
            problem = {"type": "ComparisonError", "message": self._problem}
            status["conditions"] = [{**problem, "lastTransitionTime": self.timestamp(self.now)}]
        made = {
            "metadata": {
                "name": self.name, "namespace": "argocd", "annotations": self.annotations,
                "resourceVersion": str(self.version),
            },
            "spec": self.spec,
            "status": status,
        }  # fmt: skip
        return made if self.operation is None else {**made, "operation": self.operation}

    def _resource(self, name: str) -> dict[str, Any]:
        one = self._live.get(name) or self._desired[name]
        group, _, version = one["apiVersion"].rpartition("/")
        found: dict[str, Any] = {
            "kind": one["kind"], "name": one["metadata"]["name"], "namespace": "search",
            "version": version,
            "status": "Synced" if self._live.get(name) == self._desired.get(name) else "OutOfSync",
        }  # fmt: skip
        if group:
            found["group"] = group
        if name not in self._live:
            found["health"] = {"status": "Missing"}
        elif (health := self.cluster.health(name, self.now)) is not None:
            found["health"] = health
        if name in self._live and name not in self._desired:
            found["requiresPruning"] = True
        return found

    def _health(self, resources: list[dict[str, Any]]) -> str:
        order = ["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"]
        found = [one["health"]["status"] for one in resources if "health" in one]
        return max(found, key=order.index, default="Healthy" if self._live else "Missing")


def merged(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(value) if isinstance(value, Mapping) else {}
    for key, new in patch.items():
        if new is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), new)
    return found
