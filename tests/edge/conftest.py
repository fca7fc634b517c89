"""A home folder with a platform in it, and the command line in this process."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.runtime.dbos_client import DbosFlows
from predator.bootstrap.governed import Stores, stores_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.platform import found_platform
from predator.config import Settings, load_settings
from predator.edge.cli import main
from predator.search.encoder.export import prepare_encoder
from predator.search.processor import DEFAULT_ENTITIES, Rules
from tests.search.encoder.tiny import tiny_folder


@dataclass(frozen=True)
class Commands:
    """Runs commands in this process: exit code, output, errors."""

    folder: Path
    _capture: pytest.CaptureFixture[str]
    _patch: pytest.MonkeyPatch

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._patch.setattr(sys, "argv", ["predator", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        code = ended.value.code
        assert isinstance(code, int)
        return code, *self._capture.readouterr()

    def does(self, *arguments: str) -> str:
        """The output of a command that succeeds."""
        code, output, errors = self(*arguments)
        assert code == 0, errors
        return output

    def json(self, *arguments: str) -> Any:
        """What a command that succeeds prints as JSON."""
        return json.loads(self.does(*arguments, "--json"))

    def refuses(self, *arguments: str, code: int = 2) -> str:
        """The one line with which a command ends that fails."""
        found, _, errors = self(*arguments)
        assert found == code, errors
        [line] = errors.splitlines()
        assert line.startswith("error: ")
        return line


@pytest.fixture
def commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Commands:
    """The command line, in an empty folder, by ``ann``."""
    for name in list(os.environ):
        if name.upper().startswith("PREDATOR_"):
            monkeypatch.delenv(name)
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, "ann")
    monkeypatch.chdir(tmp_path)
    return Commands(tmp_path, capfd, monkeypatch)


@dataclass(frozen=True)
class Founded:
    """A home folder whose platform was founded, and what a worker of it would hold."""

    settings: Settings
    run: Run

    @property
    def home(self) -> Home:
        return Home(self.settings)

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        opened = stores_of(self.settings)
        try:
            yield opened
        finally:
            opened.database.close()


@pytest.fixture(scope="session")
def founded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A founded platform with its databases, not to be changed."""
    place = tmp_path_factory.mktemp("founded")
    files = prepare_encoder(tiny_folder(place / "model"), place / "encoder", max_tokens=32)
    home = Home(load_settings({"home": place / "home", "artifacts": place / "artifacts"}))
    home.make()
    run = home.new_run("tiny")
    found_platform(run, files, Rules({}, DEFAULT_ENTITIES), "tiny", "local")
    stores_of(home.settings).database.close()
    DbosFlows(home.flows_url(run)).close()
    return home.root


@pytest.fixture
def founded(founded_once: Path, commands: Commands) -> Founded:
    """A platform of the test's own, in the folder of ``commands``."""
    root = commands.folder / ".predator"
    shutil.copytree(founded_once, root)
    settings = load_settings({"home": root, "artifacts": commands.folder / "artifacts"})
    home = Home(settings)
    home.make()
    [folder] = (root / "runs").iterdir()
    home.point_current(Run(folder))
    return Founded(settings, Run(folder))
