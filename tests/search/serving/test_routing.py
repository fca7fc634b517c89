"""Who meets which release: by share, always the same, and nobody in two trials at once."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.search.desired import INTERLEAVE, Desired, Holdback, LiveRelease, RunningExperiment
from predator.search.engine import Engine
from predator.search.serving.routing import Routing
from predator.statistics.assignment import in_slice
from tests.search.fakes import engine
from tests.search.serving.releases import INDEX

SECRET = b"0123456789abcdef"
USERS = [f"user-{i}" for i in range(20_000)]
FEW = USERS[:4000]
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
            (RunningExperiment(name, "ranking", "new", experiment),)
            if experiment is not None
            else (),
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


def layered(*experiments: RunningExperiment) -> Routing:
    return Routing(Desired(LiveRelease("v1", "live", "c"), experiments), "revision", ENGINES)


def trials(table: Routing) -> dict[str, str]:
    """The experiment and the variant of each user."""
    found = {}
    for user in FEW:
        route = table.route(SECRET, user)
        found[user] = f"{route.experiment}/{route.variant}"
    return found


def sliced(name: str, lower: float, upper: float, layer: str = "ranking") -> RunningExperiment:
    return RunningExperiment(name, layer, "new", 0.5, users_from=lower, users_to=upper)


def test_experiments_of_one_layer_share_no_user() -> None:
    met = trials(layered(sliced("a", 0.0, 0.3), sliced("b", 0.3, 0.7)))
    counts = Counter(one.split("/")[0] for one in met.values())
    for name, share in (("a", 0.3), ("b", 0.4), ("", 0.3)):
        assert counts[name] / len(FEW) == pytest.approx(share, abs=0.025)
    alone = trials(layered(sliced("a", 0.0, 0.3)))
    assert all(met[user] == one for user, one in alone.items() if one != "/")


def test_a_later_experiment_moves_nobody_who_is_in_one() -> None:
    """A candidate is a whole release: of two layers, the one that started first has the user."""
    first = sliced("first", 0.0, 0.5)
    before = trials(layered(first))
    after = trials(layered(first, sliced("second", 0.0, 0.5, layer="retrieval")))
    assert all(after[user] == one for user, one in before.items() if one != "/")
    second = [one for one in after.values() if one.startswith("second")]
    assert len(second) / len(FEW) == pytest.approx(0.25, abs=0.025)
    assert second.count("second/candidate") / len(second) == pytest.approx(0.5, abs=0.06)


def test_layers_deal_users_independently() -> None:
    """Who is in a slice of one layer is in a slice of another as often as anybody."""
    one = {u for u, t in trials(layered(sliced("a", 0.0, 0.5))).items() if t != "/"}
    other = {u for u, t in trials(layered(sliced("b", 0.0, 0.5, "other"))).items() if t != "/"}
    assert len(one & other) / len(FEW) == pytest.approx(0.25, abs=0.025)


def test_a_slice_says_nothing_about_the_arm() -> None:
    for lower in (0.0, 0.5):
        met = Counter(trials(layered(sliced("a", lower, lower + 0.5))).values())
        share = met["a/candidate"] / (met["a/candidate"] + met["a/baseline"])
        assert share == pytest.approx(0.5, abs=0.05)


def test_drafted_lists_are_for_a_share_and_the_rest_is_free_for_another_experiment() -> None:
    screen = RunningExperiment("s", "ranking", "new", 0.2, kind=INTERLEAVE)
    table = layered(screen, RunningExperiment("e", "other", "old", 0.5))
    met = Counter(trials(table).values())
    assert met["s/interleaved"] / len(FEW) == pytest.approx(0.2, abs=0.025)
    assert met["e/candidate"] + met["e/baseline"] + met["s/interleaved"] == len(FEW)
    drafted = next(u for u in FEW if table.route(SECRET, u).rival is not None)
    route = table.route(SECRET, drafted)
    assert (route.engine, route.rival) == (ENGINES["live"], ENGINES["new"])


def test_a_search_of_nobody_is_in_no_experiment_but_watched() -> None:
    """It is its own unit: whoever is behind it would change arms with every search."""
    for name in ("q-1", "q-2", "q-3"):
        route = routing(experiment=1.0).route(SECRET, name, sticky=False)
        assert (route.engine, route.experiment) == (ENGINES["live"], "")
        held = routing(holdback=1.0).route(SECRET, name, sticky=False)
        assert (held.engine, held.variant) == (ENGINES["old"], "holdback")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True),
    st.text(max_size=20),
)
def test_nobody_is_in_two_experiments_of_a_layer(cuts: list[float], user: str) -> None:
    edges = [0.0, *sorted(cuts), 1.0]
    pairs = list(pairwise(edges))
    inside = [
        name
        for name, (lower, upper) in enumerate(pairs)
        if in_slice(SECRET, "ranking", user, (lower, upper))
    ]
    assert len(inside) == 1
