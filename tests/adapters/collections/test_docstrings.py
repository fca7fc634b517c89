"""The embedded collection: there without a download, the same every time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from predator.adapters.collections import docstrings
from predator.adapters.collections.digest import content_digest
from predator.adapters.collections.docstrings import embedded_collection
from predator.adapters.collections.harvest import find_sources, read_docstrings
from predator.domain.documents import Collection
from predator.domain.errors import InputError


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "made on demand"


@pytest.fixture(scope="session")
def default(cache: Path) -> Collection:
    return embedded_collection(cache)


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wave of a package of three modules instead of the usual four waves."""
    root = tmp_path_factory.mktemp("site")
    (root / "tiny_package").mkdir()
    for number, verb in enumerate(("__init__", "read", "write")):
        docstring = (
            f"Will {verb} the rows of a graph.\n\nThe rows come as {number}, one by one, fast."
        )
        (root / "tiny_package" / f"{verb}.py").write_text(f'"""{docstring}"""\n')
    monkeypatch.syspath_prepend(root)
    monkeypatch.setattr(docstrings, "WAVES", (("tiny_package",), ()))


def test_it_holds_thousands_of_known_items_in_two_waves(default: Collection) -> None:
    assert 5_500 <= len(default.documents) <= 7_500  # fewer where Python has dropped modules
    assert [len(wave) > 1_000 for wave in default.arrivals] == [True, True]
    arrived = [name for wave in default.arrivals for name in wave]
    assert arrived == [document.id for document in default.documents]
    assert {name.split(".")[0] for name in default.arrivals[1]} == {"sklearn"}
    assert "email.message.Message.get_payload" in default.arrivals[0]


def test_every_query_has_one_right_answer_that_is_not_given_away(default: Collection) -> None:
    documents = {document.id: document for document in default.documents}
    assert len(documents) == len(default.documents)
    assert len({document.text for document in default.documents}) == len(documents)
    assert len({query.text.lower() for query in default.queries}) == len(documents)
    judgments = default.splits["known-item"]
    assert list(default.splits) == ["known-item"]
    for query in default.queries:
        ((answer, grade),) = judgments[query.id].items()
        assert (query.id, grade) == (f"q:{answer}", 1)
        assert len(query.text.split()) >= 4
        assert len(documents[answer].text.split()) >= 8
        assert words(query.text) not in words(documents[answer].text)


def words(text: str) -> str:
    return f" {' '.join(re.findall(r'[a-z0-9_]+', text.lower()))} "


def test_categories_are_few_and_none_is_tiny(default: Collection) -> None:
    categories = [document.category for document in default.documents]
    assert 15 <= len(set(categories)) <= 60
    assert min(map(categories.count, set(categories))) >= 25
    assert {"sklearn.linear_model", "stdlib.email", "numpy.lib"} <= set(categories)


def test_c_functions_are_there_through_the_calls_that_document_them(default: Collection) -> None:
    assert "numpy._core.multiarray.lexsort" in {document.id for document in default.documents}


def test_the_manifest_says_what_it_was_made_of(default: Collection) -> None:
    packages = default.manifest["packages"]
    assert isinstance(packages, dict)
    assert list(packages) == ["stdlib", "numpy", "networkx", "sklearn"]
    assert packages["stdlib"] == default.manifest["python"] == sys.version.split()[0]
    assert default.manifest["documents"] == len(default.documents)
    assert default.digest == content_digest(default.documents, default.queries, default.splits)


@pytest.mark.nightly
def test_later_waves_leave_the_first_as_they_were(default: Collection) -> None:
    everything = embedded_collection(waves=4)
    assert everything.arrivals[:2] == default.arrivals
    assert tuple(everything.documents[: len(default.documents)]) == default.documents
    assert tuple(everything.queries[: len(default.queries)]) == default.queries
    assert {name.split(".")[0] for name in everything.arrivals[3]} == {"sqlalchemy"}


def test_a_later_wave_leaves_the_first_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docstrings, "WAVES", (("networkx",), ("sqlalchemy",)))
    one, two = embedded_collection(waves=1), embedded_collection(waves=2)
    assert two.arrivals[:1] == one.arrivals
    assert tuple(two.documents[: len(one.documents)]) == one.documents
    assert {name.split(".")[0] for name in two.arrivals[1]} == {"sqlalchemy"}
    assert one.digest != two.digest


