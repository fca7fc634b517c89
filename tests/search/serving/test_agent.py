"""Git says what is live; the agent makes it so, without ever serving something in between."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from itertools import pairwise

import pytest

from predator.domain.canonical import canonical_json
from predator.domain.errors import PredatorError
from predator.search.serving.agent import KEPT_HOT, load_release, wait_until
from tests.search.serving.releases import World, digest, made

SECRET = b"secret"


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_live_before_git_says_so(world: World) -> None:
    assert not world.agent.step()
    assert world.agent.routing is None
    assert world.agent.healthy
    with pytest.raises(PredatorError, match="not loaded"):
        world.agent.flip(digest(1))


def test_the_head_is_loaded_warmed_up_and_served(world: World) -> None:
    revision = world.deploy(1)
    assert world.live == digest(1)
    assert world.agent.routing is not None
    assert world.agent.routing.revision == revision
    assert world.loaded == world.warmed == [digest(1)]
    assert not world.agent.step()
    assert world.agent.swaps == 1


def test_a_release_is_warmed_up_before_it_answers_anybody() -> None:
    world = World()
    world.deploy(1)
    seen: list[str] = []
    world.on_load = lambda _: seen.append(world.live)
    world.deploy(2)
    assert seen == [digest(1)]
    assert world.live == digest(2)


@pytest.mark.parametrize(
    "bad",
    [
        {"values": "search: {release: {version: v9, digest: 'ff', cycle: c}}\n"},
        {"values": "not: [yaml"},
        {"values": "search: {}\n"},
        {"live": 2, "experiments": "search: {experiment: {id: e}}\n"},
        {"live": 2, "experiments": "search: {holdbak: {}}\n"},
    ],
    ids=["unknown release", "no yaml", "no release", "half an experiment", "misspelt"],
)
def test_a_bad_revision_changes_nothing_and_a_good_one_after_it_applies(
    world: World, bad: dict[str, object]
) -> None:
    world.deploy(1, holdback=(3, 0.1))
    before = world.agent.routing
    world.deploy(**bad)  # type: ignore[arg-type]
    assert world.agent.routing is before
    healthy, detail = world.agent.healthy, world.agent.detail
    assert not healthy
    assert detail
    assert "\n" not in detail
    assert not world.agent.step()  # it is not tried again and again
    world.deploy(2)
    assert world.live == digest(2)
    assert (world.agent.healthy, world.agent.detail) == (True, "")


def test_an_experiment_whose_candidate_cannot_load_does_not_start(world: World) -> None:
    world.deploy(1)
    world.push(2, experiments=(
        "search: {experiment: {id: e, layer: l, candidate: nowhere, share: 0.2}}\n"
    ))  # fmt: skip
    world.agent.step()
    assert world.live == digest(1)
    assert not world.agent.healthy


def test_a_contour_without_values_is_left_alone(world: World) -> None:
    world.gitops.commit({"environments/other/values.yaml": "a: 1\n"}, "other", {}, parent=None)
    assert world.agent.step()
    assert world.agent.routing is None
    assert world.agent.healthy


def test_all_that_git_names_is_loaded_before_the_swap(world: World) -> None:
    world.deploy(1, experiment=(2, 0.2))
    assert world.agent.routing is not None
    assert set(world.agent.routing.engines) == {digest(1), digest(2)}
    world.deploy(2, holdback=(1, 0.05))
    assert set(world.agent.routing.engines) == {digest(1), digest(2)}
    assert world.loaded == [digest(1), digest(2)]  # nothing is loaded twice


def test_a_flip_sends_everybody_to_a_hot_release_ahead_of_git(world: World) -> None:
    world.deploy(1)
    world.deploy(2, experiment=(3, 0.5))
    world.agent.flip(digest(1))
    routing = world.agent.routing
    assert routing is not None
    assert routing.pinned == digest(1)
    assert {routing.route(SECRET, f"u{i}").engine.release.digest for i in range(50)} == {digest(1)}
    world.agent.flip(digest(1))
    assert world.live == digest(1)
    assert world.agent.swaps == 3
    with pytest.raises(PredatorError, match="not loaded"):
        world.agent.flip(digest(9))
    assert world.live == digest(1)


def test_a_flip_holds_until_git_catches_up(world: World) -> None:
    world.deploy(1)
    world.deploy(2)
    world.agent.flip(digest(1))
    world.deploy(2, experiment=(3, 0.2))  # somebody else's commit
    assert world.live == digest(1)
    world.deploy(1)
    assert world.live == digest(1)
    assert world.agent.routing is not None
    assert world.agent.routing.pinned is None
    world.deploy(2)
    assert world.live == digest(2)


def test_the_release_before_stays_hot_for_a_rollback_however_many_came(world: World) -> None:
    order = [1, 2, 3, 4, 5, 1, 6, 2, 7, 7, 3, 1]
    world.deploy(order[0])
    for before, after in pairwise(order):
        world.deploy(after)
        if before == after:
            continue
        loads = len(world.loaded)
        world.agent.flip(digest(before))
        assert world.live == digest(before)
        world.agent.flip(digest(after))
        assert len(world.loaded) == loads
        world.push(after)  # git moves on, the pin ends
        world.agent.step()


def test_a_rollback_target_is_not_lost_to_age(world: World) -> None:
    """The oldest release may be the one that served last, after a rollback to it."""
    for number in (1, 2, 3, 4):
        world.deploy(number)
    world.deploy(1)
    world.deploy(5)
    world.agent.flip(digest(1))
    assert world.live == digest(1)


def test_the_release_before_stays_hot_through_an_experiment_and_a_watch(world: World) -> None:
    world.deploy(1)
    world.deploy(2)
    for candidate in (3, 4, 5, 6):
        world.deploy(2, experiment=(candidate, 0.2))
        world.deploy(2)
    world.agent.flip(digest(1))
    assert world.live == digest(1)


def test_few_releases_stay_in_memory(world: World) -> None:
    for number in range(1, 30):
        world.deploy(number, holdback=(number - 1, 0.05) if number > 1 else None)
    routing = world.agent.routing
    assert routing is not None
    world.push(29)
    world.agent.step()
    assert world.agent.routing is not None
    assert len(world.agent.routing.engines) <= KEPT_HOT + 1
    with pytest.raises(PredatorError, match="not loaded"):
        world.agent.flip(digest(1))


def test_swaps_under_load_never_show_a_mixture(world: World) -> None:
    """Every answer comes from a release that the routing it was read from names."""
    world.deploy(1)
    done, failures, answered = threading.Event(), [], [0]

    def ask(seed: int) -> None:
        try:
            number = 0
            while not done.is_set():
                number += 1
                routing = world.agent.routing
                assert routing is not None
                route = routing.route(SECRET, f"{seed}-{number}")
                served = route.engine.release.digest
                assert served in routing.engines
                wanted = routing.desired
                if routing.pinned is not None:
                    assert (served, route.variant) == (routing.pinned, "")
                elif route.variant == "candidate":
                    assert wanted.experiment is not None
                    assert served == wanted.experiment.candidate
                elif route.variant == "holdback":
                    assert wanted.holdback is not None
                    assert served == wanted.holdback.release
                else:
                    assert served == wanted.release.digest
                answered[0] += 1
        except BaseException as error:
            failures.append(error)

    askers = [threading.Thread(target=ask, args=(seed,)) for seed in range(3)]
    for thread in askers:
        thread.start()
    try:
        for number in range(2, 16):
            world.deploy(number - 1, experiment=(number, 0.5))
            world.deploy(number, holdback=(number - 1, 0.3))
            if number % 5 == 0:
                world.agent.flip(digest(number - 1))
    finally:
        done.set()
        for thread in askers:
            thread.join()
    assert not failures, failures[0]
    assert answered[0] > 100


def test_a_flip_does_not_wait_for_a_release_that_is_being_loaded(world: World) -> None:
    """An encoder is restored in seconds; whoever takes a bad release back has none to give."""
    world.deploy(1)
    world.deploy(2)
    loading, flipped = threading.Event(), threading.Event()

    def slow(_: str) -> None:
        loading.set()
        assert flipped.wait(10)

    world.on_load = slow
    world.push(3)
    stepper = threading.Thread(target=world.agent.step)
    stepper.start()
    assert loading.wait(10)
    flipper = threading.Thread(target=world.agent.flip, args=(digest(1),))
    flipper.start()
    flipper.join(10)
    assert world.live == digest(1)
    flipped.set()
    stepper.join()
    assert world.live == digest(1)  # it holds until git catches up


def test_two_that_step_at_once_end_at_the_head(world: World) -> None:
    world.deploy(1)
    for number in range(2, 20):
        world.push(number)
        steppers = [threading.Thread(target=world.agent.step) for _ in range(4)]
        for thread in steppers:
            thread.start()
        world.push(number + 1)
        for thread in steppers:
            thread.join()
        world.agent.step()
        assert world.live == digest(number + 1)


def test_it_follows_git_in_the_background_and_survives_surprises(world: World) -> None:
    trouble = [RuntimeError("disk on fire")]

    def on_load(_: str) -> None:
        if trouble:
            raise trouble.pop()

    world.on_load = on_load
    thread = threading.Thread(target=world.agent.run, args=(0.01,))
    thread.start()
    try:
        world.push(1)
        assert wait_until(lambda: world.agent.routing is not None, 5)
        assert wait_until(lambda: world.agent.healthy, 5)
        world.push(2)
        assert wait_until(lambda: world.live == digest(2), 60)
    finally:
        world.agent.stop()
        thread.join(5)
    assert not thread.is_alive()
    assert not wait_until(lambda: False, 0.05)


def test_a_release_is_read_from_its_canonical_json() -> None:
    release = made(7)
    read = load_release(canonical_json(release.to_json()))
    assert read == release
    assert read.digest == release.digest


RETRIEVAL = asdict(made(7).retrieval)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": 5},
        {"rules": None},
        {"reranker": 5},
        {"schema": ["x"]},
        {"more": 1},
        {"retrieval": None},
        {"retrieval": {}, "encoder": None},
        {"retrieval": {**RETRIEVAL, "fusion": "best"}},
        {"retrieval": {**RETRIEVAL, "fusion": []}},
        {"retrieval": {**RETRIEVAL, "depth": 0}},
        {"retrieval": {**RETRIEVAL, "depth": -5}},
        {"retrieval": {**RETRIEVAL, "depth": 10**9}},
        {"retrieval": {**RETRIEVAL, "depth": 10.5}},
        {"retrieval": {**RETRIEVAL, "depth": True}},
        {"retrieval": {**RETRIEVAL, "rrf_k": 0}},
        {"retrieval": {**RETRIEVAL, "rerank": "100"}},
        {"retrieval": {**RETRIEVAL, "dense_weight": 1.5}},
        {"retrieval": {**RETRIEVAL, "dense_weight": float("nan")}},
        {"retrieval": {**RETRIEVAL, "title_boost": -1.0}},
        {"retrieval": {**RETRIEVAL, "title_boost": float("inf")}},
        {"retrieval": {**RETRIEVAL, "title_boost": None}},
        {"retrieval": {**RETRIEVAL, "unknown": 1}},
    ],
    ids=str,
)
def test_a_broken_release_is_refused_before_it_serves(change: dict[str, object]) -> None:
    data = json.dumps({**made(7).to_json(), **change}).encode()
    with pytest.raises(PredatorError, match="release bundle cannot be read"):
        load_release(data)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"5", b"{}", b"null", b'"x"'])
def test_what_is_no_release_is_refused(data: bytes) -> None:
    with pytest.raises(PredatorError, match="release bundle cannot be read"):
        load_release(data)


def test_helm_values_of_others_do_not_disturb(world: World) -> None:
    live = world.push(1)
    text = world.gitops.read("environments/local/values.yaml", live)
    assert text is not None
    world.push(values=f"replicas: 3\n{text}")
    world.agent.step()
    assert world.live == digest(1)
