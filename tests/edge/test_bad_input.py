"""Bad input gets one line on standard error and exit code 2, and nothing is lost or left behind."""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from predator.edge.cli import main
from tests.adapters.platform.platforms import Place, served
from tests.adapters.platform.test_embedded_deployer import answering

Predator = Callable[..., tuple[int, str, str]]
FREE = ("--set", "port=0")


@pytest.fixture
def predator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Predator:
    """Runs a command in this process, in an empty folder: exit code, output, errors."""
    for name in list(os.environ):
        if name.upper().startswith("PREDATOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["predator", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        code = ended.value.code
        assert isinstance(code, int)
        return code, *capfd.readouterr()

    return run


def refused(done: tuple[int, str, str], *words: str, code: int = 2) -> None:
    """Exit code 2, nothing but one line on standard error, and the words in it."""
    found, _, errors = done
    assert found == code, errors
    [line] = errors.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--nonsense"), ("No such option: --nonsense", "predator --help")),
        (("run", "--cycles", "0"), ("--cycles",)),
        (("run", "--cycles", "many"), ("--cycles",)),
        (("run", "--seed", "-1"), ("--seed",)),
        (("serch", "x"), ("No such command 'serch'", "search")),
        (("cycle", "shw", "x"), ("No such command 'shw'",)),
        (("search",), ("Missing argument",)),
        (("run", "--set", "rate=5"), ("unknown setting 'rate'", "did you mean rate_per_s?")),
        (("serve", "--set", "prot=5"), ("unknown setting 'prot'", "did you mean port?")),
        (("run", "--set", "seed"), ("'seed' has no value", "NAME=VALUE")),
        (("run", "--set", "window_s=-1"), ("window_s", "'-1'")),
        (("run", "--set", "window_s=nan"), ("window_s",)),
        (("run", "--set", "port=70000"), ("port", "65535")),
        (("run", "--set", "contour=moon"), ("contour",)),
        (("run", "--set", "experiment_min_s=90"), ("experiment_min_s", "experiment_max_s")),
        (("run", "--set", "host=no.such.host.invalid"), ("no.such.host.invalid",)),
        (("run", "--json", "missing/out.json"), ("missing/out.json", "create it first")),
        (("run", "--json", "."), (". is a folder",)),
        (("bench", "relevance", "--json", "missing/out.json"), ("missing/out.json",)),
        (("run", *FREE, "--set", "home=file/x"), ("file/x", "Not a directory", "home=")),
        (("run", *FREE, "--set", "artifacts=file"), ("file", "artifacts=")),
        (("search", ""), ("the query is empty",)),
        (("search", " \t"), ("the query is empty",)),
        (("search", "x" * 100_000), ("100000 characters", "at most 1000")),
        (("search", "x", "-k", "0"), ("k is 0", "1 to 100")),
        (("search", "x", "-k", "-5"), ("k is -5",)),
        (("search", "x", "-k", "1000000"), ("k is 1000000",)),
        (("search", "x", "-k", "ten"), ("-k",)),
        (("serve",), ("there is no platform", "predator run")),
        (("serve", "--run", "nowhere"), ("nowhere holds no platform",)),
        (("cycle", "show", "../../etc"), ("there is no cycle '../../etc'", "cycle list")),
        (("cycle", "show", "si_2026_01_01_001"), ("there is no cycle",)),
        (("cycle", "show", "si_2026_02_31_001"), ("there is no cycle",)),
        (("cycle", "show", "line\nbreak"), ("there is no cycle",)),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else "",
)
def test_arguments(
    predator: Predator, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused(predator(*arguments), *words)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PREDATOR_SEEDS", "1", ("PREDATOR_SEEDS", "did you mean PREDATOR_SEED?")),
        ("PREDATOR_PROT", "1", ("PREDATOR_PROT", "did you mean PREDATOR_PORT?")),
        ("predator_zzzzzz", "1", ("predator_zzzzzz", "predator settings")),
        ("PREDATOR_PORT", "high", ("port", "'high'")),
    ],
)
def test_the_environment(
    predator: Predator, monkeypatch: pytest.MonkeyPatch, name: str, value: str,
    words: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setenv(name, value)
    refused(predator("settings"), *words)


def test_a_taken_port(predator: Predator, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(predator("run", "--set", f"port={port}"), f"port {port}", "--set port=N")
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


def test_a_folder_without_a_platform_is_said_before_a_taken_port(
    predator: Predator, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(predator("serve", "--run", ".", "--set", f"port={port}"), "holds no platform")


def beir(folder: Path, **changes: str) -> Path:
    """A BEIR folder of one document and one query, with some files replaced."""
    files = {
        "corpus.jsonl": '{"_id": "a", "text": "one"}\n',
        "queries.jsonl": '{"_id": "q", "text": "one"}\n',
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\ta\t1\n",
    }
    for name, text in {**files, **{k.replace("__", "/"): v for k, v in changes.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return folder


@pytest.mark.parametrize("command", [("run", "--data"), ("bench", "relevance")], ids=" ".join)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corpus.jsonl": '{"_id": "a", "text": "one"}\n{broken\n'}, ("corpus.jsonl:2",)),
        ({"corpus.jsonl": ""}, ("corpus.jsonl",)),
        (
            {"corpus.jsonl": '{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}\n'},
            ("corpus.jsonl:2", "'a'"),
        ),
        ({"corpus.jsonl": '{"_id": "a", "text": "\udcff"}\n'}, ("corpus.jsonl:1", "UTF-8")),
        ({"queries.jsonl": '{"_id": "q"}\n'}, ("queries.jsonl:1",)),
        ({"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\tz\t1\n"}, ("--missing-docs ignore",)),
        ({"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\ta\tmany\n"}, ("test.tsv:2",)),
        ({}, ("1 judged queries are too few", "20")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_folder_with_something_wrong(
    predator: Predator, tmp_path: Path, command: tuple[str, ...], changes: dict[str, str],
    words: tuple[str, ...],
) -> None:  # fmt: skip
    folder = beir(tmp_path / "data", **changes)
    code, _, errors = predator(*command, str(folder), *FREE)
    assert code == 2, errors
    # Before it: what was being done, as progress.
    said = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert said == errors.splitlines()[-1:]
    assert all(word in said[0] for word in words), said
    assert not list(tmp_path.glob(".predator/runs/*")), "no half a platform"


def test_a_folder_that_is_not_there(predator: Predator) -> None:
    code, _, errors = predator("run", "--data", "nowhere", *FREE)
    assert (code, errors.count("error: ")) == (2, 1)
    assert "nowhere" in errors.splitlines()[-1]


class TestSearch:
    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"hits": 7}', b"null"])
    @pytest.mark.parametrize("status", [200, 404])
    def test_what_answers_is_no_platform(
        self, predator: Predator, body: bytes, status: int
    ) -> None:
        with answering(body, status) as url:
            refused(predator("search", "x", "--url", url), "as a Predator platform", code=1)

    def test_nobody_answers(self, predator: Predator) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            refused(predator("search", "x", "--url", url), "predator serve", code=1)

    @pytest.mark.parametrize("url", ["nowhere", "http://", "http://[", "ftp://x", "http://x y"])
    def test_an_address_that_is_none(self, predator: Predator, url: str) -> None:
        refused(predator("search", "x", "--url", url), "no platform answers", code=1)

    def test_what_the_platform_refuses_is_passed_on(
        self, predator: Predator, tmp_path: Path
    ) -> None:
        place = Place(tmp_path / "place")
        place.commit("v1", place.release().digest)
        with served(place.app()) as url:
            done = predator("search", "x", "--url", url, "--user", "u" * 101)
            refused(done, "the platform refused: user_id")
            code, output, errors = predator("search", "x", "--url", url, "--json")
            assert (code, errors) == (0, "")
            assert json.loads(output)["hits"] == []

    def test_hits_are_shown_as_they_are(self, predator: Predator, tmp_path: Path) -> None:
        place = Place(tmp_path / "place")
        place.commit("v1", place.release().digest)
        with served(place.app()) as url:
            import httpx

            hostile = {"id": "a", "title": "[red]whale[/] [link=x]", "text": "a whale [bold]sang"}
            httpx.post(f"{url}/documents", json=[hostile])
            while httpx.get(f"{url}/readyz").json()["etl_pending"]:
                pass
            code, output, _ = predator("search", "whale", "--url", url)
        assert code == 0
        assert "[red]whale[/] [link=x]" in output
        assert "1 hits" in output or "1 hit" in output


class TestTroubleWithFiles:
    @pytest.mark.parametrize(
        ("number", "code"), [(errno.EACCES, 2), (errno.ENOTDIR, 2), (errno.ENOSPC, 1)]
    )
    def test_the_file_is_named_without_a_traceback(
        self, predator: Predator, monkeypatch: pytest.MonkeyPatch, number: int, code: int
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(number, os.strerror(number), "some/file")

        monkeypatch.setattr("predator.edge.cli.settings.show_settings", fail)
        refused(predator("settings"), "some/file: ", os.strerror(number), code=code)

    def test_a_defect_of_ours_keeps_its_traceback(
        self, predator: Predator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("a defect")

        monkeypatch.setattr("predator.edge.cli.settings.show_settings", fail)
        monkeypatch.setattr(sys, "argv", ["predator", "settings"])
        with pytest.raises(RuntimeError, match="a defect"):
            main.main()

    def test_a_ctrl_c_says_so_in_one_line(
        self, predator: Predator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("predator.edge.cli.settings.show_settings", interrupt)
        code, _, errors = predator("settings")
        assert code == 130
        assert errors.splitlines() == ["interrupted; the same command goes on from here"]


@pytest.mark.parametrize("arguments", [(), ("bench",), ("cycle",), ("--help",)], ids=" ".join)
def test_help_is_shown_where_nothing_is_asked(
    predator: Predator, arguments: tuple[str, ...]
) -> None:
    code, output, errors = predator(*arguments)
    assert code == (0 if arguments == ("--help",) else 2)
    assert "Usage:" in output + errors
    assert "error" not in output + errors


def test_the_version_is_told(predator: Predator) -> None:
    from predator import __version__

    assert predator("--version") == (0, f"predator {__version__}\n", "")


def test_help_is_quick(tmp_path: Path) -> None:
    """At most half a CPU second: the wall clock of a shared machine says little."""
    assert min(_cpu_of_help(tmp_path) for _ in range(3)) <= 0.5


def _cpu_of_help(folder: Path) -> float:
    with child_usage() as used:
        command = [sys.executable, "-m", "predator", "--help"]
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60)
    return used[0]


@contextmanager
def child_usage() -> Iterator[list[float]]:
    """CPU seconds of the processes that ended inside."""
    before, used = resource.getrusage(resource.RUSAGE_CHILDREN), [0.0]
    yield used
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used[0] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
