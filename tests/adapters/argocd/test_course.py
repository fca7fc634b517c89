"""The next move, from whatever Argo CD may show."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from predator.adapters.argocd.application import Application, Operation, read_application
from predator.adapters.argocd.course import Course, course
from predator.domain.errors import PredatorError

OURS = "a" * 40
OPERATIONS = st.none() | st.builds(
    Operation,
    st.sampled_from(["", "Running", "Terminating", "Succeeded", "Failed", "Error", "Else"]),
    st.sampled_from([OURS, "b" * 40, ""]),
    st.sampled_from([OURS, ""]),
    st.just("why"),
)
APPLICATIONS = st.builds(
    Application,
    st.none() | st.just({"selfHeal": True}),
    st.none(),
    st.sampled_from(["Synced", "OutOfSync", "Unknown"]),
    st.just(OURS),
    st.sampled_from(["Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"]),
    OPERATIONS,
    st.just(()),
    st.just(()),
)


@given(APPLICATIONS, st.booleans(), st.booleans())
def test_done_is_said_only_where_all_three_words_are_there_at_our_commit(
    found: Application, covered: bool, asked: bool
) -> None:
    move = course(found, OURS, covered=covered, asked=asked)
    three = (
        found.operation is not None
        and found.operation.phase == "Succeeded"
        and found.sync == "Synced"
        and found.health == "Healthy"
    )
    assert (move is Course.DONE) == (covered and three)


@given(APPLICATIONS, st.booleans(), st.booleans())
def test_a_sync_is_asked_for_once_and_never_while_one_runs_or_our_commit_is_not_seen(
    found: Application, covered: bool, asked: bool
) -> None:
    move = course(found, OURS, covered=covered, asked=asked)
    if asked or found.running or not covered:
        assert move is not Course.SYNC


@given(APPLICATIONS, st.booleans(), st.booleans())
def test_only_a_sync_of_our_own_that_failed_is_given_up(
    found: Application, covered: bool, asked: bool
) -> None:
    if course(found, OURS, covered=covered, asked=asked) is Course.FAILED:
        assert found.operation is not None
        assert found.operation.failed and found.operation.mark == OURS and asked


KEYS = (
    "spec", "status", "sync", "health", "history", "resources", "operation", "operationState",
    "phase", "id", "name", "metadata", "annotations", "syncPolicy", "automated", "conditions",
    "type", "message", "info", "sources", "syncResult", "revision", "kind",
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(max_examples=50)
@given(VALUES)
def test_whatever_comes_is_an_application_or_one_error(value: Any) -> None:
    shaped = {"metadata": {}, "spec": {}, **value} if isinstance(value, dict) else value
    for one in (value, shaped):
        with contextlib.suppress(PredatorError):
            assert isinstance(read_application(one), Application)
