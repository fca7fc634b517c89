"""What git says is read exactly, or refused: nobody guesses what should be live."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.errors import InputError
from predator.search.desired import (
    INTERLEAVE,
    Desired,
    Holdback,
    LiveRelease,
    RunningExperiment,
    experiments_path,
    parse,
    render_experiments,
    render_values,
    values_path,
)

HOSTILE = [
    "", " ", "null", "~", "true", "no", "1", "1.0", "1e5", "0x1F", "0o7", "1_000", ".nan", "-.inf",
    "2025-12-07", "12:30:45", "=", "<<", "*a", "&a", "!!python/object:os.system", "- a", "? b",
    "a: b", "a #b", "#", "%YAML", "---", "...", "{}", "[]", "|", ">", "'", '"', "\\", "@", "`",
    "\n", "a\nb", "a\n\nb\n", " a", "a ", "\t", "\r\n", "\x85", "\u2028", "\ufeff", "\x00", "\x07",
    "\u202e", "😀", "x" * 5000, "word " * 2000, "{{ .Values.x }}", "$(reboot)", "../../etc/passwd",
]  # fmt: skip

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.sampled_from(HOSTILE)
)
shares = st.floats(0, 1)
releases = st.builds(LiveRelease, texts, texts, texts)
desired_states = st.builds(
    Desired,
    releases,
    st.lists(st.builds(RunningExperiment, texts, texts, texts, shares), max_size=1).map(tuple),
    st.none() | st.builds(Holdback, texts, texts, shares),
)

RELEASE = LiveRelease("v1.2", "ab" * 32, "si_2025_12_07_001")
VALUES = render_values(RELEASE, None)


def written(state: Desired, previous: str | None = None) -> tuple[str, str]:
    return (
        render_values(state.release, previous),
        render_experiments(state.experiments, state.holdback),
    )


@settings(max_examples=60)
@given(desired_states)
def test_what_is_written_is_what_is_read(state: Desired) -> None:
    values, experiments = written(state)
    values.encode()
    read = parse(values, experiments)
    assert read == state
    assert json.loads(json.dumps(asdict(read))) == json.loads(json.dumps(asdict(state)))
    for block in (read.release, *read.experiments, read.holdback):
        for value in asdict(block).values() if block else ():
            assert type(value) in {str, float}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_string_survives(text: str) -> None:
    state = Desired(
        LiveRelease(text, text, text),
        (RunningExperiment(text, text, text, 0.2),),
        Holdback(text, text, 0.05),
    )
    assert parse(*written(state)) == state


@given(releases, releases)
def test_a_release_replaces_the_one_before(before: LiveRelease, after: LiveRelease) -> None:
    assert parse(render_values(after, render_values(before, None)), None).release == after


def test_comments_and_other_values_stay() -> None:
    previous = (
        "# Ask the search team first.\n"
        "replicas: 3  # three zones\n"
        "search:\n"
        "  # written by the loop\n"
        "  release:\n"
        "    version: v1.0\n"
        "    digest: old\n"
        "    cycle: bootstrap\n"
        "  limits: {cpu: '2'}  # cores\n"
    )
    values = render_values(RELEASE, previous)
    for kept in ("# Ask the search team first.", "replicas: 3  # three zones",
                 "# written by the loop", "limits: {cpu: '2'}  # cores"):  # fmt: skip
        assert kept in values
    assert parse(values, None) == Desired(RELEASE)
    assert render_values(RELEASE, values) == values


def test_only_the_lines_of_the_release_change() -> None:
    before = render_values(LiveRelease("v1.0", "aa", "bootstrap"), "a: 1\nsearch: {}\nz: 2\n")
    after = render_values(LiveRelease("v1.1", "bb", "si_2025_12_07_001"), before)
    changed = set(before.splitlines()) ^ set(after.splitlines())
    assert all(line.strip().split(":")[0] in {"version", "digest", "cycle"} for line in changed)
    assert len(before.splitlines()) == len(after.splitlines())


@pytest.mark.parametrize("previous", ["", "search:\n", "search: {}\n", "# nothing yet\n", "a: 1\n"])
def test_an_empty_place_for_the_release_is_filled(previous: str) -> None:
    assert parse(render_values(RELEASE, previous), None).release == RELEASE


@pytest.mark.parametrize("previous", ["- a", "5", "search: 5", "search: [1]", "a: [", "\x00"])
def test_what_is_no_values_file_is_not_written_over(previous: str) -> None:
    with pytest.raises(InputError):
        render_values(RELEASE, previous)


def test_no_experiments_file_is_no_experiment() -> None:
    for experiments in (None, "", "# none\n", "search:\n", render_experiments((), None)):
        assert parse(VALUES, experiments) == Desired(RELEASE)


GARBAGE = [
    "", "~", "42", "text", "- a", "a: [", "\x00", "\ud800", "search:", "search: 5", "search: []",
    "search: {release: }", "search: {release: 5}", "search: {release: []}",
    "a: !!python/object/apply:os.system [reboot]", "[" * 400, "{" * 400, "a: &x [*x]",
    "a: 2020-99-99", "!!binary x", "a: !!set x", "%YAML 9.9\n---\na: 1", "a: 1\n---\nb: 2",
    "<<: 5", "a: " + "9" * 10_000, 'a: "\\U00110000"', "*a", "search: {search: {release: x}}",
    "a: 1\na: 2",
]  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(text, None)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_files_are_read_or_refused(values: str, experiments: str) -> None:
    for pair in ((values, experiments), (VALUES, experiments)):
        try:
            parse(*pair)
        except InputError:
            continue


def release_block(**values: str) -> str:
    block = {"version": "v1", "digest": "aa", "cycle": "c", **values}
    lines = [f"    {name}: {value}\n" for name, value in block.items() if value != "ABSENT"]
    return "search:\n  release:\n" + "".join(lines)


@pytest.mark.parametrize(
    "values",
    [
        {"version": "1.0"},
        {"version": "true"},
        {"version": "null"},
        {"digest": "12345"},
        {"digest": "[a]"},
        {"digest": "{a: b}"},
        {"cycle": "2025-12-07"},
        {"cycle": "ABSENT"},
        {"replicas": "3"},
        {"Digest": "bb"},
        {"1": "bb"},
    ],
    ids=str,
)
def test_a_release_has_its_fields_as_strings_and_no_others(values: dict[str, str]) -> None:
    with pytest.raises(InputError):
        parse(release_block(**values), None)


EXPERIMENT = {"id": "e", "layer": "l", "candidate": "c", "share": "0.2"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", "'0.2'"),
        ("share", "true"),
        ("share", "null"),
        ("share", ".nan"),
        ("share", ".inf"),
        ("share", "-0.1"),
        ("share", "1.1"),
        ("share", "20%"),
        ("share", "[0.2]"),
        ("id", "5"),
        ("layer", "false"),
        ("candidate", "null"),
        ("shares", "0.2"),
    ],
)
def test_an_experiment_has_exactly_its_fields(name: str, value: str) -> None:
    block = "".join(f"    {k}: {v}\n" for k, v in {**EXPERIMENT, name: value}.items())
    with pytest.raises(InputError):
        parse(VALUES, f"search:\n  experiment:\n{block}")


@pytest.mark.parametrize(
    "experiments",
    [
        "search: {experiment: false}",
        "search: {experiment: 0}",
        "search: {experiment: ''}",
        "search: {holdback: []}",
        "search: {holdbak: {id: h, release: r, share: 0.1}}",
        "search: {release: {version: v, digest: d, cycle: c}}",
        "serch: {experiment: {id: e, layer: l, candidate: c, share: 0.2}}",
        "search: {holdback: {id: h, release: r}}",
        "5",
    ],
)
def test_a_misspelt_experiment_is_not_taken_for_none(experiments: str) -> None:
    with pytest.raises(InputError):
        parse(VALUES, experiments)


@pytest.mark.parametrize("share", [0, 1])
def test_a_whole_number_is_a_share(share: int) -> None:
    text = f"search:\n  holdback: {{id: h, release: r, share: {share}}}\n"
    held = parse(VALUES, text).holdback
    assert held == Holdback("h", "r", float(share))
    assert type(held.share) is float if held else False


def test_each_contour_has_its_two_files() -> None:
    assert values_path("local") == "environments/local/values.yaml"
    assert experiments_path("local") == "environments/local/experiments.yaml"


def test_the_one_experiment_of_an_older_version_is_read() -> None:
    block = "".join(f"    {name}: {value}\n" for name, value in EXPERIMENT.items())
    read = parse(VALUES, f"search:\n  experiment:\n{block}  holdback: null\n")
    assert read.experiments == (RunningExperiment("e", "l", "c", 0.2),)
    assert parse(*written(read)) == read


def test_several_experiments_are_kept_in_the_order_of_their_start() -> None:
    state = Desired(
        RELEASE,
        (
            RunningExperiment("b", "ranking", "new", 0.2, users_to=0.5),
            RunningExperiment("a", "ranking", "other", 0.5, INTERLEAVE, 0.5, 1.0),
            RunningExperiment("c", "retrieval", "third", 0.2),
        ),
    )
    read = parse(*written(state))
    assert read == state
    assert read.experiment == state.experiments[0]
    assert read.running("c") == state.experiments[2]
    assert read.running("d") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"users_from": 0.4},
        {"id": "first", "users_from": 0.5},
        {"users_from": 0.5, "users_to": 0.5},
        {"users_from": 0.9, "users_to": 0.6},
        {"users_from": 0.5, "kind": "bandit"},
        {"users_from": 0.5, "users_to": 1.1},
        {"users_from": 0.5, "slice": 3},
    ],
    ids=str,
)
def test_experiments_that_claim_the_same_users_are_refused(changes: dict[str, object]) -> None:
    first = {"id": "first", "layer": "l", "candidate": "c", "share": 0.2, "users_to": 0.5}
    second = {"id": "second", "layer": "l", "candidate": "d", "share": 0.2, **changes}
    with pytest.raises(InputError):
        parse(VALUES, json.dumps({"search": {"experiments": [first, second]}}))
    parse(VALUES, json.dumps({"search": {"experiments": [first]}}))


@pytest.mark.parametrize("given", ["5", "{}", "[5]", "[null]", "'x'"])
def test_a_list_of_experiments_is_one(given: str) -> None:
    with pytest.raises(InputError):
        parse(VALUES, f"search: {{experiments: {given}}}")
