"""Contours to crash: a nursery of workers a session, a copy of a founded contour a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.contour import Contour
from tests.crash.nursery import Nursery
from tests.postgres import Server, postgres_server

__all__ = ["postgres_server"]

MakeContour = Callable[[str], Contour]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as started:
        yield started


@pytest.fixture(scope="session")
def template(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a founded contour that nobody has open; its databases are SQLite files."""
    folder = tmp_path_factory.mktemp("crash") / "template"
    assert nursery.tell("found", folder=str(folder), url="")["status"] == 0
    return folder


@pytest.fixture(scope="session")
def postgres_template(
    template: Path,
    nursery: Nursery,
    postgres_server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The name of a PostgreSQL database with every table in it."""
    name = postgres_server.create()
    folder = tmp_path_factory.mktemp("crash") / "postgres"
    order = {"folder": str(folder), "url": postgres_server.url(name)}
    assert nursery.tell("found", **order)["status"] == 0
    return name


@pytest.fixture
def contour(template: Path, tmp_path: Path) -> Contour:
    """A fresh one on SQLite."""
    return Contour(Path(shutil.copytree(template, tmp_path / "contour")))


@pytest.fixture
def postgres_contour(
    template: Path, postgres_template: str, postgres_server: Server, tmp_path: Path
) -> Iterator[Contour]:
    """A fresh one whose databases are one PostgreSQL."""
    name = postgres_server.create(template=postgres_template)
    folder = Path(shutil.copytree(template, tmp_path / "contour"))
    yield Contour(folder, postgres_server.url(name))
    postgres_server.drop(name)