def test_the_cache_answers_with_the_same_collection(default: Collection, cache: Path) -> None:
    def unexpected(done: int, total: int) -> None:
        pytest.fail("files were read although the cache has the answer")

    assert embedded_collection(cache, progress=unexpected) == default


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "damage", [b"", b"\x00", b'{"documents": []}', "flip", "cut", "swap", "folder"]
)
def test_a_broken_cache_is_rebuilt(tmp_path: Path, damage: bytes | str) -> None:
    kept = embedded_collection(tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    elif damage == "flip":
        file.write_bytes(whole.replace(b"graph", b"grape", 1))
    elif damage == "cut":
        file.write_bytes(whole[:-10])
    elif damage == "swap":  # a whole file, but of another key
        (tmp_path / "other").write_bytes(b"0" * 64 + whole[64:])
        (tmp_path / "other").replace(file)
    else:
        file.unlink()
        file.mkdir()
    assert embedded_collection(tmp_path) == kept
    if damage != "folder":
        assert file.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.usefixtures("small")
def test_a_changed_package_is_read_again(tmp_path: Path) -> None:
    before = embedded_collection(tmp_path)
    (file,) = (
        source.path for source in find_sources("tiny_package", "") if "read" in source.module
    )
    file.write_text(file.read_text().replace("fast", "slowly"))
    after = embedded_collection(tmp_path)
    assert "slowly" in " ".join(document.text for document in after.documents)
    assert after.digest != before.digest


@pytest.mark.usefixtures("small")
def test_a_cache_that_cannot_be_written_costs_time_not_the_collection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert len(embedded_collection(tmp_path / "file" / "cache").documents) == 3
    assert "not cached" in caplog.text


@pytest.mark.usefixtures("small")
def test_progress_counts_up_to_the_number_of_files() -> None:
    heard: list[tuple[int, int]] = []
    embedded_collection(waves=1, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("package", "extra"), [("sklearn", "search"), ("networkx", "search"), ("sqlalchemy", "track")]
)
def test_a_missing_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(docstrings, "WAVES", ((package,),))
    with pytest.raises(InputError) as caught:
        embedded_collection(waves=1)
    assert str(caught.value) == (
        f"the package {package} is not installed. "
        f"Install it with: pip install 'predator-search[{extra}]'"
    )


@pytest.mark.parametrize("waves", [0, 5, -1])
def test_waves_out_of_range_are_refused(waves: int) -> None:
    with pytest.raises(InputError, match="has 4 waves"):
        embedded_collection(waves=waves)


def test_nothing_is_imported() -> None:
    script = dedent("""
        import sys
        from predator.adapters.collections import docstrings
        docstrings.WAVES = (("networkx", "sklearn"),)
        assert docstrings.embedded_collection(waves=1).documents
        print([name for name in ("networkx", "sklearn", "numpy") if name in sys.modules])
    """)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_any_source_is_read_and_none_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "odd_package"
    files = {
        "__init__.py": '"""The package."""\nraise SystemExit("imported")\n',
        "escapes.py": 'def f():\n    "a \\d b"\n',
        "latin.py": '# coding: latin-1\n"""caf\xe9"""\n',
        "broken.py": "def f(:\n",
        "nul.py": "x = '\x00'\n",
        "deep.py": "(" * 5000,
        "not-a-module.py": '"""no"""\n',
        "test_it.py": '"""no"""\n',
        "tests/inner.py": '"""no"""\n',
        "c.py": dedent('''
            class K:
                """K."""
                async def m(self):
                    """K.m."""
            add_newdoc("place", "one", """One.""")
            add_newdoc("place", "two", ("attribute", "Two."))
            add_newdoc("place", "three", [("a", "A."), ("b", "B."), ("odd",), 5])
            add_newdoc("four", "Four.")
            add_newdoc("place", "computed", "x" + str(1))
            add_newdoc(1, 2, 3)
        '''),
    }
    for name, text in files.items():
        (package / name).parent.mkdir(exist_ok=True, parents=True)
        (package / name).write_bytes(text.encode("latin-1"))
    (package / "dangling.py").symlink_to(tmp_path / "nowhere")
    monkeypatch.syspath_prepend(tmp_path)
    found = [pair for source in find_sources("odd_package", "") for pair in read_docstrings(source)]
    assert found == [
        ("odd_package", "The package."),
        ("odd_package.c.K", "K."),
        ("odd_package.c.K.m", "K.m."),
        ("place.one", "One."),
        ("place.two.attribute", "Two."),
        ("place.three.a", "A."),
        ("place.three.b", "B."),
        ("odd_package.four", "Four."),
        ("odd_package.escapes.f", "a \\d b"),
        ("odd_package.latin", "café"),
    ]
