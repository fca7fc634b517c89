"""What the flows of the year share: the clock, the stores, the deciders, and what is live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from predator.config import Settings
from predator.domain.errors import PolicyDenied
from predator.domain.governance import Approval, Notice
from predator.domain.verdicts import Decision
from predator.loop.governance import Governance
from predator.policy.decision import Context, PolicyDecision, Principal
from predator.simulation.year.crowd import Crowd
from predator.simulation.year.deciders import Deciders
from predator.simulation.year.gold import Gold
from predator.simulation.year.tally import Tally, count
from predator.simulation.year.timeline import Flow, Timeline
from predator.simulation.year.weather import Weather
from predator.simulation.year.world import DAY_S, HOUR_S, Chances, Release, World

LOOP = Principal("loop", "the simulated year")
DRILL = Principal("drill", "the simulated year")
OPERATOR = Principal("operator", "the person on call")
WORKDAY = (9, 17)
"""When people answer, Monday to Friday (UTC)."""
NEEDED = ("git", "deployer", "policy_store", "object_store", "metrics", "mlflow")
"""What a promotion cannot do without. The notifier is not among them: news wait in its outbox."""


@dataclass(slots=True)
class Fact:
    """The verdicts of a cycle; when it came to them stands in the register."""

    offline: str = ""
    experiment: str = ""


@dataclass(slots=True)
class Loop:
    """One target of one contour, for a year."""

    settings: Settings
    timeline: Timeline
    world: World
    weather: Weather
    crowd: Crowd
    gold: Gold
    chances: Chances
    governance: Governance
    deciders: Deciders
    tally: Tally
    facts: dict[str, Fact] = field(default_factory=dict)
    versions: int = 1

    @property
    def now(self) -> float:
        return self.timeline.now()

    @property
    def live(self) -> Release:
        return self.tally.live

    @property
    def target(self) -> str:
        return f"{self.settings.contour}/ranking"

    def rng(self, what: str, cycle_id: str) -> np.random.Generator:
        """The stream of chance of one thing in one cycle."""
        return self.chances.of(what, *cycle_id.encode())

    def need(self, *systems: str) -> None:
        """``Outage`` where one of them does not answer now."""
        self.weather.need(self.now, *systems)

    def ask(self, who: Principal, effect: str, context: Context) -> PolicyDecision:
        """What policy says now."""
        answer = self.governance.ask(who, effect, context).answer
        count(self.tally.policy, str(answer.decision))
        return answer

    def allow(self, effect: str, context: Context | None = None, who: Principal = LOOP) -> None:
        """``PolicyDenied`` where policy does not allow it now."""
        answer = self.ask(who, effect, context or {})
        if answer.decision is not Decision.ALLOW:
            raise PolicyDenied(f"{answer.rule}: {answer.reason}")

    def permit(
        self, cycle_id: str, effect: str, context: Context, subject: str
    ) -> Flow[PolicyDecision]:
        """Policy's ALLOW, after a person's answer in working hours where it wants one."""
        answer = self.ask(LOOP, effect, context)
        if answer.decision is Decision.NEEDS_APPROVAL:
            name = f"{cycle_id}:{effect}"
            contour, rules = self.settings.contour, self.governance.rules
            self.governance.request(
                Approval(
                    name, contour, cycle_id, effect, subject, cycle_id, answer.rule,
                    self.now, self.now + rules.approval_expires_s,
                )
            )  # fmt: skip
            yield _until_work(self.now, self.rng("approval", cycle_id))
            self.governance.approvals.decide(
                name, approved=True, actor="on call", reason="the evidence is there", at=self.now
            )
            answer = self.ask(LOOP, effect, {**context, "approved": True})
        if answer.decision is not Decision.ALLOW:
            raise PolicyDenied(f"{answer.rule}: {answer.reason}")
        return answer

    def notify(self, key: str, title: str, text: str) -> None:
        """Tell people; while nobody takes the news, they wait."""
        self.governance.notifier.notify(Notice(key, "warning", title, text, self.settings.contour))

    def serve(self, release: Release) -> None:
        """Everybody to ``release``, from now on."""
        self.tally.serve(release, self.now)

    def up_again(self, systems: Sequence[str]) -> Flow[None]:
        """Wait until all of ``systems`` answer."""
        while set(self.weather.down(self.now)) & set(systems):
            yield 60.0


def _until_work(now: float, rng: np.random.Generator) -> float:
    """Seconds until somebody answers: within two hours of a working day."""
    at = now + float(rng.uniform(0.1, 2.0)) * HOUR_S
    while not (_weekday(at) < 5 and WORKDAY[0] <= (at % DAY_S) / HOUR_S < WORKDAY[1]):
        at += HOUR_S
    return at - now


def _weekday(at: float) -> int:
    """0 is Monday."""
    return (int(at // DAY_S) + 3) % 7
