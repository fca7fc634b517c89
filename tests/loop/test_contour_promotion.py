"""A release goes to the next contour on evidence that still holds, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.errors import InputError
from predator.loop.deciders import DECIDERS, to_promotion_between
from predator.loop.release.contour_promotion import (
    FROM,
    PATH,
    Promotable,
    ReleaseChange,
    check_step,
    next_contour,
    previous_contour,
    promotable,
    promotion_between_inputs,
    stands,
)
from predator.ports.releases import KeptRelease
from predator.search.desired import LiveRelease

EDGE, COMPUTE = "edge-oracle", "compute-nvidia"
V1, V2, V3 = "1" * 64, "2" * 64, "3" * 64
DIGESTS = {"v1.0": V1, "v2.0": V2, "v3.0": V3}


def change(version: str, revision: str = "", digest: str = "", **trailers: str) -> ReleaseChange:
    """A commit that made ``version`` live; ``From_Contour`` is the trailer ``From-Contour``."""
    named = {name.replace("_", "-"): value for name, value in trailers.items()}
    live = LiveRelease(version, digest or DIGESTS[version], "cycle")
    return ReleaseChange(revision or f"r-{version}", live, named)


FOUNDED = change("v1.0", "r-1")
PASSED: Mapping[str, str] = {
    "Contour": EDGE, "Release": V2, "Evaluation": "e" * 64, "Experiment": "x" * 64,
}  # fmt: skip
SECOND = change("v2.0", "r-2", **PASSED)
KEPT = KeptRelease("v2.0", V2, "r-2", "cycle", 1.0, stable_at=2.0)


def judged(
    *there: ReleaseChange,
    here: tuple[ReleaseChange, ...] = (FOUNDED,),
    kept: KeptRelease | None = KEPT,
    step: tuple[str, str] = (EDGE, COMPUTE),
) -> Promotable:
    return promotable("v2.0", *step, kept, there, here)


def test_what_passed_and_was_kept_may_come() -> None:
    found = judged(FOUNDED, SECOND)
    assert found.allowed
    assert (found.digest, found.revision) == (V2, "r-2")
    assert (found.evaluation, found.experiment) == ("e" * 64, "x" * 64)
    assert not found.done
    assert not found.returned


@pytest.mark.parametrize("source", [*PATH, "local", "mars"])
@pytest.mark.parametrize("target", [*PATH, "local", "mars"])
def test_no_contour_is_skipped_and_none_is_gone_back_to(source: str, target: str) -> None:
    straight = (source, target) in {("dev-mac", EDGE), (EDGE, COMPUTE)}
    own = change("v2.0", "r-2", **{**PASSED, "Contour": source})
    assert judged(FOUNDED, own, step=(source, target)).allowed is straight
    if straight:
        check_step(source, target)
        assert (next_contour(source), previous_contour(target)) == (target, source)
    else:
        with pytest.raises(InputError, match="one step at a time"):
            check_step(source, target)


@pytest.mark.parametrize("missing", PASSED)
def test_a_commit_that_lacks_a_part_of_the_evidence_is_none(missing: str) -> None:
    trailers = {name: value for name, value in PASSED.items() if name != missing}
    found = judged(FOUNDED, change("v2.0", "r-2", **trailers))
    assert not found.allowed
    assert "no experiment on edge-oracle" in found.reason


@pytest.mark.parametrize(
    "trailers",
    [
        {"Contour": "compute-nvidia"},
        {"Release": V3},
        {"Evaluation": ""},
        {"Experiment": ""},
        {"From_Contour": "dev-mac"},
    ],
)
def test_evidence_of_another_contour_or_release_is_none(trailers: dict[str, str]) -> None:
    assert FROM == "From-Contour"
    assert not judged(FOUNDED, change("v2.0", "r-2", **{**PASSED, **trailers})).allowed


class TestTheWayBack:
    def test_what_the_watch_took_back_does_not_come(self) -> None:
        found = judged(FOUNDED, SECOND, change("v1.0", "r-3", Reverts="r-2"))
        assert (found.allowed, found.reason) == (False, "edge-oracle rolled v2.0 back")

    def test_what_people_went_back_from_does_not_come(self) -> None:
        later = change("v1.0", "r-3", **{"Rollback-To": "v1.0"})
        found = judged(FOUNDED, SECOND, later)
        assert found.reason == "edge-oracle went back to v1.0, before v2.0"
        by_hand = judged(FOUNDED, SECOND, change("v1.0", "r-3"))
        assert not by_hand.allowed

    def test_going_back_past_it_from_a_newer_one_counts_too(self) -> None:
        third = change("v3.0", "r-3", **{**PASSED, "Release": V3})
        assert judged(FOUNDED, SECOND, third).allowed
        assert not judged(FOUNDED, SECOND, third, change("v1.0", "r-4")).allowed
        again = judged(FOUNDED, SECOND, third, change("v1.0", "r-4"), change("v3.0", "r-5"))
        assert not again.allowed

    def test_a_newer_one_that_was_taken_back_leaves_it_where_it_was(self) -> None:
        third = change("v3.0", "r-3", **{**PASSED, "Release": V3})
        assert judged(FOUNDED, SECOND, third, change("v2.0", "r-4", Reverts="r-3")).allowed

    def test_a_drill_changes_nothing(self) -> None:
        bad = change("v2.0-drill", "r-3", digest="d" * 64)
        assert judged(FOUNDED, SECOND, bad, change("v2.0", "r-4", Reverts="r-3")).allowed

    def test_what_passed_again_later_may_come(self) -> None:
        back = change("v1.0", "r-3", Reverts="r-2")
        assert judged(FOUNDED, SECOND, back, change("v2.0", "r-4", **PASSED)).revision == "r-4"


class TestTheRegister:
    def test_an_unknown_version_does_not_come(self) -> None:
        assert judged(FOUNDED, SECOND, kept=None).reason == "there is no release v2.0"

    def test_what_its_watch_has_not_kept_yet_does_not_come(self) -> None:
        fresh = KeptRelease("v2.0", V2, "r-2", "cycle", 1.0)
        found = judged(FOUNDED, SECOND, kept=fresh)
        assert found.reason == "the watch on edge-oracle has not kept v2.0 yet"

    def test_a_version_that_names_another_release_does_not_come(self) -> None:
        other = KeptRelease("v2.0", V3, "r-2", "cycle", 1.0, stable_at=2.0)
        assert not judged(FOUNDED, SECOND, kept=other).allowed


class TestWhereItComesTo:
    def test_what_is_live_there_is_done(self) -> None:
        came = change("v2.0", "c-2", **{**PASSED, "Contour": COMPUTE, "From_Contour": EDGE})
        found = judged(FOUNDED, SECOND, here=(FOUNDED, came))
        assert (found.allowed, found.done) == (True, True)

    def test_an_older_one_does_not_replace_a_newer_one(self) -> None:
        found = judged(FOUNDED, SECOND, here=(FOUNDED, change("v3.0", "c-3")))
        assert found.reason == "v3.0 is live on compute-nvidia, which is newer"

    def test_a_contour_without_a_release_gets_none(self) -> None:
        assert judged(FOUNDED, SECOND, here=()).reason == "nothing is live on compute-nvidia yet"

    def test_what_came_and_was_taken_back_is_marked(self) -> None:
        came = change("v2.0", "c-2")
        back = change("v1.0", "c-3", Reverts="c-2")
        found = judged(FOUNDED, SECOND, here=(FOUNDED, came, back))
        assert (found.allowed, found.returned) == (True, True)
        drill = change("v2.0-drill", "c-3", digest="d" * 64)
        found = judged(FOUNDED, SECOND, here=(FOUNDED, came, drill, change("v2.0", "c-4")))
        assert not found.returned


def test_what_stands_is_what_an_experiment_made_live_and_nobody_undid() -> None:
    assert stands([FOUNDED, SECOND], EDGE, V2)
    assert not stands([FOUNDED, SECOND], EDGE, V1)
    assert not stands([FOUNDED, SECOND, change("v1.0", "r-3", Reverts="r-2")], EDGE, V2)
    assert not stands([], EDGE, V2)


CHANGES = st.lists(
    st.builds(
        lambda version, passed, reverts, source: change(
            version,
            **({**PASSED, "Release": DIGESTS[version], "Contour": source} if passed else {}),
            **({"Reverts": f"r-{reverts}"} if reverts else {}),
        ),
        st.sampled_from(sorted(DIGESTS)),
        st.booleans(),
        st.sampled_from(["", *sorted(DIGESTS)]),
        st.sampled_from([EDGE, COMPUTE]),
    ),
    max_size=6,
)


@given(CHANGES, CHANGES, st.booleans(), st.sampled_from(sorted(DIGESTS)))
def test_whatever_happened_nothing_comes_without_an_experiment_that_stands(
    there: list[ReleaseChange], here: list[ReleaseChange], stable: bool, version: str
) -> None:
    kept = KeptRelease(version, DIGESTS[version], "r", "c", 1.0, stable_at=2.0 if stable else None)
    found = promotable(version, EDGE, COMPUTE, kept, there, here)
    if found.allowed:
        assert stable
        assert stands(there, EDGE, kept.digest)
        assert any(one.revision == found.revision for one in there)
        assert found.done == (here[-1].release.digest == kept.digest)
    assert found.reason
    inputs = promotion_between_inputs(version, EDGE, COMPUTE, kept, there, here)
    again = DECIDERS["promotion_between"](json.loads(json.dumps(inputs)))
    assert to_promotion_between(json.loads(json.dumps(again))) == found
