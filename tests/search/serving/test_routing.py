"""Who meets which release: by share, always the same, and nobody in two trials at once."""

from __future__ import annotations

from collections import Counter

import pytest

from predator.search.desired import Desired, Holdback, LiveRelease, RunningExperiment
from predator.search.engine import Engine
from predator.search.serving.routing import Routing
from tests.search.fakes import engine
from tests.search.serving.releases import INDEX

SECRET = b"0123456789abcdef"
USERS = [f"user-{i}" for i in range(20_000)]
ENGINES: dict[str, Engine] = {
    name: engine(INDEX, rrf_k=place + 1) for place, name in enumerate(["live", "new", "old"])
}


def routing(
    experiment: float | None = None,
    holdback: float | None = None,
    pinned: str | None = None,
    name: str = "exp",
) -> Routing:
    return Routing(
        Desired(
            LiveRelease("v1", "live", "c"),
            RunningExperiment(name, "ranking", "new", experiment)
            if experiment is not None
            else None,
            Holdback("watch", "old", holdback) if holdback is not None else None,
        ),
        "revision",
        ENGINES,
        pinned,
    )


def served(table: Routing, secret: bytes = SECRET) -> dict[str, str]:
    names = {id(one): name for name, one in ENGINES.items()}
    return {user: names[id(table.route(secret, user).engine)] for user in USERS}


def test_without_a_trial_everybody_meets_the_live_release() -> None:
    assert set(served(routing()).values()) == {"live"}
    route = routing().route(SECRET, "u")
    assert (route.experiment, route.variant) == ("", "")


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_shares_are_kept(share: float) -> None:
    counts = Counter(served(routing(experiment=share)).values())
    assert counts["new"] / len(USERS) == pytest.approx(share, abs=0.011)
    assert counts["new"] + counts["live"] == len(USERS)


def test_a_share_of_nobody_and_of_everybody() -> None:
    assert set(served(routing(experiment=0.0)).values()) == {"live"}
    assert set(served(routing(experiment=1.0)).values()) == {"new"}


def test_a_user_always_meets_the_same_release() -> None:
    assert served(routing(experiment=0.2)) == served(routing(experiment=0.2))


def test_widening_keeps_those_who_are_in() -> None:
    narrow, wide = served(routing(experiment=0.2)), served(routing(experiment=0.5))
    assert all(wide[user] == "new" for user in USERS if narrow[user] == "new")


def test_another_experiment_or_secret_deals_anew() -> None:
    first = served(routing(experiment=0.5))
    for other in (
        served(routing(experiment=0.5, name="exp-2")),
        served(routing(experiment=0.5), b"another secret"),
    ):
        same = sum(first[user] == other[user] for user in USERS) / len(USERS)
        assert same == pytest.approx(0.5, abs=0.02)


def test_what_is_recorded_says_what_was_served() -> None:
    table = routing(experiment=0.3)
    for user in USERS[:500]:
        route = table.route(SECRET, user)
        wanted = "candidate" if route.engine is ENGINES["new"] else "baseline"
        assert (route.experiment, route.variant) == ("exp", wanted)


def test_a_holdback_stands_before_an_experiment() -> None:
    table = routing(experiment=0.5, holdback=0.05)
    counts = Counter(served(table).values())
    assert counts["new"] == 0
    assert counts["old"] / len(USERS) == pytest.approx(0.05, abs=0.006)
    route = table.route(SECRET, next(u for u, name in served(table).items() if name == "old"))
    assert (route.experiment, route.variant) == ("watch", "holdback")


def test_the_held_back_are_not_the_candidates_users_again() -> None:
    """Layers are independent: who tried the candidate is not who keeps the old release."""
    tried = {u for u, name in served(routing(experiment=0.2)).items() if name == "new"}
    held = {u for u, name in served(routing(holdback=0.2)).items() if name == "old"}
    assert len(tried & held) / len(held) == pytest.approx(0.2, abs=0.03)


def test_a_pin_overrules_every_trial() -> None:
    table = routing(experiment=0.5, holdback=0.5, pinned="old")
    assert set(served(table).values()) == {"old"}
    assert table.live is ENGINES["old"]
    assert table.live_digest == "old"
    assert table.route(SECRET, "u").variant == ""


def test_any_name_of_a_user_is_routed() -> None:
    table = routing(experiment=0.5)
    for user in ("", "\x00", "\ud800", "x" * 10_000, "user\nuser"):
        assert table.route(SECRET, user).engine is table.route(SECRET, user).engine
