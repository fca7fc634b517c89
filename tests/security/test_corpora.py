"""Hostile text at the doors of the stores: no path leaves its root, no text becomes code."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.object_store.memory import MemoryObjectStore
from predator.adapters.tracking import names
from predator.adapters.tracking.memory import MemoryTracking
from predator.adapters.tracking.mlflow_sqlite import MlflowTracking
from predator.domain.canonical import canonical_json
from predator.domain.errors import PredatorError
from predator.journal.audit import AuditJournal
from predator.loop.release.bundle import restore_encoder, verify_bundle
from predator.search.desired import (
    Desired,
    Holdback,
    LiveRelease,
    RunningExperiment,
    parse,
    render_experiments,
    render_values,
)
from predator.search.encoder.files import MANIFEST, MODEL, TOKENIZER, open_files
from predator.search.processor import Rules
from predator.search.rerank import load_reranker
from predator.search.serving.agent import load_release
from tests.security.forms import CANARY, INJECTIONS, texts, traversals
from tests.security.path_fields import SONG

CYCLE = "si_2025_12_07_001"


class TestPaths:
    """I19: no path leaves its root."""

    def test_the_corpus_is_large(self) -> None:
        assert len(traversals()) == len(set(traversals())) >= 500

    def test_no_form_in_any_field_leaves_the_home(self, tmp_path: Path) -> None:
        home = tmp_path / "a" / "b" / "c" / "home"
        home.mkdir(parents=True)
        (tmp_path / "work" / "deep").mkdir(parents=True)
        folders = [*home.parents[:4], tmp_path / "work", tmp_path / "work" / "deep"]
        for folder in folders:
            (folder / CANARY).write_text(SONG)
        before = _outside(tmp_path, home)
        done = subprocess.run(
            [sys.executable, "-m", "tests.security.path_fields", str(home)],
            cwd=tmp_path / "work" / "deep",
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/nowhere"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found = json.loads(done.stdout)
        assert found["escapes"] == []
        assert found["surprises"] == []
        assert found["caught"] >= 30
        assert len(found["fields"]) >= 30
        assert _outside(tmp_path, home) == before
        assert not [path for path in home.rglob("*") if path.is_symlink()]
        # What takes any text gives it a safe name; everything else refuses nearly every form.
        takes_any = {"mlflow model name", "mlflow dataset", "mlflow tag", "mlflow artifact folder"}
        takes_any |= {"bundle digest", "bundle rules", "bundle encoder", "bundle reranker"}
        lenient = {
            name
            for name in found["fields"]
            if found["refused"].get(name, 0) < 0.85 * len(traversals())
        }
        assert lenient == takes_any

    def test_what_takes_any_name_makes_it_one_plain_part(self) -> None:
        given = [*traversals(), *INJECTIONS, *texts(2000, seed=19)]
        kept = {text: names.clean_name(text) for text in given}
        for name in kept.values():
            assert name not in ("", ".", "..")
            assert not set(name) & set("/\\\0\n\r:")
            assert len(name) <= 250
        assert len(set(kept.values())) == len(kept), "two names became one"

    @pytest.mark.nightly
    def test_mlflow_takes_names_for_names_and_keeps_files_among_its_artifacts(
        self, tmp_path: Path
    ) -> None:
        """On every change the contract of tracking does this with ten names."""
        state, model = tmp_path / "a" / "b" / "state", tmp_path / "a" / "b" / "model"
        state.mkdir(parents=True)
        model.write_text("model")
        before = _outside(tmp_path, state)
        tracking = MlflowTracking(state / "mlflow.db", state / "artifacts")
        run = tracking.start(CYCLE, {})
        for form in [*traversals(), *INJECTIONS][::12]:
            tracking.tag(tracking.register(run, form, model, {form: form}), form, form)
            tracking.dataset(run, form, form, form, 1)
            with suppress(PredatorError):
                tracking.artifact(run, model, form)
            for refused in (tracking.alias, tracking.finish):
                with pytest.raises(PredatorError):
                    refused(form, "gold")
        assert tracking.start(CYCLE, {}) == run
        assert _outside(tmp_path, state) == before
        kept = [p for p in (state / "artifacts").rglob("*") if p.is_file()]
        assert len(kept) >= 80
        assert not [path for path in state.rglob("*") if path.is_symlink()]


class TestCode:
    """I20: text is never taken for code."""

    @pytest.mark.parametrize(
        "count", [10_000, pytest.param(100_000, marks=pytest.mark.nightly)], ids="{}".format
    )
    def test_every_text_comes_back_from_the_values_as_it_went_in(self, count: int) -> None:
        given = list(texts(count, seed=20))
        assert len(given) == count
        wrong = []
        for at in range(0, count, 8):
            a, b, c, d, e, f, g, h = (*given[at : at + 8], *[""] * 8)[:8]
            state = Desired(
                LiveRelease(a, b, c), (RunningExperiment(d, e, f, 0.2),), Holdback(g, h, 0.05)
            )
            values = render_values(state.release, None)
            experiments = render_experiments(state.experiments, state.holdback)
            if parse(values, experiments) != state:
                wrong.append(state)
        assert wrong == []

    def test_no_text_in_a_commit_becomes_a_trailer_or_a_command(self, tmp_path: Path) -> None:
        gitops = BareGit(tmp_path / "gitops.git")
        accepted = 0
        for number, text in enumerate(INJECTIONS):
            mark = {"Cycle": CYCLE, "Step": str(number)}
            head = gitops.commit({"a": f"{number}"}, f"x {text}", mark, parent=gitops.head())
            [commit] = gitops.log(1)
            assert dict(commit.trailers) == mark
            try:
                gitops.commit(
                    {"a": "b"}, "s", {**mark, "Step": f"{number}.", "Note": text}, parent=head
                )
            except PredatorError:
                continue
            accepted += 1
            [commit] = gitops.log(1)
            assert dict(commit.trailers) == {
                **mark,
                "Step": f"{number}.",
                "Note": text.strip(" \t"),
            }
        assert accepted >= 40
        assert not list(tmp_path.rglob("pwned*"))

    def test_the_journal_keeps_each_text_in_one_line(self, tmp_path: Path) -> None:
        journal = AuditJournal(tmp_path / "audit.jsonl", now=lambda: 1.0)
        for text in INJECTIONS:
            journal.append({"type": "note", "text": text})
        read = [record["text"] for record in journal.read() if record.get("type") == "note"]
        assert len(read) == len(INJECTIONS)
        assert journal.verify().ok
        assert len((tmp_path / "audit.jsonl").read_bytes().split(b"\n")) == len(INJECTIONS) + 1


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class TestModels:
    """I21: a model file can neither run code nor exhaust the machine."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> Sequence[bytes]:
        bomb = Bomb(tmp_path / "pwned")
        pickles = [pickle.dumps(bomb, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
        deep = [mark * 200_000 for mark in (b"[", b'{"a":', b'{"retrieval":')]
        odd = [b"", b"\0", b"\xff\xfe", b"null", b"3", b"[]", b"{}", b'""', b"NaN", b"1e999"]
        odd += [
            b"9" * 5000,
            b'{"a":1}' * 1000,
            b"PK\3\4" + b"\0" * 99,
            b"\x1f\x8b\x08" + b"\0" * 99,
        ]
        odd += [b"\x80\x04.", b"cos\nsystem\n(S'touch pwned'\ntR.", b"tree\nversion=v4\n" * 100]
        return [*pickles, *deep, *odd]

    def test_the_bomb_would_go_off(self, tmp_path: Path) -> None:
        pickle.loads(pickle.dumps(Bomb(tmp_path / "pwned")))  # noqa: S301 - our own, to show it
        assert (tmp_path / "pwned").exists()

    @pytest.mark.parametrize("load", [load_reranker, Rules.load], ids=["reranker", "rules"])
    def test_no_loader_runs_what_it_is_given(
        self, files: Sequence[bytes], tmp_path: Path, load: Callable[[bytes], object]
    ) -> None:
        for data in files:
            with pytest.raises(PredatorError):
                load(data)
        assert not (tmp_path / "pwned").exists()

    def test_no_release_is_made_of_it(self, files: Sequence[bytes], tmp_path: Path) -> None:
        objects = MemoryObjectStore()
        for data in files:
            [fault] = verify_bundle(objects, objects.put(data))
            assert fault.startswith("release (")
            with pytest.raises(PredatorError):
                load_release(data)
        assert not (tmp_path / "pwned").exists()

    def test_no_encoder_is_made_of_it(self, files: Sequence[bytes], tmp_path: Path) -> None:
        objects, folder = MemoryObjectStore(), tmp_path / "encoder"
        folder.mkdir()
        for data in files:
            for name in (MODEL, TOKENIZER, MANIFEST):
                (folder / name).write_bytes(data)
            assert open_files(folder, 32) is None
            with pytest.raises(PredatorError):
                restore_encoder(objects, objects.put(data), tmp_path / "restored")
            identity = {"tokenizer": objects.put(data), "max_tokens": 32, "exporter": 1}
            named = objects.put(canonical_json({**identity, "model": objects.put(data)}))
            with pytest.raises(PredatorError):
                restore_encoder(objects, named, tmp_path / "restored")
        assert not (tmp_path / "pwned").exists()
        assert not (tmp_path / "restored").exists()

    def test_the_registry_takes_no_link_for_a_model(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text(SONG)
        (tmp_path / "link").symlink_to(secret)
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "deep").symlink_to(secret)
        tracking = MemoryTracking()
        run = tracking.start(CYCLE, {})
        for source in ("link", "folder"):
            with pytest.raises(PredatorError, match="link"):
                tracking.register(run, "ranker", tmp_path / source, {})
        with pytest.raises(PredatorError, match="no file"):
            tracking.artifact(run, tmp_path / "link")
        assert (tracking.models, tracking.runs[run].artifacts) == ({}, {})


class TestSecrets:
    """I27: no secret leaks."""

    TOKEN = "c4n4ry9f8e7d6c5b4a39281706f5e4"
    CARRIERS = (
        "Bearer {}",
        "authorization: bearer {}",
        "https://user:{}@git.example/x.git",
        "postgresql://predator:{}@db/predator",
        "https://hooks.slack.com/services/T000/B000/{}",
        "https://api.example/v1?access_token={}&x=1",
        "password={}",
        "SLACK_WEBHOOK='{}'",
        "ghp_{}",
        "xoxb-{}",
        "sk-{}",
    )
    PLACES = ("{}", "failed: {} (try again)", "a\n{}\nb", "'{}'", '"{}"', "x;{};y", "({})")

    def test_no_journal_holds_one_wherever_it_stood(self, tmp_path: Path) -> None:
        journal = AuditJournal(tmp_path / "audit.jsonl", now=lambda: 1.0)
        count = 0
        for carrier in self.CARRIERS:
            for place in self.PLACES:
                text = place.format(carrier.format(self.TOKEN))
                for record in (
                    {"error": text},
                    {"action": {"outputs": [{"note": text}]}},
                    {"context": {"deep": {"deeper": [text, [text]]}}},
                    {"headers": {"Authorization": self.TOKEN}, "note": text},
                ):
                    journal.append({"type": "note", **record})
                    count += 1
        written = (tmp_path / "audit.jsonl").read_text()
        assert self.TOKEN not in written
        assert len(journal.read()) == count >= 300


def _outside(root: Path, home: Path) -> dict[str, bytes | None]:
    """Every path below ``root`` that does not lie in ``home``, with its bytes."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if path != home and home not in path.parents
    }
