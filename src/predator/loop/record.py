"""One cycle on the record: every effect allowed first, done once, and written down."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.errors import ConflictError, PolicyDenied, PredatorError
from predator.domain.governance import Notice
from predator.domain.verdicts import Decision
from predator.journal.audit import AuditJournal
from predator.journal.files import read_file, write_whole
from predator.loop import approval, books, deciders
from predator.loop.ring import OPTIONS, Options, Ring
from predator.policy.decision import Context, PolicyDecision, Principal
from predator.ports.runtime import Json, Runtime

LOOP = Principal("loop", "system")
LAYER = "ranking"
BACKWARD = frozenset({"rollback", "end_experiment", "end_watch", "notify", "charge"})
"""What takes back or tells: asked for even after somebody has cancelled the cycle."""

FENCED = frozenset(
    {"start_experiment", "promote", "register_model", "keep_gold", "drill", "end_watch"}
)
"""Short effects that the kill switch waits for before it says that it is engaged."""

BOOKING_PAUSES_S = (1.0, 10.0, 60.0)
"""After each attempt to book a cycle that is over; then it stays as it is."""

Describe = Callable[[Any], Mapping[str, Any]]


class CycleCancelled(PredatorError):  # noqa: N818 - the outcome is called cancelled
    """A person asked this cycle to stop."""


class Record:
    """One cycle: its folder, journal, MLflow run, and what each action cost.

    Every effect goes through :meth:`act`. A record is only used inside its flow; what it knows
    comes from its steps, so that a flow that is run again knows the same.
    """

    def __init__(
        self,
        ring: Ring,
        runtime: Runtime,
        cycle_id: str,
        trigger: Mapping[str, Any],
        principal: Principal = LOOP,
        *,
        simulated: bool = False,
    ) -> None:
        self.ring, self.runtime, self.cycle_id = ring, runtime, cycle_id
        self.trigger, self.principal, self._simulated = trigger, principal, simulated
        self.options: Options = ring.options
        """As they were when the cycle began: a change of settings counts from the next one."""
        self.run_id = ""
        self.started = 0.0
        self._doing = ""
        self._written: dict[str, bytes] = {}
        self.followed: set[int] = set()

    @property
    def folder(self) -> Path:
        return self.ring.artifacts / self.cycle_id

    @property
    def target(self) -> str:
        """What an experiment of this cycle would stand on: one layer of one contour."""
        return f"{self.options.contour}/{LAYER}"

    @property
    def trainings(self) -> str:
        """What trainings of a contour queue for: one at a time on this machine's cores."""
        return f"{self.options.contour}/training"

    def leave(self, target: str) -> None:
        """Give a place in a queue back. Call it inside a step."""
        self.ring.governance.slots.release(target, self.cycle_id)

    @cached_property
    def journal(self) -> AuditJournal:
        return AuditJournal(self.folder / "audit.jsonl", now=self.ring.clock.now)

    def step(self, name: str, work: Callable[[], Json]) -> Json:
        """A durable step of this cycle that is no effect: reading, claiming, deciding."""
        return self.runtime.step(f"{self.cycle_id}/{name}", work)

    def begin(self) -> None:
        """Open the folder, the journal and the MLflow run; the same again finds them open."""
        found = self.step("begin", self._begin)
        self.run_id, self.started = found["run_id"], found["started"]
        self.options = cast(
            "Options", SimpleNamespace(**{**self._settings(), **found.get("options", {})})
        )

    def claim_limits(self) -> Context:
        """Count this cycle and set its money aside; what policy is told of both."""
        governance = self.ring.governance
        rules, limits = governance.rules, governance.limits

        def claim() -> Json:
            at = self.ring.clock.now()
            claimed = {
                "cycles_within_limit": limits.begin_cycle(
                    rules.contour, self.cycle_id, at, rules.max_cycles_per_day
                ),
                "budget_within_limit": limits.reserve(
                    rules.contour, self.cycle_id, at, rules.cycle_cost_usd, governance.budget_usd()
                ),
            }
            if self.has_ended():
                limits.settle(self.cycle_id)
            return claimed

        claimed: dict[str, bool] = self.step("limits", claim)
        return claimed

    def act(
        self,
        name: str,
        effect: str,
        work: Callable[[], Json],
        describe: Describe = lambda _: {},
        context: Context | None = None,
        *,
        subject: str = "",
        release: str = "",
        kind: str = "",
    ) -> Json:
        """Do ``work`` (idempotent) if policy allows ``effect``, and record what came of it.

        ``name`` is unique in the cycle; ``kind`` is the action's type in the audit where that is
        another word. ``describe`` turns the result into the action's fields. Where policy wants
        a person, ``subject`` and ``release`` say what about, and the flow waits for the answer.
        Raises ``PolicyDenied`` where the answer is not ALLOW; then nothing is done.
        """
        kind = kind or name

        def attempt(more: Context) -> Callable[[], Json]:
            given = {**(context or {}), **more}
            about = subject, release
            return lambda: self._attempt(name, kind, effect, work, describe, given, *about)

        found = self.step(name, attempt({}))
        if "pending" in found:
            refused = approval.refused(
                self, found["pending"], found["expires_at"], effect, context or {}
            )
            if refused:
                raise PolicyDenied(f"{effect} was not approved: {refused}")
            found = self.step(f"{name}:approved", attempt({"approved": True}))
        return found["result"]

    def permit(
        self, name: str, effect: str, context: Context, *, subject: str, release: str
    ) -> Context:
        """Get policy's leave, a person's too where it wants one, ahead of the effect itself.

        What to tell policy when it is asked again right before the effect.
        """
        allowed = {**context, "approved": False}

        def granted() -> Json:
            asked = [r for r in self.journal.read() if r.get("type") == "policy"]
            return {"approved": asked[-1]["context"].get("approved", False)}

        found = self.act(
            name, effect, granted, context=context, subject=subject, release=release,
            kind=f"permit_{effect}",
        )  # fmt: skip
        return {**allowed, **found}

    def ask(self, name: str, effect: str, context: Context | None = None) -> PolicyDecision:
        """Policy's answer to ``effect``, on the record. Call it inside a step."""
        asked = {"simulated": self._simulated, **(context or {})}
        given = self.ring.governance.ask(self.principal, effect, asked)
        self.journal.append(
            {
                "type": "policy",
                "action": name,
                "effect": effect,
                "role": self.principal.role,
                "principal": self.principal.name,
                "contour": self.options.contour,
                "context": dict(given.context),
                "decision": str(given.answer.decision),
                "rule": given.answer.rule,
                "policy_digest": deciders.keep_policies(self.folder),
                **({"override": asdict(given.override), "asked_at": given.at}
                   if given.override is not None else {}),
            }
        )  # fmt: skip
        return given.answer

    def decide(self, key: str, decider: str, inputs: Json) -> Json:
        """A decision with all that it was based on, kept so that it can be derived again."""
        return deciders.write_decision(self.folder, self.journal, key, decider, inputs)

    def write(self, name: str, value: Any) -> Path:
        """Write a file of the cycle (JSON, text or bytes), atomically, and copy it to MLflow.

        ``ConflictError`` where another worker has recorded meanwhile what this one is doing: its
        files are the ones that count.
        """
        path = self.folder / name
        data = books.as_bytes(value)
        with self.journal.alone():
            over = any(one.get("type") in (books.BOUND, "summary") for one in self.journal.read())
            if over or self._recorded(self._doing) is not None:
                raise ConflictError(f"{name} of {self.cycle_id} was written by another worker")
            write_whole(path, data)
        self._written[name] = data
        self.ring.tracking.artifact(self.run_id, path)
        return path

    @property
    def actions(self) -> list[dict[str, Any]]:
        """What the journal says was done, in order."""
        return [r["action"] for r in self.journal.read() if r.get("type") == "action"]

    def notify(self, key: str, severity: Any, title: str, text: str) -> None:
        """Tell people; a step of its own, once."""
        notice = self._notice(key, severity, title, text)

        def tell() -> Json:
            try:
                answer = self.ask(f"notify:{key}", "notify")
            except (PredatorError, OSError):
                # A journal that is closed or cannot be written is what people must hear of.
                answer = self.ring.governance.ask(self.principal, "notify", {}).answer
            allowed = answer.decision is Decision.ALLOW
            try:
                return allowed and self.ring.governance.notifier.notify(notice)
            except PredatorError as error:  # news decide nothing
                self.ring.progress.note(f"people could not be told {notice.title!r}: {error}")
                return False

        self.step(f"notify:{key}", tell)

    def alarm(self, key: str, title: str, text: str) -> None:
        """As :meth:`notify`, also where the journal cannot be written: that is what it is for."""
        notice = self._notice(key, "critical", title, text)

        def tell() -> Json:
            asked = {"simulated": self._simulated}
            answer = self.ring.governance.ask(self.principal, "notify", asked).answer
            allowed = answer.decision is Decision.ALLOW
            return allowed and self.ring.governance.notifier.notify(notice)

        self.step(f"alarm:{key}", tell)

    def _notice(self, key: str, severity: Any, title: str, text: str) -> Notice:
        return Notice(
            f"{self.cycle_id}:{key}", severity, title, text, self.options.contour,
            self.cycle_id, str(self.folder),
        )  # fmt: skip

    def mark(self, moment: str) -> None:
        """Note when the cycle came to a moment. Call it inside a step."""
        self.ring.governance.cycles.mark(self.cycle_id, moment, self.ring.clock.now())

    def close(self, outcome: str, *, rollback_available: bool, approver: str = "system") -> float:
        """Write cost and summary, anchor the journal in git, end the run; the cost in USD."""
        found = self.step("close", lambda: books.close(self, outcome, rollback_available, approver))
        cost: float = found["cost_usd"]
        for pause_s in BOOKING_PAUSES_S:
            if self.step("book", lambda: books.book(self, cost, found["outcome"])):
                break
            self.runtime.wait("book", pause_s)
        return cost

    def give_up(self, outcome: str) -> None:
        """End without a closed record: nobody must wait for what this cycle holds."""
        self.step("give_up", lambda: books.free(self, self.summed_up() or outcome))

    def cancelled(self) -> str | None:
        """Why a person wants this cycle to stop, if one does. Call it inside a step."""
        entry = self.ring.governance.cycles.get(self.cycle_id)
        if entry is None or not entry.cancelled_by:
            return None
        return f"cancelled by {entry.cancelled_by}: {entry.cancel_reason}"

    def has_ended(self) -> bool:
        """Whether the cycle is over. A step that finds it so belongs to a worker that was frozen
        while another one ended the cycle, and gives back what it has just taken."""
        entry = self.ring.governance.cycles.get(self.cycle_id)
        return entry is not None and entry.outcome != ""

    def stopped(self, effect: str) -> str | None:
        """Why long work that was allowed must not go on, if it must not. Inside a step."""
        context = {"simulated": self._simulated, "experiments_within_limit": True}
        return self.denied(effect, context) or self.cancelled()

    def denied(self, effect: str, context: Context) -> str | None:
        """Policy's DENY, which goes on the record, if that is its answer."""
        asked = {"simulated": self._simulated, **context}
        answer = self.ring.governance.ask(self.principal, effect, asked).answer
        if answer.decision is not Decision.DENY:
            return None
        answer = self.ask(f"stopped:{effect}", effect, context)
        return f"{answer.rule}: {answer.reason}" if answer.decision is Decision.DENY else None

    def _begin(self) -> Json:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mark("started")
        plain = {f"trigger_{name}": str(value) for name, value in self.trigger.items()}
        run_id = self.ring.tracking.start(self.cycle_id, {"contour": self.options.contour, **plain})
        self.journal.append_once(
            "begin", {"type": "start", "cycle_id": self.cycle_id, "trigger": dict(self.trigger)}
        )
        begun = self.journal.find("begin")
        return {
            "run_id": run_id,
            "started": begun["at"] if begun else self.ring.clock.now(),
            "options": self._settings(),
        }

    def _settings(self) -> dict[str, Any]:
        """The settings in force: for what an older record of this cycle does not say."""
        return {name: getattr(self.ring.options, name) for name in OPTIONS}

    def _attempt(
        self,
        name: str,
        kind: str,
        effect: str,
        work: Callable[[], Json],
        describe: Describe,
        context: Context,
        subject: str,
        release: str,
    ) -> Json:
        if (kept := self._kept(name)) is not None:
            return kept
        if effect not in BACKWARD and (why := self.cancelled()) is not None:
            raise CycleCancelled(why)
        self._written = {}
        fence = self.ring.governance.fence.passing() if effect in FENCED else nullcontext()
        with fence:
            answer = self.ask(name, effect, context)
            if answer.decision is Decision.NEEDS_APPROVAL:
                return approval.ask_a_person(self, name, effect, subject, release, answer)
            if answer.decision is Decision.DENY:
                self._action(name, kind, "denied", 0.0, 0.0, {"rule": answer.rule})
                raise PolicyDenied(f"policy denies {effect} by rule {answer.rule}: {answer.reason}")
            started, used = time.monotonic(), _cpu_s()
            self._doing = name
            try:
                result = work()
            except Exception as error:
                if (kept := self._kept(name)) is not None:
                    return kept
                spent = time.monotonic() - started, _cpu_s() - used
                self._action(name, kind, "failed", *spent, {"error": str(error)[:300]})
                raise
            finally:
                self._doing = ""
            spent = time.monotonic() - started, _cpu_s() - used
        self._written[_kept_file(name)] = canonical_json({"result": result})
        self._action(name, kind, "completed", *spent, describe(result))
        return self._result(name, self._recorded(name) or {})

    def _kept(self, name: str) -> Json | None:
        """The result of an action that was done and recorded before a crash lost its step."""
        action = self._recorded(name)
        if action is None or action["status"] != "completed":
            return None
        found = self._result(name, action)
        books.try_to_follow_up(self, name, action)
        return found

    def _result(self, name: str, action: Mapping[str, Any]) -> Json:
        kept = _kept_file(name)
        return json.loads(read_file(self.folder, kept, action["files"][kept]))

    def _recorded(self, name: str) -> dict[str, Any] | None:
        record = self.journal.find(f"{name}:action")
        return dict(record["action"]) if record is not None else None

    def _action(
        self,
        name: str,
        kind: str,
        status: str,
        duration_s: float,
        cpu_s: float,
        details: Mapping[str, Any],
    ) -> None:
        """Record an attempt with the files it left, and do what follows.

        Of two workers that completed the same action (one of them was frozen) the first counts:
        the other one's files are not written any more, and it follows up on the first's record.
        """
        sequence = len(self.actions) + 1

        def made(_number: int) -> dict[str, Any]:
            for file, data in self._written.items():
                _restore(self.folder / file, data)
            action = {
                "sequence": len(self.actions) + 1,
                "type": kind,
                "status": status,
                "duration_sec": round(duration_s, 3),
                "cost_usd": round(cpu_s / 3600 * self.options.cpu_hour_usd, 9),
                **details,
                "files": {file: sha256_hex(data) for file, data in self._written.items()},
            }
            return {"type": "action", "action": action}

        # A failed or denied attempt may be followed by another one, so its key is its own.
        key = f"{name}:action" if status == "completed" else f"{name}:{status}:{sequence}"
        self.journal.append_made(key, made)
        record = self.journal.find(key)
        if record is not None:
            books.try_to_follow_up(self, name, record["action"])

    def summed_up(self) -> str | None:
        """The outcome in the journal, where it is closed: nothing else may name another one."""
        try:
            self.journal.read()
        except (PredatorError, OSError):
            return None
        return str(self.journal.summary["outcome"]) if self.journal.summary is not None else None


def _kept_file(action: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", action)
    return f"steps/{name}.json"


def _restore(path: Path, data: bytes) -> None:
    """Let ``path`` hold ``data``, whatever another worker has written there meanwhile."""
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
