"""What the ring is connected to, and how each of its actions is allowed and recorded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from predator.domain.errors import PolicyDenied
from predator.domain.verdicts import Decision
from predator.journal.audit import AuditJournal
from predator.journal.summary import CycleSummary
from predator.loop.desired_state import DesiredState
from predator.loop.replica import EncodeAll
from predator.policy.decision import PolicyDecision, Principal, decide
from predator.ports.clock import Clock
from predator.ports.corpus import Corpus
from predator.ports.datasets import Datasets
from predator.ports.deployer import Deployer
from predator.ports.encoder import Encoder
from predator.ports.feedback import Feedback
from predator.ports.object_store import ObjectStore
from predator.ports.progress import Progress
from predator.ports.tracking import Tracking

T = TypeVar("T")

LOOP = Principal("loop", "system")


class Options(Protocol):
    """The settings that the ring reads (see ``predator.config``)."""

    contour: str
    window_s: float
    windows_needed: int
    windows_max: int
    generated_queries: int
    alpha: float
    power: float
    ndcg_delta_rel_min: float
    category_delta_rel_min: float
    latency_delta_rel_max: float
    latency_floor_ms: float
    cost_per_1k_usd_max: float
    cpu_hour_usd: float
    csat_min: float
    experiment_share: float
    experiment_max_s: float
    experiment_min_s: float
    watch_looks: int
    watch_look_s: float
    holdback_share: float
    gross_drop_rel: float
    seed: int


@dataclass(frozen=True, slots=True)
class Ring:
    """The seams of one contour."""

    options: Options
    desired: DesiredState
    objects: ObjectStore
    datasets: Datasets
    tracking: Tracking
    deployer: Deployer
    feedback: Feedback
    corpus: Corpus
    clock: Clock
    encoder: Encoder
    encode_all: EncodeAll
    progress: Progress
    artifacts: Path
    flags: Callable[[], Mapping[str, bool]]


@dataclass
class Record:
    """One cycle on the record: its folder, journal, MLflow run, and what each action cost.

    Every effect goes through :meth:`act`, which asks policy first and writes down what it said.
    """

    ring: Ring
    cycle_id: str
    trigger: Mapping[str, Any]
    principal: Principal = LOOP
    actions: list[dict[str, Any]] = field(default_factory=list)
    run_id: str = ""

    def __post_init__(self) -> None:
        self.folder = self.ring.artifacts / self.cycle_id
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started = self.ring.clock.now()
        self._cpu = _cpu_s()
        self.journal = AuditJournal(self.folder / "audit.jsonl", now=self.ring.clock.now)
        self.run_id = self.ring.tracking.start(
            self.cycle_id, {"contour": self.ring.options.contour, **_plain(self.trigger)}
        )
        self.journal.append({"type": "start", "cycle_id": self.cycle_id, "trigger": self.trigger})

    def act(
        self,
        kind: str,
        effect: str,
        work: Callable[[], T],
        describe: Callable[[T], Mapping[str, Any]] = lambda _: {},
        context: Mapping[str, bool | int | str] | None = None,
    ) -> T:
        """Do ``work`` if policy allows ``effect``; record the decision, duration and result.

        ``describe`` turns the result into the action's fields (outputs, hashes, references).
        Raises ``PolicyDenied`` where the answer is not ALLOW; then nothing is done.
        """
        self.ask(kind, effect, context)
        started = time.monotonic()
        try:
            result = work()
        except BaseException as error:
            self._action(kind, "failed", time.monotonic() - started, {"error": str(error)[:300]})
            raise
        self._action(kind, "completed", time.monotonic() - started, describe(result))
        return result

    def ask(
        self, kind: str, effect: str, context: Mapping[str, bool | int | str] | None = None
    ) -> PolicyDecision:
        """Policy's answer to ``effect``, on the record; ``PolicyDenied`` unless it is ALLOW."""
        contour = self.ring.options.contour
        answer = decide(self.principal, effect, contour, {**self.ring.flags(), **(context or {})})
        self.journal.append(
            {
                "type": "policy",
                "action": kind,
                "effect": effect,
                "context": dict(context or {}),
                "decision": str(answer.decision),
                "rule": answer.rule,
            }
        )
        if answer.decision is not Decision.ALLOW:
            self._action(kind, "denied", 0.0, {"rule": answer.rule})
            raise PolicyDenied(
                f"policy says {answer.decision} to {effect} by rule {answer.rule}: {answer.reason}"
            )
        return answer

    def write(self, name: str, value: Any) -> Path:
        """Write a file of the cycle (JSON, text or bytes), atomically, and copy it to MLflow."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, bytes):
            data = value
        elif isinstance(value, str):
            data = value.encode()
        else:
            data = (
                json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            ).encode()
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        self.ring.tracking.artifact(self.run_id, path)
        return path

    @property
    def cost_usd(self) -> float:
        """CPU seconds since the start, children included, at the configured price."""
        return (_cpu_s() - self._cpu) / 3600 * self.ring.options.cpu_hour_usd

    def close(self, outcome: str, *, rollback_available: bool) -> None:
        """Write the cost and the summary that closes the journal, and end the MLflow run."""
        cpu = _cpu_s() - self._cpu
        self.write("cost.json", {"cpu_s": round(cpu, 3), "total_cost_usd": round(self.cost_usd, 6)})
        self.journal.write_summary(
            CycleSummary(
                self.cycle_id,
                timestamp(self.started),
                self.ring.options.contour,
                dict(self.trigger),
                self.actions,
                "system",
                round(self.cost_usd, 6),
                outcome,
                rollback_available,
            )
        )
        self.ring.tracking.metrics(self.run_id, {"total_cost_usd": self.cost_usd})
        self.ring.tracking.artifact(self.run_id, self.folder / "audit.jsonl")
        self.ring.tracking.finish(self.run_id, outcome)

    def abandon(self, reason: str) -> None:
        """Close what can be closed after an error or an interrupt."""
        with suppress(Exception):
            self.close(reason, rollback_available=False)

    def _action(
        self, kind: str, status: str, duration_s: float, details: Mapping[str, Any]
    ) -> None:
        action = {
            "sequence": len(self.actions) + 1,
            "type": kind,
            "status": status,
            "duration_sec": round(duration_s, 3),
            **details,
        }
        self.actions.append(action)
        self.journal.append({"type": "action", "action": action})
        self.ring.tracking.action(self.run_id, len(self.actions), action)


def timestamp(at: float) -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _plain(values: Mapping[str, Any]) -> dict[str, str]:
    return {f"trigger_{name}": str(value) for name, value in values.items()}


def files_of(folder: Path) -> Sequence[str]:
    """The files of a cycle's folder, relative to it."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
