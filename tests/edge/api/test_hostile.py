"""What hostile strings get: nothing outside, nothing run, nothing leaked."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from predator.domain.errors import InputError, PredatorError
from predator.journal.logs import LOGGER, configure
from predator.loop.cycle_files import read_file
from tests.edge.api.corpora import CANARIES, INJECTIONS, TRAVERSALS
from tests.edge.api.served import Served
from tests.loop.operator_world import CYCLE, DAY

OUTSIDE = "this must not be read"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Served:
    served = Served(tmp_path_factory.mktemp("hostile"))
    world = served.world
    folder = world.leave_cycle()
    for outside in (world.folder, world.artifacts, world.folder.parent):
        (outside / "outside.txt").write_text(OUTSIDE)
    (folder / "link").symlink_to(world.folder / "outside.txt")
    (folder / "folder-link").symlink_to(world.folder)
    os.mkfifo(folder / "pipe")
    return served


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = configure(stream)
    yield stream
    logging.getLogger(LOGGER).removeHandler(handler)


def listing(folder: Path) -> dict[str, int]:
    """Every file below, with its size, but for the operators' journal."""
    return {
        str(path.relative_to(folder)): path.lstat().st_size
        for path in folder.rglob("*")
        if path.name != "operators.jsonl"
    }


def test_there_are_enough_forms() -> None:
    assert len(TRAVERSALS) >= 500
    assert len(set(TRAVERSALS)) == len(TRAVERSALS)


def test_no_name_of_an_artifact_leads_out_of_its_cycle(place: Served) -> None:
    allowed = place.world.artifacts / CYCLE
    for form in TRAVERSALS:
        try:
            data = read_file(place.world.artifacts, CYCLE, form)
        except InputError:
            continue
        assert (allowed / form).resolve().is_relative_to(allowed.resolve()), form
        assert OUTSIDE.encode() not in data, form


@pytest.mark.parametrize("form", ["link", "folder-link/outside.txt", "pipe", "model", "model/"])
def test_links_pipes_and_folders_are_no_artifacts(place: Served, form: str) -> None:
    with pytest.raises(InputError, match="no artifact"):
        read_file(place.world.artifacts, CYCLE, form)


def test_a_cycle_whose_folder_is_a_link_is_not_followed(place: Served) -> None:
    (place.world.artifacts / "si_2025_12_06_777").symlink_to(place.world.folder)
    with pytest.raises(InputError):
        read_file(place.world.artifacts, "si_2025_12_06_777", "outside.txt")
    (place.world.artifacts / "si_2025_12_06_777").unlink()


def fields(place: Served, form: str) -> Iterator[tuple[str, str, Any]]:
    """A request for every text that a caller can send, with ``form`` in it."""
    world, raw = place.world, quote(form, safe="")
    until = world.now + DAY
    body = {"contour": "local", "reason": "because"}
    yield "GET", f"/cycles/{CYCLE}/artifacts/{raw}", None
    yield "GET", f"/cycles/{CYCLE}/artifacts/{quote(form, safe='/')}", None
    yield "GET", f"/cycles/{raw}", None
    yield "GET", f"/cycles/{raw}/artifacts", None
    yield "GET", f"/cycles/{raw}/artifacts/audit.jsonl", None
    yield "POST", f"/cycles/{raw}/cancel", {"reason": "x"}
    yield "POST", f"/cycles/{raw}/keep", {"reason": form}
    yield "GET", f"/keeps/{raw}", None
    yield "GET", f"/audit/{raw}", None
    yield "GET", f"/rollbacks/{raw}", None
    yield "GET", f"/state?contour={raw}", None
    yield "GET", f"/cycles?contour=local&cursor={raw}", None
    yield "GET", f"/approvals?contour=local&cursor={raw}", None
    yield "GET", f"/policy/explain?action={raw}&contour=local", None
    yield "GET", f"/policy/explain?action=promote&contour=local&role={raw}", None
    yield "GET", f"/experiments?contour={raw}", None
    yield "GET", f"/releases?contour={raw}", None
    yield "GET", f"/flags/{raw}/kill_switch", None
    yield "GET", f"/flags/local/{raw}", None
    yield "PUT", f"/flags/{raw}/{raw}", {"enabled": True, "reason": form}
    yield "DELETE", f"/flags/local/ab_testing?reason={raw}", None
    yield "POST", "/stop", {"contour": form, "reason": form}
    yield "POST", "/start", {"contour": form, "reason": form}
    yield "POST", "/rollback", {"environment": form, "to_version": form}
    yield "POST", "/rollback", {"environment": "local", "to_version": form, "reason": form}
    yield "POST", f"/quality-gates/{raw}?threshold=0.7", {**body, "expires_at": until}
    yield "POST", "/quality-gates/ndcg_at_10?threshold=0.7", {**body, "expires_at": form}
    yield "POST", "/cycles", {"contour": "local", "reason": form}
    yield "POST", f"/approvals/{raw}/approve", {"reason": form}
    yield "POST", f"/overrides/{raw}/confirm", None
    yield "POST", "/overrides", {**body, "action": form, "expires_at": until}
    yield (
        "POST",
        "/tokens",
        {"holder": form, "role": "viewer", "contours": ["local"], "expires_at": until},
    )
    yield "POST", "/tokens", {"holder": "x", "role": form, "contours": [form], "expires_at": 1}
    yield "DELETE", f"/tokens/{raw}", None


