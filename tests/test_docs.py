"""The documents keep up with the code: links, commands, settings, routes, figures."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from annotated_types import Ge, Gt, Le, Lt
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from predator.config import PREFIX, Settings
from predator.edge.cli.main import app
from predator.learning.retrieval_parameters import GRID
from predator.loop.contract import CONTRACT
from predator.loop.record import BACKWARD, FENCED
from predator.search.features import FEATURES
from predator.search.serving.app import create_app
from predator.search.serving.instruments import Instruments
from predator.search.serving.schemas import Event, Flip, NewDocument, Rating, SearchRequest
from tests.documents import anchors, blocks, commands, figures, levels, targets, text_of
from tests.invariants.checks import OUTCOMES

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "predator"
ENGLISH, UKRAINIAN = ROOT / "README.md", ROOT / "README.uk.md"
DOCUMENTS = [ENGLISH, UKRAINIAN, *sorted((ROOT / "docs").rglob("*.md"))]
STATIONS = (
    "monitor", "diagnose", "augment", "train", "evaluate", "experiment", "promote",
    "watch-and-rollback", "drill",
)  # fmt: skip
BODIES: dict[str, TypeAdapter[object]] = {
    "/search": TypeAdapter(SearchRequest),
    "/events": TypeAdapter(list[Event]),
    "/feedback": TypeAdapter(Rating),
    "/documents": TypeAdapter(list[NewDocument]),
    "/control/flip": TypeAdapter(Flip),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_and_every_box_of_a_diagram_leads_somewhere(document: Path) -> None:
    dead = []
    for target in targets(text_of(document)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        place = (document.parent / path).resolve() if path else document
        found = place.exists() and place.is_relative_to(ROOT)
        if not found or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_that_is_named_exists(document: Path) -> None:
    root = get_command(app)
    wrong = []
    for words in commands(text_of(document), "predator"):
        command, left = root, list(words)
        while isinstance(command, TyperGroup) and left and not left[0].startswith(("-", "…")):
            names = left.pop(0).split("|")
            if any(name not in command.commands for name in names):
                wrong.append(" ".join(words))
                break
            command = command.commands[names[0]]
        else:
            options = {name for parameter in command.params for name in parameter.opts}
            given = {word.split("=")[0] for word in left if re.match(r"--?[a-z]", word)}
            if not given <= options | {"--help"}:
                wrong.append(" ".join(words))
        assert isinstance(command, TyperGroup | TyperCommand)
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    known = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.M))
    named = {words[0] for words in commands(text_of(document), "make")}
    assert {name for name in named if re.match(r"[a-z]", name)} <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_setting_that_is_named_exists(document: Path) -> None:
    text = text_of(document)
    named = set(re.findall(r"--set ([a-z]\w*)=", text))
    named |= {name.lower() for name in re.findall(rf"\b{PREFIX}([A-Z][A-Z0-9_]*)", text)}
    assert named <= set(Settings.model_fields)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_figure_is_left_to_fill_in(document: Path) -> None:
    assert "{{FIGURE" not in text_of(document)


def test_the_page_of_settings_is_the_catalogue() -> None:
    shown = re.findall(r"^\| `\w+` \|.+\|$", text_of(ROOT / "docs/settings.md"), re.M)
    wanted = [row_of(name, field) for name, field in Settings.model_fields.items()]
    assert shown == wanted, "docs/settings.md should hold:\n" + "\n".join(wanted)


def row_of(name: str, field: FieldInfo) -> str:
    default = "none" if field.default is None else str(field.default)
    return f"| `{name}` | `{default}` | {allowed(field)} | {field.description} |"


def allowed(field: FieldInfo) -> str:
    """The bounds of a setting as people write them."""
    signs = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}
    found = []
    for limit in field.metadata:
        for kind, sign in signs.items():
            if isinstance(limit, kind):
                found.append(f"{sign} {getattr(limit, kind.__name__.lower()):g}")
        pattern = getattr(limit, "pattern", None)
        if pattern:
            found.append(f"`{pattern.strip('^$')}`")
    return ", ".join(found) or "–"


def test_every_station_has_a_page_that_both_readmes_link() -> None:
    pages = {path.stem for path in (ROOT / "docs/stations").glob("*.md")}
    assert pages == set(STATIONS)
    for readme in (ENGLISH, UKRAINIAN):
        assert {f"docs/stations/{name}.md" for name in STATIONS} <= set(targets(text_of(readme)))


def test_the_ring_is_drawn_with_links_to_its_sources() -> None:
    for readme in (ENGLISH, UKRAINIAN):
        (ring,) = blocks(text_of(readme), "mermaid")
        linked = set(targets(ring))
        for station in (*STATIONS[:7], "watch", "rollback"):
            own = {f"src/predator/loop/{station}.py", f"src/predator/loop/{station}/look.py"}
            assert own & linked, station


def test_both_readmes_have_the_same_shape_links_and_figures() -> None:
    english, ukrainian = text_of(ENGLISH), text_of(UKRAINIAN)
    assert levels(english) == levels(ukrainian)
    assert figures(english) == figures(ukrainian)
    theirs = {"README.md", "README.uk.md"}
    own = [{t for t in targets(text) if not t.startswith("#")} - theirs
           for text in (english, ukrainian)]  # fmt: skip
    assert own[0] == own[1]


def test_the_map_of_the_house_names_every_room() -> None:
    text = text_of(ROOT / "docs/architecture.md")
    packages = {path.parent for path in HOUSE.rglob("*.py")} - {HOUSE}
    rooms = {f"{path.relative_to(HOUSE)}/" for path in packages}
    assert set(re.findall(r"^\| `([a-z_/]+/)` \|", text, re.M)) == rooms


def test_the_import_law_is_the_one_that_is_checked() -> None:
    tool = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["importlinter"]
    (law,) = (c["layers"] for c in tool["contracts"] if c["type"] == "layers")
    written = " → ".join(layer.replace(" | ", ", ") for layer in law)
    assert f"`{written}`" in text_of(ROOT / "docs/architecture.md")


class _Platform:
    instruments = Instruments()


def routes() -> set[str]:
    made = create_app(_Platform(), "token")  # type: ignore[arg-type]
    return {route.path for route in made.routes if isinstance(route, APIRoute)}


def test_the_page_of_the_api_names_every_route_and_no_other() -> None:
    titles = re.findall(r"^## `(?:GET|POST) (\S+)`$", text_of(ROOT / "docs/api.md"), re.M)
    assert set(titles) == routes()


def test_the_page_of_the_api_names_every_metric() -> None:
    exposed = Instruments().registry.collect()
    named = set(re.findall(r"`(predator_\w+)`", text_of(ROOT / "docs/api.md")))
    assert named == {metric.name for metric in exposed}


def test_what_the_api_page_sends_is_accepted() -> None:
    sent = list(curls(text_of(ROOT / "docs/api.md")))
    assert {path for path, _ in sent} == routes()
    for path, body in sent:
        assert (body is None) == (path not in BODIES), path
        if body is not None:
            BODIES[path].validate_json(body, strict=False)


def curls(text: str) -> Iterator[tuple[str, str | None]]:
    """The path and the body of each request to the platform."""
    for words in commands(text, "curl"):
        (url,) = (word for word in words if word.startswith("$API/"))
        body = words[words.index("-d") + 1] if "-d" in words else None
        yield url.removeprefix("$API"), body and with_values(body)


def with_values(body: str) -> str:
    """The body as the shell would send it."""
    return body.replace("$QUERY_ID", "0" * 32).replace("$RELEASE", "0" * 64)


def test_the_pages_count_right() -> None:
    monitor, train = (text_of(ROOT / f"docs/stations/{name}.md") for name in ("monitor", "train"))
    rows = re.findall(r"^\| `(\w+)` \|", monitor, re.M)
    assert rows == [row.signal for row in CONTRACT]
    assert f"a grid of {len(GRID)} settings" in train
    assert f"over {len(FEATURES)} lexical, dense and field features" in train


def test_the_sections_of_a_station_are_always_the_same() -> None:
    for name in STATIONS:
        titles = re.findall(r"^## (.+)$", text_of(ROOT / f"docs/stations/{name}.md"), re.M)
        assert is_in_order(titles), name


def test_the_settings_of_a_station_are_settings_or_keys_of_a_contour() -> None:
    keys = {re.sub(r".*\.", "", row) for row in re.findall(
        r"^\| `(selfImprovement\.[\w.]+)` \|", text_of(ROOT / "docs/contours.md"), re.M
    )}  # fmt: skip
    for name in STATIONS:
        text = text_of(ROOT / f"docs/stations/{name}.md")
        section = text.partition("## Settings\n")[2].partition("\n## ")[0]
        assert set(re.findall(r"`(\w+)`", section)) <= set(Settings.model_fields) | keys, name


def test_the_map_says_what_a_stop_waits_for_and_what_a_cancel_leaves() -> None:
    steps = text_of(ROOT / "docs/architecture.md").partition("## How a step is made durable")[2]
    (fenced,) = re.findall(r"Short effects \((.+?)\)", steps)
    (backward,) = re.findall(r"takes back or tells \((.+?)\)", steps)
    assert set(re.findall(r"`(\w+)`", fenced)) == FENCED
    assert set(re.findall(r"`(\w+)`", backward)) == BACKWARD


def test_the_operators_page_names_metrics_and_outcomes_that_are_there() -> None:
    text = text_of(ROOT / "docs/operating.md")
    pages = text_of(ROOT / "docs/api.md") + text_of(ROOT / "docs/admin-api.md")
    shown = set(re.findall(r"^\| `(predator_\w+)` \|", pages, re.M))
    assert set(re.findall(r"`(predator_\w+)`", text)) <= shown
    (line,) = re.findall(r"^Outcomes: (.+)$", text, re.M)
    assert set(re.findall(r"`(\w+)`", line)) == OUTCOMES


def test_the_operators_page_names_settings_that_are_there() -> None:
    text = text_of(ROOT / "docs/operating.md")
    suffixes = "s|ms|mb|usd|id|experiments"
    named = set(re.findall(rf"`((?!predator_)[a-z]+(?:_[a-z]+)*_(?:{suffixes}))`", text))
    assert named - {"request_id", "si_cycle_id", "max_budget_usd"} <= set(Settings.model_fields)


def test_what_stops_a_threat_is_shown_by_a_test() -> None:
    text = text_of(ROOT / "docs/threat-model.md")
    tables = re.findall(r"^\| .+ \| shown by \|\n\|[-|]+\|\n((?:\|.+\|\n)+)", text, re.M)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) >= 40
    assert [row for row in rows if "](../tests/" not in row.rsplit(" | ", 1)[1]] == []


def is_in_order(titles: Sequence[str]) -> bool:
    return list(titles) == ["What it takes", "What it decides", "What it leaves", "Settings",
                            "Not there yet"]  # fmt: skip
