"""Station 7: a promotion is a chain of evidence, each link bound to one release and in order.

No link can be skipped or exchanged: an illegal order raises (python-tuf's trusted metadata set is
the model). Only a complete chain yields the change that makes a release live.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from predator.domain.canonical import digest_of
from predator.domain.verdicts import Decision, Verdict


class IllegalPromotion(Exception):  # noqa: N818 - a defect of the caller, not an error to handle
    """A link is missing, out of order, or bound to another release."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Evidence so far that ``release`` may go live: evaluation → experiment → policy."""

    release: str
    evaluation: str | None = None
    experiment: str | None = None
    policy: str | None = None

    def evaluated(self, release: str, verdict: Verdict, record: dict[str, Any]) -> Promotion:
        """Add the offline evaluation of this very release; only PASS is evidence."""
        self._same(release)
        if self.evaluation is not None:
            raise IllegalPromotion("the release was evaluated already")
        if verdict is not Verdict.PASS:
            raise IllegalPromotion(f"the evaluation says {verdict}, not PASS")
        return replace(self, evaluation=digest_of(record))

    def experimented(self, release: str, verdict: Verdict, record: dict[str, Any]) -> Promotion:
        """Add the experiment's result; it must follow the evaluation."""
        self._same(release)
        if self.evaluation is None:
            raise IllegalPromotion("an experiment without an offline evaluation is no evidence")
        if self.experiment is not None:
            raise IllegalPromotion("the release had its experiment already")
        if verdict is not Verdict.PASS:
            raise IllegalPromotion(f"the experiment says {verdict}, not PASS")
        return replace(self, experiment=digest_of(record))

    def allowed(self, release: str, decision: Decision, rule: str) -> Promotion:
        """Add the policy's answer; it must come last, when all evidence lies before it."""
        self._same(release)
        if self.experiment is None:
            raise IllegalPromotion("policy was asked before the evidence was complete")
        if self.policy is not None:
            raise IllegalPromotion("policy has answered already")
        if decision is not Decision.ALLOW:
            raise IllegalPromotion(f"policy says {decision} by {rule}")
        return replace(self, policy=rule)

    @property
    def trailers(self) -> dict[str, str]:
        """The evidence as commit trailers; raises while a link is missing."""
        if self.evaluation is None or self.experiment is None or self.policy is None:
            raise IllegalPromotion("the chain of evidence is not complete")
        return {
            "Release": self.release,
            "Evaluation": self.evaluation,
            "Experiment": self.experiment,
            "Policy": self.policy,
        }

    def _same(self, release: str) -> None:
        if release != self.release:
            raise IllegalPromotion(
                f"evidence for {release[:12]} cannot promote {self.release[:12]}"
            )


def next_version(version: str) -> str:
    """``v1.0`` → ``v2.0``: every promoted release is a new major version."""
    major = int(version.removeprefix("v").split(".")[0])
    return f"v{major + 1}.0"
