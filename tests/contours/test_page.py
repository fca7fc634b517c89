"""The page of contours lists every key with what it is and what shows that it works."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from predator.contours.load import packaged, parse
from predator.contours.meaning import FROM_KEYS
from predator.contours.model import NAMES, ContourFile
from predator.domain.errors import InputError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/contours.md").read_text("utf-8")
COLUMNS = ["key", "meaning", "allowed", "default", *NAMES, "read by", "shown by"]
NAMED_TYPES = {
    "_check_duration": "1m … 31d",
    "check_cron": "cron, five fields, UTC",
    "check_reference": "env:NAME, file:/path",
    "_check_destination": "text",
}
LATER = "not read yet: "


def rows() -> Mapping[str, Mapping[str, str]]:
    found = {}
    for line in re.findall(r"^\| `[\w.]+` \|.*\|$", PAGE, re.M):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert len(cells) == len(COLUMNS), line
        key = cells[0].strip("`")
        assert key not in found, key
        found[key] = dict(zip(COLUMNS, cells, strict=True))
    return found


def leaves(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        path = f"{above}{field.alias or name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{path}.")
        else:
            yield path, field


KEYS = dict(leaves(ContourFile))


def allowed(field: FieldInfo) -> str:
    """What a key takes, as the page writes it."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    if field.annotation is bool:
        return "true, false"
    inner = [note for part in get_args(field.annotation) for note in _notes(part)]
    for note in [*field.metadata, *inner]:
        if isinstance(note, AfterValidator) and note.func.__name__ in NAMED_TYPES:
            return NAMED_TYPES[note.func.__name__]
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {getattr(note, name):g}"
        for note in field.metadata
        for name, sign in signs.items()
        if hasattr(note, name)
    ]
    if bounds:
        return ", ".join(bounds)
    return "text" if field.annotation is str else "names and values"


def _notes(part: Any) -> tuple[Any, ...]:
    return getattr(part, "__metadata__", ())


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number:g}" for name, number in value.items()) or "–"
    if isinstance(value, int | float):
        return f"{value:g}"
    return str(value) if value else "–"


def value_of(found: Any, path: str) -> Any:
    for key in path.split("."):
        (name,) = (
            name for name, field in type(found).model_fields.items() if (field.alias or name) == key
        )
        found = getattr(found, name)
    return found


def contour_value(name: str, path: str) -> Any:
    """The value as the packaged file has it, defaults filled in."""
    top, _, rest = path.partition(".")
    block = {"selfImprovement": "self_improvement"}.get(top, top)
    found = getattr(packaged(name), block)
    return value_of(found, rest) if rest else found


def test_every_key_has_a_row_and_every_row_a_key() -> None:
    assert sorted(rows()) == sorted(KEYS)


@pytest.mark.parametrize("key", [key for key in KEYS if key != "settings"])
def test_a_row_says_what_the_code_says(key: str) -> None:
    row = rows()[key]
    assert row["allowed"] == allowed(KEYS[key])
    assert row["default"] == shown(value_of(ContourFile(), key))
    for name in NAMES:
        assert row[name] == shown(contour_value(name, key)), name
    assert row["meaning"]


@pytest.mark.parametrize("key", KEYS)
def test_a_row_names_a_test_that_exists_or_the_later_work(key: str) -> None:
    row = rows()[key]
    if row["shown by"].startswith(LATER):
        assert len(row["shown by"]) > len(LATER)
        assert row["read by"] == "–"
        return
    assert row["read by"] not in ("", "–")
    named = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", row["shown by"])
    assert named, key
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        *classes, name = test.split("::")
        body = list(tree.body)
        for inside in classes:
            [found] = [n for n in body if isinstance(n, ast.ClassDef) and n.name == inside]
            body = found.body
        tests = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        assert name in tests, f"{file}::{test}"


def test_the_page_says_which_keys_give_settings() -> None:
    for setting, path in FROM_KEYS.items():
        assert f"`{setting}`" in rows()[path]["read by"]


def test_the_examples_of_the_page_are_true() -> None:
    good, bad = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert parse(good.encode(), "local", "mine.yaml").self_improvement.max_cycles_per_day == 12
    with pytest.raises(InputError) as error:
        parse(bad.encode(), "local", "mine.yaml")
    assert f"error: {error.value}" in PAGE
