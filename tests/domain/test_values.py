"""Frozen values: what they promise about themselves."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.canonical import canonical_json, digest_of, sha256_hex
from predator.domain.documents import Collection, Document, Query
from predator.domain.errors import ConflictError, InputError, IntegrityError, PredatorError
from predator.domain.ids import cycle_id, is_cycle_id
from predator.domain.readings import Failed, NoData, Stale, Value
from predator.domain.release import Release, RetrievalParameters
from predator.domain.verdicts import Decision, Verdict, WatchDecision

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(
        st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


def test_a_cycle_is_named_by_its_day_and_number() -> None:
    assert cycle_id(date(2025, 12, 7), 1) == "si_2025_12_07_001"
    assert cycle_id(date(2025, 12, 7), 1234) == "si_2025_12_07_1234"
    for number in (0, -1):
        with pytest.raises(ValueError, match="below 1"):
            cycle_id(date(2025, 12, 7), number)


@given(st.dates(min_value=date(1000, 1, 1)), st.integers(1, 10**6))
def test_every_name_given_is_a_name_known(day: date, number: int) -> None:
    assert is_cycle_id(cycle_id(day, number))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "si_2025_12_07_01",
        "si_2025_13_07_001",
        "si_2025_02_30_001",
        "si_0000_01_01_001",
        "SI_2025_12_07_001",
        "si-2025-12-07-001",
        "si_2025_12_07_001\n",
        " si_2025_12_07_001",
        "si_2025_12_07_001/../../etc",
        "si_2025_12_07_٠٠١",
        "../si_2025_12_07_001",
    ],
)
def test_what_is_no_cycle_id_is_not_taken_for_one(text: str) -> None:
    assert not is_cycle_id(text)


@given(plain)
def test_equal_values_have_equal_bytes_in_any_order(value: object) -> None:
    data = canonical_json(value)
    assert json.loads(data) == value
    assert canonical_json(json.loads(data)) == data
    assert digest_of(value) == hashlib.sha256(data).hexdigest() == sha256_hex(data)


def test_the_order_of_keys_does_not_matter() -> None:
    assert canonical_json({"b": 1, "a": "ї"}) == '{"a":"ї","b":1}'.encode()
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], {"a": math.nan}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


def test_an_error_is_one_line_with_its_cure() -> None:
    error = InputError("the file\n  is   broken", cure="bring\nanother")
    assert str(error) == "the file is broken. bring another"
    assert (error.cause, error.cure) == ("the file is broken", "bring another")
    assert str(PredatorError("alone")) == "alone"
    assert InputError.exit_code == 2
    assert PredatorError.exit_code == ConflictError.exit_code == IntegrityError.exit_code == 1


def test_a_reading_without_a_number_says_why() -> None:
    assert Value(0.5, 10, 0.4, 0.6, 1.0).value == 0.5
    assert {NoData("a"), Stale(3.0), Failed("b")} == {Failed("b"), Stale(3.0), NoData("a")}


RELEASE = Release("e" * 64, "schema", "r" * 64, RetrievalParameters(title_boost=0.3), "m" * 64)


def test_a_release_is_named_by_what_is_in_it() -> None:
    assert Release.from_json(json.loads(canonical_json(RELEASE.to_json()))) == RELEASE
    assert RELEASE.digest == sha256_hex(canonical_json(RELEASE.to_json()))
    changed = [
        dataclasses.replace(RELEASE, encoder="x"),
        dataclasses.replace(RELEASE, schema="x"),
        dataclasses.replace(RELEASE, rules="x"),
        dataclasses.replace(RELEASE, reranker="x"),
        dataclasses.replace(RELEASE, reranker=None),
    ]
    parameters = dataclasses.replace(RELEASE.retrieval, rrf_k=61)
    changed.append(dataclasses.replace(RELEASE, retrieval=parameters))
    assert len({RELEASE.digest, *(release.digest for release in changed)}) == 7


@given(
    st.sampled_from(["bm25", "dense", "rrf", "zsum", "weighted"]),
    st.integers(1, 10_000),
    st.floats(0, 1),
    st.floats(0, 10_000),
)
def test_parameters_come_back_as_they_were(
    fusion: str, depth: int, weight: float, boost: float
) -> None:
    parameters = RetrievalParameters(
        fusion=fusion,  # type: ignore[arg-type]
        depth=depth,
        dense_weight=weight,
        title_boost=boost,
    )
    release = dataclasses.replace(RELEASE, retrieval=parameters)
    again = Release.from_json(json.loads(json.dumps(release.to_json())))
    assert again == release
    assert again.digest == release.digest


@pytest.mark.parametrize(
    "parameters",
    [
        {"fusion": "best"},
        {"depth": 0},
        {"depth": 10_001},
        {"depth": 1.5},
        {"depth": True},
        {"rrf_k": 0},
        {"rerank": -1},
        {"dense_weight": -0.1},
        {"dense_weight": 1.1},
        {"dense_weight": math.nan},
        {"dense_weight": "0.5"},
        {"title_boost": math.inf},
        {"title_boost": False},
    ],
    ids=str,
)
def test_parameters_that_no_search_could_use_do_not_exist(parameters: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"it must be|there is no fusion"):
        RetrievalParameters(**parameters)  # type: ignore[arg-type]


def test_values_are_frozen() -> None:
    values = [Document("a", "b", "c"), Query("a", "b"), Value(1, 1, 1, 1, 1), RELEASE,
              RELEASE.retrieval, Collection("c", [], [], {}, "d")]  # fmt: skip
    for value in values:
        name = dataclasses.fields(value)[0].name  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "changed")


def test_answers_are_written_as_their_names() -> None:
    for kind in (Verdict, Decision, WatchDecision):
        for answer in kind:
            assert json.dumps(answer) == f'"{answer.name}"'


class TestLanguageWeights:
    def test_a_query_is_fused_as_its_language_needs(self) -> None:
        parameters = RetrievalParameters(fusion="rrf", language_weights=(("uk", 0.2),))
        assert parameters.asked_in("en") is parameters
        assert parameters.asked_in("uk") == RetrievalParameters(fusion="weighted", dense_weight=0.2)

    def test_releases_from_before_keep_their_digest(self) -> None:
        assert "language_weights" not in RetrievalParameters().to_json()
        assert Release.from_json(RELEASE.to_json()) == RELEASE

    def test_they_survive_json(self) -> None:
        parameters = RetrievalParameters(language_weights=(("uk", 0.2), ("ru", 0)))
        release = Release("e" * 64, "schema", "r" * 64, parameters)
        again = Release.from_json(json.loads(json.dumps(release.to_json())))
        assert (again, again.digest) == (release, release.digest)
        assert again.retrieval.language_weights == (("ru", 0), ("uk", 0.2))

    @pytest.mark.parametrize(
        "broken",
        ["uk", 1, [["uk"]], [["uk", 2]], [["uk", float("nan")]], [["UK", 0.1]], [[1, 0.1]],
         [["uk", 0.1], ["uk", 0.2]], [["uk", True]], [["../x", 0.1]], [["uk", 0.1]] * 101],
    )  # fmt: skip
    def test_what_no_search_could_use_is_refused(self, broken: object) -> None:
        with pytest.raises(ValueError, match=r"language|weight"):
            RetrievalParameters(language_weights=broken)  # type: ignore[arg-type]
