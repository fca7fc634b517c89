"""What Argo CD's repository server does: clone, check out, render the chart with Helm."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

CHART = "chart/predator"
"""Where the GitOps repository holds the chart."""


class ComparisonError(Exception):
    """The manifests of a revision cannot be made."""


class Repository:
    """A clone of the bare repository at ``url``, and the manifests of its revisions."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._made: dict[tuple[str, str], Mapping[str, Any] | ComparisonError] = {}

    def resolve(self, revision: str) -> str:
        """The commit that a branch or an id names; ``ComparisonError`` for none."""
        self._fetch()
        for name in (f"refs/remotes/origin/{revision}", f"{revision}^{{commit}}"):
            found = self._git("rev-parse", "--verify", "--quiet", name)
            if found.returncode == 0:
                return found.stdout.strip()
        raise ComparisonError(f"unable to resolve '{revision}' to a commit SHA")

    def manifests(self, source: Mapping[str, Any], revision: str, name: str) -> Mapping[str, Any]:
        """Objects by ``Kind/name``."""
        key = (json.dumps(source, sort_keys=True), revision)
        if key not in self._made:
            self._git("checkout", "--quiet", "--force", "--detach", revision)
            try:
                self._made[key] = self._render(source, name)
            except ComparisonError as error:
                self._made[key] = error
        made = self._made[key]
        if isinstance(made, ComparisonError):
            raise made
        return made

    def _render(self, source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        from helm_python import Chart
        from helm_python.errors import HelmError

        folder = self._folder / source["path"]
        if not folder.is_dir():
            raise ComparisonError(f"{source['path']}: app path does not exist")
        values: dict[str, Any] = {}
        for file in source["helm"]["valueFiles"]:
            path = (folder / file).resolve()
            if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
                raise ComparisonError(f"open {file}: no such file or directory")
            merge(values, YAML(typ="safe").load(path.read_text()) or {})
        try:
            with Chart.load(folder) as chart:
                rendered = chart.render(values, name=name, namespace="search")
        except HelmError as error:
            raise ComparisonError(f"helm template failed: {error}") from error
        objects = [
            one for path, text in sorted(rendered.items()) if path.endswith(".yaml")
            for one in parsed(text)
        ]  # fmt: skip
        return {f"{one['kind']}/{one['metadata']['name']}": one for one in objects}

    def _fetch(self) -> None:
        if not self._folder.exists():
            self._run("git", "clone", "--quiet", "--no-checkout", self._url, str(self._folder))
        self._git("fetch", "--quiet", "--prune", "origin")

    def _git(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run("git", "-C", str(self._folder), *words)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, check=False, capture_output=True, text=True, timeout=30)


@cache
def parsed(text: str) -> Sequence[Any]:
    """The objects of one template; most stay as they are from commit to commit."""
    return [found for found in YAML(typ="safe").load_all(text) if found]


def merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """As Helm merges files of values: maps deeply, the rest by the later one."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def chart_files(folder: Path) -> Sequence[tuple[str, str]]:
    """The chart's files as the GitOps repository holds them."""
    return [
        (f"{CHART}/{path.relative_to(folder)}", path.read_text())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
