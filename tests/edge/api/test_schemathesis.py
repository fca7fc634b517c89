"""The API does what its description says, whatever is sent to it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from predator.edge.api.guard import PREFIX
from predator.loop.operator.tokens import digest_of_token
from tests.edge.api.requests_of import (
    REQUESTS,
    cycle,
    ended,
    flag,
    keep,
    override,
    rollback,
    token_id,
)
from tests.edge.api.served import Served
from tests.loop.operator_world import CYCLE, DAY

TAKE_NOTHING = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /api/v1/optimizer/audit",
}
SHORT, LONG = 5, 500


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("schemathesis"))
    served.world.leave_cycle()
    served.world.publish("v1.0", experiment=True)
    yield served


def known(served: Served, case: Any) -> None:
    """Aim a generated request at things that exist, so that it gets further than a 404."""
    world = served.world
    made: dict[str, Callable[[], str]] = {
        "cycle_id": lambda: (
            CYCLE
            if case.method != "POST"
            else ended(world)
            if case.path.endswith("/keep")
            else cycle(world)
        ),
        "path": lambda: "model/release.json",
        "approval_id": lambda: world.ask().id,
        "override_id": lambda: override(world).id,
        "token_id": lambda: token_id(world),
        "rollback_id": lambda: rollback(world),
        "keep_id": lambda: keep(world),
        "gate": lambda: "ndcg_at_10",
        "name": lambda: flag(world),
    }
    for name in case.path_parameters or {}:
        if name in made:
            case.path_parameters[name] = made[name]()
    if "environment" in (case.path_parameters or {}):
        case.path_parameters["environment"] = "local"
    for values in (case.query, case.body):
        if isinstance(values, dict):
            aimed: dict[str, Any] = {
                "contour": "local",
                "action": "promote",
                "role": "loop" if values is case.query else "viewer",
                "cursor": None,
                "threshold": 0.7,
                "expires_at": world.now + DAY,
                "metadata": {},
            }
            values |= {name: value for name, value in aimed.items() if name in values}
            if values.get("cursor", "") is None:
                del values["cursor"]
            if "reason" in values:
                values["reason"] = "because"
    case.headers.pop("Idempotency-Key", None)


def excluded_for(case: Any) -> list[Any]:
    """Checks that would be wrong about a request."""
    # A moment gone by, a cursor of nowhere or a key used before are refused although their form
    # is right.
    excluded = [positive_data_acceptance]
    if any(value in ([], {}) for value in (case.query or {}).values()):
        # An empty list in a query is not sent at all, so it breaks nothing.
        excluded.append(negative_data_rejection)
    return excluded


def hammer(
    served: Served, examples: int, mode: GenerationMode, only: str | None = None
) -> Counter[tuple[str, int]]:
    """Send generated requests to every operation; how often each answered with what."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.app)
    seen: Counter[tuple[str, int]] = Counter()
    headers = {"Authorization": f"Bearer {served.secret}"}
    turns = itertools.count()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if only not in {None, operation.label}:
            continue

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            if mode is GenerationMode.POSITIVE and next(turns) % 2:
                known(served, case)
            answer = case.call(headers=headers)
            seen[case.operation.label, answer.status_code] += 1
            case.validate_response(answer, excluded_checks=excluded_for(case))

        try:
            send()
        except Unsatisfiable:
            # What takes nothing cannot be sent anything wrong.
            assert mode is GenerationMode.NEGATIVE
            assert operation.label in TAKE_NOTHING
    return seen


def test_generated_requests_get_what_the_description_promises(served: Served) -> None:
    seen = hammer(served, SHORT, GenerationMode.POSITIVE)
    assert not [status for _, status in seen if status >= 500]
    labels = {label for label, _ in seen}
    reached = {label for label, status in seen if status < 300}
    assert len(labels) == len(served.app.state.routes)
    assert labels == reached


def test_requests_that_break_the_description_are_refused(served: Served) -> None:
    seen = hammer(served, SHORT // 2, GenerationMode.NEGATIVE)
    assert {status for _, status in seen if status >= 400} <= {401, 403, 404, 405, 409, 413, 422}


@pytest.mark.nightly
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("route", sorted(REQUESTS), ids=" ".join)
def test_a_night_of_generated_requests(
    served: Served, route: tuple[str, str], mode: GenerationMode
) -> None:
    method, path = route
    prefix = "" if path in {"/healthz", "/readyz", "/metrics"} else PREFIX
    label = f"{method} {prefix}{path.replace(':path', '')}"
    seen = hammer(served, LONG, mode, label)
    assert not [status for _, status in seen if status >= 500]
    assert seen or (mode is GenerationMode.NEGATIVE and label in TAKE_NOTHING)


def stateful(folder: Path, examples: int, steps: int) -> Counter[tuple[str, int]]:
    """Walk through the operations, each walk in a world of its own; how each step answered."""
    seen: Counter[tuple[str, int]] = Counter()
    numbers = itertools.count()

    def fresh() -> Served:
        place = folder / str(next(numbers))
        place.mkdir()
        served = Served(place)
        served.world.leave_cycle()
        served.world.publish("v1.0", experiment=True)
        return served

    at = [fresh()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await at[-1].app(scope, receive, send)

    schema = schemathesis.openapi.from_asgi("/openapi.json", app)

    class Walk(schema.as_state_machine()):  # type: ignore[misc]
        """Operations one after another, later ones on what earlier ones made."""

        def setup(self) -> None:
            at[:] = [fresh()]

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            # A walk may revoke the token that it walks with.
            world = at[-1].world
            found = world.desk.tokens.find(digest_of_token(at[-1].secret))
            if found is None or not found.usable(world.now):
                at[-1].secret = world.token(actor="walker")
            return {"headers": {"Authorization": f"Bearer {at[-1].secret}"}}

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            seen[case.operation.label, response.status_code] += 1
            case.validate_response(response, excluded_checks=excluded_for(case))

    Walk.run(
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
    )
    return seen


def test_operations_one_after_another_keep_the_description(tmp_path: Path) -> None:
    seen = stateful(tmp_path, 5, 8)
    assert sum(seen.values()) >= 15
    assert sum(number for (_, status), number in seen.items() if status < 300) >= 3


@pytest.mark.nightly
def test_a_night_of_operations_one_after_another(tmp_path: Path) -> None:
    seen = stateful(tmp_path, 200, 25)
    assert sum(seen.values()) >= 2_000
