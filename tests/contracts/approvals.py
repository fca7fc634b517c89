"""What every store of approvals must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from predator.domain.errors import ConflictError, InputError
from predator.domain.governance import Approval
from predator.ports.approvals import Approvals

ASKED = Approval(
    id="si_2025_12_07_001:promote",
    contour="edge-oracle",
    cycle_id="si_2025_12_07_001",
    action="promote_release",
    subject="release 1f… goes live; its gain is +4.1%",
    release="1f" * 32,
    rule="promotion-needs-approval",
    requested_at=1_765_000_000.25,
    expires_at=1_765_086_400.25,
)
LATER = ASKED.requested_at + 60


class ApprovalsContract:
    def test_an_unknown_request_is_none(self, approvals: Approvals) -> None:
        assert approvals.get("nothing") is None
        assert list(approvals.list()) == []

    def test_a_request_waits_until_it_is_answered(self, approvals: Approvals) -> None:
        assert approvals.request(ASKED) == ASKED
        assert approvals.get(ASKED.id) == ASKED
        answered = approvals.decide(ASKED.id, approved=True, actor="olena", reason="ok", at=LATER)
        assert answered == replace(
            ASKED, state="approved", actor="olena", reason="ok", decided_at=LATER
        )
        assert approvals.get(ASKED.id) == answered

    def test_asking_again_gives_the_request_as_it_stands(self, approvals: Approvals) -> None:
        approvals.request(ASKED)
        answered = approvals.decide(ASKED.id, approved=False, actor="o", reason="no", at=LATER)
        assert answered.state == "rejected"
        assert approvals.request(replace(ASKED, subject="other")) == answered
        assert list(approvals.list()) == [answered]

    def test_the_same_answer_again_changes_nothing(self, approvals: Approvals) -> None:
        approvals.request(ASKED)
        first = approvals.decide(ASKED.id, approved=True, actor="o", reason="ok", at=LATER)
        for at in (LATER + 1, ASKED.expires_at + 1):
            again = approvals.decide(ASKED.id, approved=True, actor="o", reason="hm", at=at)
            assert again == first

    @pytest.mark.parametrize(("approved", "actor"), [(False, "o"), (True, "t"), (False, "t")])
    def test_another_answer_is_a_conflict(
        self, approvals: Approvals, approved: bool, actor: str
    ) -> None:
        approvals.request(ASKED)
        first = approvals.decide(ASKED.id, approved=True, actor="o", reason="ok", at=LATER)
        with pytest.raises(ConflictError, match="was approved by o before"):
            approvals.decide(ASKED.id, approved=approved, actor=actor, reason="x", at=LATER)
        assert approvals.get(ASKED.id) == first

    @pytest.mark.parametrize("after_s", [0, 1, 1e9])
    def test_after_its_end_nobody_can_answer(self, approvals: Approvals, after_s: float) -> None:
        approvals.request(ASKED)
        for approved in (True, False):
            with pytest.raises(ConflictError, match="has expired"):
                approvals.decide(
                    ASKED.id,
                    approved=approved,
                    actor="o",
                    reason="x",
                    at=ASKED.expires_at + after_s,
                )
        assert approvals.get(ASKED.id) == ASKED

    def test_an_answer_needs_a_known_request_an_actor_and_a_reason(
        self, approvals: Approvals
    ) -> None:
        with pytest.raises(InputError, match="there is no approval"):
            approvals.decide("nothing", approved=True, actor="o", reason="x", at=LATER)
        approvals.request(ASKED)
        with pytest.raises(InputError, match="actor is missing"):
            approvals.decide(ASKED.id, approved=True, actor=" ", reason="x", at=LATER)
        with pytest.raises(InputError, match="reason is missing"):
            approvals.decide(ASKED.id, approved=True, actor="o", reason="", at=LATER)
        with pytest.raises(ValueError, match="not a time"):
            approvals.decide(ASKED.id, approved=True, actor="o", reason="x", at=float("nan"))
        assert approvals.get(ASKED.id) == ASKED

    def test_no_request_comes_with_its_answer(self, approvals: Approvals) -> None:
        for forged in (
            replace(ASKED, state="approved"),
            replace(ASKED, actor="o"),
            replace(ASKED, decided_at=1.0),
        ):
            with pytest.raises(ValueError, match="not a pending request"):
                approvals.request(forged)
        assert approvals.get(ASKED.id) is None

    def test_lists_are_newest_first_by_contour_and_state(self, approvals: Approvals) -> None:
        first = approvals.request(replace(ASKED, id="a", contour="local"))
        newest = approvals.request(replace(ASKED, id="b", requested_at=LATER))
        same = approvals.request(replace(ASKED, id="c"))
        assert list(approvals.list()) == [newest, same, first]
        assert list(approvals.list("edge-oracle")) == [newest, same]
        assert list(approvals.list("nowhere")) == []
        answered = approvals.decide("c", approved=True, actor="o", reason="x", at=LATER)
        assert list(approvals.list(pending=True)) == [newest, first]
        assert list(approvals.list("edge-oracle", pending=True)) == [newest]
        assert list(approvals.list("edge-oracle")) == [newest, answered]

    def test_of_many_answers_at_once_one_counts(self, approvals: Approvals) -> None:
        approvals.request(ASKED)

        def answer(number: int) -> str | None:
            try:
                return approvals.decide(
                    ASKED.id, approved=number % 2 == 0, actor=f"a{number}", reason="x", at=LATER
                ).actor
            except ConflictError:
                return None

        with ThreadPoolExecutor(16) as pool:
            winners = [actor for actor in pool.map(answer, range(16)) if actor]
        found = approvals.get(ASKED.id)
        assert found is not None
        assert winners == [found.actor]
