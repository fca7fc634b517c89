"""What is submitted could be served: the best candidate whose trial stayed inside the gates."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.errors import InputError
from predator.loop import deciders
from predator.loop.evaluate import Gates, Measured
from predator.loop.training.submit import Offered, Submission, fits, reading_room, submit

GATES = Gates(0.03, -0.02, 0.15, 50, 0.5, 0.05, 0.8)
FAST, SLOW = Measured(5.0, 45.0, 0.001), Measured(5.0, 213.0, 0.003)
PLAIN = Offered("lambdamart", None)

anything = st.none() | st.floats(allow_nan=True, allow_infinity=True)
trials = st.none() | st.builds(Measured, anything, anything, anything)
offers = st.lists(st.builds(Offered, st.text(max_size=5), trials), max_size=6)


def test_the_best_that_fits_is_submitted_and_better_ones_say_why_not() -> None:
    found = submit([Offered("a", SLOW), Offered("b", FAST), PLAIN], GATES)
    assert found.name == "b"
    assert found.refused == {"a": "latency_p95_ms would be 213, the gate asks ≤ +15% or ≤ 50 ms"}


def test_what_reads_no_texts_needs_no_trial() -> None:
    assert submit([PLAIN, Offered("a", FAST)], GATES) == Submission("lambdamart", {})


@pytest.mark.parametrize("field", ["latency_p95_ms_candidate", "cost_per_1k_usd"])
def test_a_trial_that_measured_nothing_is_no_good_news(field: str) -> None:
    found = submit([Offered("a", replace(FAST, **{field: None})), PLAIN], GATES)
    assert found.name == "lambdamart"
    assert "could not be measured" in found.refused["a"]


def test_where_nothing_fits_it_is_said() -> None:
    with pytest.raises(InputError, match="no candidate could be served"):
        submit([Offered("a", SLOW)], GATES)


@given(offers)
def test_nothing_is_submitted_that_did_not_fit(offered: list[Offered]) -> None:
    fitting = [one for one in offered if one.tried is None or fits(one.tried, GATES)]
    if not fitting:
        with pytest.raises(InputError):
            submit(offered, GATES)
        return
    assert submit(offered, GATES).name == fitting[0].name


@given(offers.filter(bool))
def test_the_record_decides_the_same(offered: list[Offered]) -> None:
    offered = [*offered, PLAIN]
    inputs = json.loads(json.dumps(deciders.submit_inputs(offered, GATES), allow_nan=False))
    output = deciders.DECIDERS["submit"](inputs)
    assert json.loads(json.dumps(output, allow_nan=False)) == output
    assert deciders.to_submit(output).name == submit(offered, GATES).name


@given(st.none() | st.floats(0, 1e5))
def test_the_room_to_read_is_what_the_latency_gate_leaves(before: float | None) -> None:
    inputs = deciders.reading_room_inputs(before, GATES)
    room = deciders.to_reading_room(deciders.DECIDERS["reading_room"](inputs))
    assert room == reading_room(before, GATES)
    if before is None:
        assert room is None
        return
    assert room is not None and room >= 0
    assert fits(Measured(before, before + 0.999 * room, 0.0), GATES)
