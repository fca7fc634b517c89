"""An experiment is told in words, numbers and pictures, whatever its files hold."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from predator.domain.canonical import sha256_hex
from predator.edge.cli.experiment_plot import Labels, bars, page, svg
from predator.edge.cli.experiment_words import LANGUAGES, WORDS
from predator.journal.audit import AuditJournal
from predator.journal.summary import CycleSummary
from predator.loop.deciders import write_decision
from predator.loop.experiment.view import LookPoint, known, read_experiment
from predator.loop.operator.desk import NotFoundError
from tests.edge.conftest import Commands

CYCLE = "si_2026_11_24_001"
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert(1)</script>\x1b[31m\u202e & "quoted" \x00'


def looks(count: int) -> list[dict[str, Any]]:
    return [
        {
            "number": n, "elapsed_s": 3600.0 * n, "n_a": 800 * n, "n_b": 200 * n,
            "users_a": 100 * n, "users_b": 25 * n, "delta_rel": 0.03, "ci_low": 0.03 - 0.1 / n,
            "ci_high": 0.03 + 0.1 / n, "evidence": 1.6**n,
        }
        for n in range(1, count + 1)
    ]  # fmt: skip


def result(**changes: Any) -> dict[str, Any]:
    seen = looks(9)
    return {
        "verdict": "PASS", "reason": "evidence 68.7 of 20", "ended": True, "searches": 9000,
        "elapsed_s": 32_400.0, "users": {"baseline": 900, "candidate": 225},
        "difference": {"mean_a": 0.5, "mean_b": 0.515, **seen[-1]},
        "metrics": [
            {"name": "click_ndcg", "role": "guard", "baseline": 0.4, "candidate": 0.41,
             "delta_rel": 0.025, "ci_low": -0.01, "ci_high": 0.06, "state": "holds", "note": ""},
            {"name": "csat", "role": "guard", "baseline": None, "candidate": None,
             "delta_rel": None, "ci_low": None, "ci_high": None, "state": "unknown", "note": ""},
        ],
        "sample_ratio": {"evidence": 0.3, "mismatch": False},
        "excluded": {"users": 3, "share": 0.003, "quarantined": False, "reasons": {"flood": 3}},
        "novelty": None, "looks": seen, **changes,
    }  # fmt: skip


PLAN = {
    "metric": "click_mrr", "share": 0.2, "alpha": 0.05, "evidence": 20, "searches": 9000,
    "effect_rel": 0.03,
}  # fmt: skip


def left(artifacts: Path, cycle: str = CYCLE, **changes: Any) -> Path:
    """A cycle whose experiment has ended."""
    folder = artifacts / cycle
    AuditJournal(folder / "audit.jsonl").append({"type": "start", "contour": "local"})
    found = result(**changes)
    written = {
        "cycle_id": cycle, "release": "c" * 64, "plan": PLAN, "result": found,
        "verdict": found["verdict"], "passed_gate": found["verdict"] == "PASS",
    }  # fmt: skip
    (folder / "ab_test_results.json").write_text(json.dumps(written))
    return folder


@pytest.fixture
def artifacts(commands: Commands) -> Path:
    return commands.folder / "artifacts"


def test_an_experiment_is_told_with_sizes_estimates_and_the_reason(
    commands: Commands, artifacts: Path
) -> None:
    left(artifacts)
    shown = commands.does("experiment", "show", f"exp-{CYCLE}")
    for part in (
        "PASS: users of the candidate were better served.",
        "In the decider's words: evidence 68.7 of 20",
        "click_mrr changed by +3.0%; the interval goes from +1.9% to +4.1%.",
        "Evidence for a gain: 68.72, of the 20",
        "1125 users with 9000 searches, in 9 h, at 9 looks",
        "9000 searches would show +3.0%; 20% of the users get the candidate",
        "3 users were left out as bots or fraud",
        "The audit of the cycle is intact.",
    ):
        assert part in shown
    assert sum("●" in line for line in shown.splitlines()) == 9
    assert [line.split() for line in shown.splitlines() if line.startswith("csat")] == [
        ["csat", "–", "–", "–", "–", "…", "–", "not", "known"]
    ]
    assert commands.does("experiment", "show", CYCLE) == shown


def test_an_interval_that_holds_zero_beside_a_pass_is_explained(
    commands: Commands, artifacts: Path
) -> None:
    wide = {"mean_a": 0.5, "mean_b": 0.515, **looks(2)[-1]}
    left(artifacts, difference=wide, looks=looks(2))
    assert "wider than what the evidence" in commands.does("experiment", "show", CYCLE)
    left(artifacts, f"{CYCLE[:-1]}9", difference=wide, looks=looks(2), verdict="INCONCLUSIVE")
    assert "wider" not in commands.does("experiment", "show", f"{CYCLE[:-1]}9")


def test_it_is_told_in_ukrainian(commands: Commands, artifacts: Path) -> None:
    left(artifacts)
    shown = commands.does("experiment", "show", CYCLE, "--lang", "uk")
    assert "PASS: користувачів кандидата обслужено краще." in shown
    assert "The audit" not in shown and "кандидат" in shown


def test_both_languages_say_the_same_things() -> None:
    fields = {
        language: {
            name: sorted(field for _, field, _, _ in Formatter().parse(text) if field)
            for name, text in words.items()
        }
        for language, words in WORDS.items()
    }
    assert set(fields) == set(LANGUAGES)
    assert fields["en"] == fields["uk"]


def test_a_picture_is_drawn_that_needs_nothing_from_outside(
    commands: Commands, artifacts: Path
) -> None:
    left(artifacts)
    for name in ("plot.svg", "page.html"):
        commands.does("experiment", "show", CYCLE, "--plot", str(commands.folder / name))
    drawn = ET.parse(commands.folder / "plot.svg").getroot()  # noqa: S314 - our own
    assert drawn.tag == f"{SVG}svg"
    assert len(drawn.findall(f"{SVG}circle[@class='dot']")) == 9
    assert len(drawn.findall(f"{SVG}circle[@class='proven']")) == 9
    text = (commands.folder / "page.html").read_text()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert "<svg" in text and "click_ndcg" in text and "better served" in text


def test_json_holds_all_of_it(commands: Commands, artifacts: Path) -> None:
    left(artifacts)
    found = commands.json("experiment", "show", CYCLE)
    assert found["experiment"]["id"] == f"exp-{CYCLE}"
    assert len(found["experiment"]["looks"]) == 9
    assert found["experiment"]["arms"][1] == {
        "name": "candidate", "users": 225, "searches": 1800, "mean": 0.515,
    }  # fmt: skip
    assert found["words"][0].startswith("PASS")


def test_a_sample_ratio_mismatch_and_a_broken_audit_are_said_loudly(
    commands: Commands, artifacts: Path
) -> None:
    folder = left(
        artifacts,
        verdict="INCONCLUSIVE",
        sample_ratio={"evidence": 1e9, "mismatch": True},
        excluded={"users": 70, "share": 0.06, "quarantined": True, "reasons": {}},
        novelty={"first_rel": 0.09, "rest_rel": -0.02, "holds": False},
    )
    journal = folder / "audit.jsonl"
    journal.write_text(journal.read_text().replace("local", "lokal"))
    shown = commands.does("experiment", "show", CYCLE)
    assert "nothing is promoted" in shown
    assert "did not get their shares" in shown
    assert "70 users were left out" in shown and "quarantine" in shown
    assert "did not last" in shown
    assert "THE AUDIT IS BROKEN" in shown


def test_results_that_are_not_what_was_recorded_are_not_called_intact(
    commands: Commands, artifacts: Path
) -> None:
    folder = left(artifacts)
    step = json.dumps({"result": result()}).encode()
    (folder / "steps").mkdir()
    (folder / "steps" / "ab_test.json").write_bytes(step)
    action = {"type": "ab_test", "files": {"steps/ab_test.json": sha256_hex(step)}}
    journal = AuditJournal(folder / "audit.jsonl")
    journal.append({"type": "action", "action": {"type": "start_experiment", "plan": PLAN}})
    journal.append({"type": "action", "action": action})
    assert "The audit of the cycle is intact." in commands.does("experiment", "show", CYCLE)
    written = folder / "ab_test_results.json"
    was = written.read_text()
    written.write_text(was.replace("evidence 68.7", "evidence 99.9"))
    shown = commands.does("experiment", "show", CYCLE)
    assert "THE AUDIT IS BROKEN: ab_test_results.json is not what its step recorded" in shown
    [listed] = list(known(artifacts))
    assert "not what its step recorded" in listed.audit
    written.unlink()
    assert "UNREADABLE" in commands.does("experiment", "show", CYCLE)
    written.write_text(was)
    (folder / "steps" / "ab_test.json").write_bytes(b"{}")
    assert "its hash differs" in commands.does("experiment", "show", CYCLE)
    assert "its hash differs" in commands.does("cycle", "show", CYCLE)


def test_an_experiment_whose_cycle_ended_without_a_verdict_is_not_running(
    commands: Commands, artifacts: Path
) -> None:
    journal = AuditJournal(artifacts / CYCLE / "audit.jsonl")
    journal.append({"type": "start", "contour": "local"})
    action = {"type": "start_experiment", "plan": PLAN}
    journal.append({"type": "action", "action": action})
    journal.write_summary(
        CycleSummary(
            CYCLE, "2026-11-24T01:00:00Z", "local", {"type": "manual"}, (), "system", 0.0,
            "denied", True,
        )
    )  # fmt: skip
    assert "STOPPED: its cycle ended" in commands.does("experiment", "show", CYCLE)


def test_what_a_screen_and_a_shadow_said_before_is_told(
    commands: Commands, artifacts: Path
) -> None:
    folder = left(artifacts)
    for name, verdict in (("screen", "GO"), ("shadow", "UNDECIDED")):
        (folder / f"{name}_results.json").write_text(
            json.dumps({"verdict": verdict, "reason": f"as the {name} found"})
        )
    shown = commands.does("experiment", "show", CYCLE)
    assert "Screened by interleaving before: GO. as the screen found" in shown
    assert "Replayed in the shadow before: UNDECIDED. as the shadow found" in shown


def test_a_running_experiment_shows_its_plan_before_the_first_look(
    commands: Commands, artifacts: Path
) -> None:
    folder = artifacts / CYCLE
    journal = AuditJournal(folder / "audit.jsonl")
    journal.append({"type": "start", "contour": "local"})
    action = {"type": "start_experiment", "plan": PLAN}
    journal.append_once("start_experiment:action", {"type": "action", "action": action})
    shown = commands.does("experiment", "show", CYCLE)
    assert "RUNNING: no verdict yet." in shown and "9000 searches would show" in shown


def test_a_decision_that_was_recorded_is_what_a_running_experiment_shows(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = artifacts / CYCLE
    journal = AuditJournal(folder / "audit.jsonl")
    action = {"type": "start_experiment", "plan": PLAN}
    journal.append_once("start_experiment:action", {"type": "action", "action": action})
    monkeypatch.setattr(
        "predator.loop.deciders.DECIDERS", {"look_experiment": lambda _: result(verdict="FAIL")}
    )
    write_decision(folder, journal, "look-1", "look_experiment", {})
    found = read_experiment(artifacts, CYCLE)
    assert (found.verdict, len(found.looks)) == ("RUNNING", 9)


@pytest.mark.parametrize(
    "written",
    [
        {}, {"verdict": None}, {"verdict": 5, "result": [], "plan": "x"}, {"result": {"looks": 7}},
        {"verdict": "MAYBE", "result": {"looks": [None, 5, {"delta_rel": "x", "n_a": -1}]}},
        {"verdict": "PASS", "result": {"difference": {"delta_rel": True}, "users": {"x": ""}}},
        {"verdict": HOSTILE, "result": {"reason": HOSTILE, "metrics": [{"name": HOSTILE}]}},
    ],
    ids=range(7),
)  # fmt: skip
def test_damaged_files_are_shown_as_far_as_they_can_be_read(
    commands: Commands, artifacts: Path, written: dict[str, Any]
) -> None:
    folder = left(artifacts)
    (folder / "ab_test_results.json").write_text(json.dumps({"x": 1, **written}))
    target = commands.folder / "page.html"
    shown = commands.does("experiment", "show", CYCLE, "--plot", str(target))
    assert "\x1b" not in shown and "\u202e" not in shown
    assert "<script>" not in target.read_text() and "\x00" not in target.read_text()
    commands.json("experiment", "show", CYCLE)


def test_a_picture_of_hostile_words_is_still_a_picture() -> None:
    labels = Labels(*["<&>\"'"] * 5)
    point = LookPoint(1, 1.0, 10, 0.1, -0.1, 0.3, 5.0)
    for given in ([], [point], [point, LookPoint(2, None, 20, 0.0, 0.0, 0.0, 1e300)]):
        drawn = svg(given, labels, 20.0)
        ET.fromstring(drawn)  # noqa: S314 - our own
        assert len(bars(given)) == len(given)
        assert "<&>" not in page("<&>", "en", ["<&>"], [["<&>"]], drawn)
    assert bars([LookPoint(1, 1.0, 10, None, None, None, None)]) == []


@pytest.mark.parametrize("given", ["exp-nope", "nope", "../x", f"exp-{CYCLE}", "exp-"])
def test_an_experiment_that_is_none_is_refused(
    commands: Commands, artifacts: Path, given: str
) -> None:
    (artifacts / CYCLE).mkdir(parents=True)
    assert "no experiment" in commands.refuses("experiment", "show", given)
    with pytest.raises(NotFoundError):
        read_experiment(artifacts, given)
    assert list(known(artifacts)) == []


def test_a_language_or_a_kind_of_file_that_is_none_is_refused(
    commands: Commands, artifacts: Path
) -> None:
    left(artifacts)
    assert "en, uk" in commands.refuses("experiment", "show", CYCLE, "--lang", "tlh")
    assert ".svg" in commands.refuses("experiment", "show", CYCLE, "--plot", "plot.png")
    assert "does not exist" in commands.refuses("experiment", "show", CYCLE, "--plot", "no/x.svg")