def send_forms(place: Served, forms: Iterator[tuple[str, str, Any]]) -> int:
    sent = 0
    before = listing(place.world.folder)
    for method, path, body in forms:
        answer = place.call(method, path, body)
        assert answer.status_code < 500, (method, path, answer.text)
        assert OUTSIDE not in answer.text, (method, path)
        assert "root:" not in answer.text, (method, path)
        sent += 1
    assert listing(place.world.folder) == before
    assert not Path(tempfile.gettempdir(), "x").exists()
    return sent


def test_no_field_of_the_api_leads_anywhere(place: Served) -> None:
    """Each form in some field and each field with many forms; at night all with all."""
    every = len(list(fields(place, "x")))

    def some() -> Iterator[tuple[str, str, Any]]:
        for number, form in enumerate(TRAVERSALS):
            yield next(itertools.islice(fields(place, form), number % every, None))

    assert send_forms(place, some()) == len(TRAVERSALS)


@pytest.mark.nightly
def test_no_form_in_any_field_leads_anywhere(place: Served) -> None:
    every = (request for form in TRAVERSALS for request in fields(place, form))
    assert send_forms(place, every) >= 500 * 25


@pytest.mark.parametrize("text", INJECTIONS)
def test_what_people_write_is_kept_word_for_word(
    place: Served, text: str, lines: io.StringIO
) -> None:
    world = place.world
    asked = world.ask()
    answered = place.post(f"/approvals/{asked.id}/reject", {"reason": text})
    assert answered.status_code == 200
    shown = place.get("/approvals?contour=local&limit=200").json()["items"]
    assert text in [item["reason"] for item in shown]
    cycle_id = place.post("/cycles", {"contour": "local", "reason": text}).json()["id"]
    detail = place.get(f"/cycles/{cycle_id}").json()
    assert detail["entry"]["trigger"]["reason"] == text
    holder = place.post(
        "/tokens",
        {"holder": text, "role": "viewer", "contours": [], "expires_at": world.now + 60},
    )
    assert holder.json()["actor"] == text
    names = {field.name for field in world.desk.flags.rows()}
    assert names <= {"kill_switch", "ab_testing"}
    by_the_named = place.post(
        "/rollback", {"environment": "local", "to_version": text}, token=holder.json()["token"]
    )
    assert by_the_named.status_code == 403
    written = lines.getvalue().splitlines()
    assert len(written) == 6
    for line in written:
        assert json.loads(line)["event"] == "request"
        assert line.isascii()
        assert line.isprintable()


def test_an_override_keeps_one_printable_line_or_is_refused(place: Served) -> None:
    until = place.world.now + DAY
    for text in INJECTIONS:
        body = {"contour": "local", "action": "promote", "reason": text, "expires_at": until}
        answer = place.post("/overrides", body)
        if text.isprintable():
            assert answer.json()["reason"] == text
        else:
            assert answer.status_code == 422
            assert "reason" in answer.json()["detail"]


def test_no_secret_gets_into_logs_errors_metrics_or_the_journal(
    tmp_path: Path, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(CANARIES) == 20
    served = Served(tmp_path)
    world = served.world
    world.leave_cycle()
    told: list[str] = []

    def note(answer: Any) -> None:
        told.append(answer.text + str(dict(answer.headers)))

    for canary in CANARIES:
        note(served.get("/state?contour=local", token=canary.split()[-1]))
        note(served.get("/state", headers={"Authorization": canary.encode("ascii")}))
        served.post("/cycles", {"contour": "local", "reason": canary})
        served.post("/stop", {"contour": "local", "reason": canary})
        note(served.post("/nowhere", headers={"Idempotency-Key": canary.replace(" ", "-")}))

        def broken(*_: Any, why: str = canary, **__: Any) -> Any:
            raise PredatorError(f"cannot connect to {why}")

        def worse(*_: Any, why: str = canary, **__: Any) -> Any:
            raise RuntimeError(f"cannot connect to {why}")

        for failure in (broken, worse):
            with monkeypatch.context() as patch:
                patch.setattr(world.desk.cycles, "list", failure)
                note(served.get("/cycles?contour=local"))
                if failure is broken:
                    note(served.get("/state?contour=local"))
                    note(served.get("/metrics"))
    issued = [
        served.post(
            "/tokens",
            {"holder": "x", "role": "viewer", "contours": [], "expires_at": world.now + 60},
            key=f"key-{number}",
        ).json()["token"]
        for number in range(3)
    ]
    note(served.get("/tokens"))
    assert all("canary" in canary for canary in CANARIES)
    for where in (lines.getvalue(), world.desk.journal.read_text(), *told):
        assert "canary" not in where.lower()
        assert not [secret for secret in [*issued, served.secret] if secret in where]
    kept = str(vars(world.replies))
    assert not [secret for secret in issued if secret in kept]
