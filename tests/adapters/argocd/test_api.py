"""What Argo CD says no to is one line with a cure, and the token is never in it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from predator.adapters.argocd.api import MOST_BYTES, ArgoApi
from predator.adapters.argocd.application import read_application
from predator.adapters.argocd.errors import UnreachableError
from predator.domain.errors import InputError, PredatorError
from tests.adapters.argocd.fake_server import LOOP_TOKEN, VIEWER_TOKEN
from tests.adapters.argocd.places import APP, PROJECT, Contour
from tests.adapters.argocd.swagger import ABSENT, Swagger
from tests.adapters.platform.test_embedded_deployer import answering

CANARY = "c4n4ry" * 6


def test_a_token_that_is_not_good_any_more(there: Contour) -> None:
    with pytest.raises(InputError, match=r"did not accept the token\. Make a new one") as raised:
        there.api(CANARY).application()
    assert CANARY not in str(raised.value)


def test_a_token_that_may_only_look(there: Contour) -> None:
    api = there.api(VIEWER_TOKEN)
    assert read_application(api.application()).health == "Healthy"
    with pytest.raises(InputError, match=f"does not let this token sync the application {APP}"):
        there.deployer(api=api).wait(there.release(), 60)


@pytest.mark.parametrize("wrong", [{"app": "predator-nowhere"}, {"project": "other"}])
def test_an_application_that_is_not_there_is_no_question_of_rights(
    there: Contour, wrong: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=r"does not know the application .*Set argocd_app"):
        there.api(**wrong).application()


def test_without_the_project_a_missing_application_would_look_like_one_that_is_closed(
    there: Contour,
) -> None:
    """Why the adapter sends it each time."""
    headers = {"Authorization": f"Bearer {LOOP_TOKEN}"}
    url = f"{there.url}/api/v1/applications/nobody"
    query = {"project": PROJECT}
    assert httpx.get(url, headers=headers, timeout=60).status_code == 403
    assert httpx.get(url, headers=headers, params=query, timeout=60).status_code == 404


def test_a_commit_of_ones_own_is_refused_under_auto_sync(there: Contour) -> None:
    there.automate()
    with pytest.raises(PredatorError, match="auto-sync currently set to main"):
        there.api().sync(there.place.gitops.head(), "mark")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"spec": 3}', b'{"spec": {}}'])
def test_what_is_no_argo_cd_is_an_error(body: bytes) -> None:
    with answering(body) as url:
        api = ArgoApi(url, CANARY, app=APP, project=PROJECT)
        with pytest.raises(PredatorError, match=r"is no (JSON|Application)"):
            read_application(api.application())
        api.close()


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (302, InputError, "redirect, which is not followed. Set argocd_url"),
        (500, UnreachableError, "HTTP 500"),
        (418, PredatorError, "HTTP 418"),
    ],
)
def test_other_answers_are_told_apart(status: int, kind: type[PredatorError], says: str) -> None:
    said = json.dumps({"message": f"Bearer {CANARY} \x1b[31m\n{'x' * 999}", "code": "y"}).encode()
    with answering(said, status) as url:
        api = ArgoApi(url, CANARY, app=APP, project=PROJECT)
        with pytest.raises(kind, match=says) as raised:
            api.application()
        api.close()
    assert CANARY not in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_an_answer_without_end_is_cut_off() -> None:
    with answering(b" " * (MOST_BYTES + 1)) as url:
        api = ArgoApi(url, CANARY, app=APP, project=PROJECT)
        with pytest.raises(PredatorError, match="larger than 8 MB"):
            api.application()
        api.close()


def test_nobody_there_is_said_without_the_address() -> None:
    api = ArgoApi("http://127.0.0.1:1", CANARY, app=APP, project=PROJECT)
    with pytest.raises(UnreachableError, match=r"does not answer \(ConnectError\)"):
        api.application()
    api.close()
    assert CANARY not in repr(api)


@pytest.mark.parametrize(
    "url", ["", "argocd", "ftp://x", "http://", "https://u:p@x", "https://x/?a=b", "http://8.8.8.8"]
)
def test_an_address_that_would_lose_the_token_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="argocd_url"):
        ArgoApi(url, CANARY, app=APP, project=PROJECT)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ключ"])
def test_what_no_token_is_made_of_is_refused_without_being_repeated(token: str) -> None:
    with pytest.raises(InputError, match="argocd_token") as raised:
        ArgoApi("http://127.0.0.1", token, app=APP, project=PROJECT)
    assert not token or token not in str(raised.value)


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "a?b", "a" * 300])
def test_a_name_that_would_leave_the_route_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="argocd_app"):
        ArgoApi("http://127.0.0.1", CANARY, app=name, project=PROJECT)
    with pytest.raises(InputError, match="argocd_project"):
        ArgoApi("http://127.0.0.1", CANARY, app=APP, project=name)


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("none")
    with pytest.raises(InputError, match=r"ca.pem cannot be read"):
        ArgoApi("https://127.0.0.1", CANARY, app=APP, project=PROJECT, ca=file)


def test_what_argo_cd_would_not_know_is_seen_by_the_check_itself(there: Contour) -> None:
    swagger = Swagger.beside()
    if swagger is None:
        pytest.skip(ABSENT)
    place = f"/api/v1/applications/{APP}"
    assert swagger.request("POST", f"{place}/sync", "", b'{"prune": true}') == []
    for method, path, query, body in (
        ("POST", f"{place}/sync", "", b'{"prune_all": true}'),
        ("POST", f"{place}/sync", "", b'{"prune": "yes"}'),
        ("POST", f"{place}/sync", "force=true", b"{}"),
        ("GET", place, "refreshed=normal", b""),
        ("GET", f"{place}/wait", "", b""),
        ("GET", place, "", b"{}"),
    ):
        assert swagger.request(method, path, query, body), (method, path)
    shown = there.argo.application()
    assert swagger.answer("GET", place, 200, json.dumps(shown).encode()) == []
    shown["status"]["health"]["state"] = "fine"
    assert swagger.answer("GET", place, 200, json.dumps(shown).encode())
    assert swagger.answer("GET", place, 404, b'{"reason": "none"}')
