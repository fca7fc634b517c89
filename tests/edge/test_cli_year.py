"""People read what a simulated year came to, and the same figures of the loop that runs here."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from predator.edge.cli.year_words import ENGLISH, UKRAINIAN
from predator.simulation.year.year import Year
from tests.edge.conftest import Commands, Founded


def test_a_simulated_year_is_told_to_people_and_to_programs(commands: Commands) -> None:
    text = commands.does("simulate", "--days", "2", "--seed", "3")
    assert text.startswith("simulated days: 2, seed 3, contour edge-oracle")
    for part in ("cycles a month", "60–80", "what they hide", "no promise was broken"):
        assert part in text
    code, output, _ = commands("simulate", "--days", "2", "--seed", "3", "--json")
    found = json.loads(output)
    assert code == 0 and found["days"] == 2 and len(found["kpis"]) == 6
    assert commands("simulate", "--days", "2", "--seed", "3", "--json")[1] == output


def test_the_page_needs_no_other_file_and_holds_the_plot(commands: Commands) -> None:
    commands.does("simulate", "--days", "2", "--seed", "3", "--report", "year.html", "--lang", "uk")
    page = (commands.folder / "year.html").read_text("utf-8")
    assert page.count("<polyline") == 3 and "<svg" in page and 'lang="uk"' in page
    assert UKRAINIAN["holdout"] in page
    assert not re.search(r"<script|<link|src=|url\(|@import", page)
    commands.does("simulate", "--days", "1", "--seed", "3", "--report", "year.svg")
    plot = (commands.folder / "year.svg").read_text("utf-8")
    assert ElementTree.fromstring(plot).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314


def test_a_ctrl_c_tells_what_there_is(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Year.advance

    def stopped(self: Year, days: int) -> None:
        if self.done == 2:
            raise KeyboardInterrupt
        advance(self, days)

    def at_once(self: Year, days: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Year, "advance", stopped)
    code, text, _ = commands("simulate", "--days", "5", "--seed", "3")
    assert code == 130
    assert "cut short after 2 of 5 days" in text and "no promise was broken" in text
    monkeypatch.setattr(Year, "advance", at_once)
    code, text, _ = commands("simulate", "--days", "5", "--report", "year.html")
    assert code == 130 and "cut short after 0 of 5 days" in text


def test_what_cannot_be_simulated_is_refused_beforehand(commands: Commands) -> None:
    assert "known: en, uk" in commands.refuses("simulate", "--days", "2", "--lang", "fr")
    assert "does not exist" in commands.refuses("simulate", "--report", "nowhere/year.html")
    assert "contour" in commands.refuses("simulate", "--days", "2", "--set", "contour=moon")


def test_every_language_says_everything() -> None:
    assert ENGLISH.keys() == UKRAINIAN.keys()
    for name, text in ENGLISH.items():
        fields = re.findall(r"{(\w+)", text)
        assert sorted(re.findall(r"{(\w+)", UKRAINIAN[name])) == sorted(fields), name


def test_the_figures_of_a_home_without_cycles_are_unknown(
    commands: Commands, founded: Founded
) -> None:
    text = commands.does("kpi")
    assert "cycles 0, under way 0" in text and text.count("unknown") == 5
    assert "rehearsed" not in text
    assert "nothing was measured" in commands.does("kpi", "--contour", "dev-mac")
    assert "показник" in commands.does("kpi", "--lang", "uk")
    with founded.stores() as stores:
        stores.cycles.open("k", "local", {"type": "scheduled"}, 1_600_000_000.0)
    found = commands.json("kpi", "--since", "2020-01-01")
    assert found["cycles"] == found["under_way"] == 1
    assert {one["name"]: one["met"] for one in found["kpis"]}["cycle_time_p95_s"] is False
    assert commands.json("kpi", "--since", "7d")["cycles"] == 0


def test_figures_of_nothing_are_refused(commands: Commands, founded: Founded) -> None:
    assert "predator run" in commands.refuses("kpi", "--set", "home=elsewhere")
    assert "known: en, uk" in commands.refuses("kpi", "--lang", "fr")
    assert "--since cannot be" in commands.refuses("kpi", "--since", "some day")
    assert "is not over yet" in commands.refuses("kpi", "--since", "2999-01-01")
    with founded.stores():
        pass
    assert "no contour 'moon'" in commands.refuses("kpi", "--contour", "moon")
