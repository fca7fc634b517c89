"""Argo CD by the settings, and the way back through its history by command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from threading import Event, Thread

import pytest

from predator.adapters.argocd import argo_deployer, break_glass
from predator.adapters.argocd.argo_deployer import ArgoDeployer
from predator.adapters.platform.embedded_deployer import EmbeddedDeployer
from predator.bootstrap.deployer import deployer_for
from predator.config import Settings, describe, load_settings
from predator.domain.errors import InputError, PredatorError
from predator.loop.replica import keep_release
from predator.search.serving.agent import load_release
from tests.adapters.argocd.fake_server import LOOP_TOKEN
from tests.adapters.argocd.places import AUTOMATED, Contour, contour
from tests.adapters.argocd.swagger import Swagger
from tests.adapters.platform.platforms import Place
from tests.edge.conftest import Commands, Founded

VARIABLE = "ARGOCD_TOKEN_FOR_TESTS"


@pytest.fixture
def there(founded: Founded, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contour]:
    """The founded platform's contour under Argo CD, whose clock runs by itself."""
    for module in (argo_deployer, break_glass):
        monkeypatch.setattr(module, "POLL_S", 0.01)
    # The pods load by the wall's clock, and the fake's gives up on them by its own.
    monkeypatch.setattr(argo_deployer, "DEGRADED_S", 300.0)
    monkeypatch.setenv(VARIABLE, LOOP_TOKEN)
    done = Event()
    with contour(Place(founded.run.folder), AUTOMATED, Swagger.beside()) as found:

        def run() -> None:
            while not done.wait(0.01):
                found.argo.advance(1)

        clock = Thread(target=run)
        clock.start()
        try:
            yield found
        finally:
            done.set()
            clock.join()


def given(there: Contour, founded: Founded, **more: str) -> Settings:
    return load_settings(
        {
            "home": founded.home.root,
            "argocd_url": there.url,
            "argocd_token": f"env:{VARIABLE}",
            **more,
        }
    )


def another_release(there: Contour) -> str:
    """Commit the live release with another depth; the revision."""
    live = there.place.desired.read().release
    release = load_release(there.place.objects.get(live.digest))
    other = replace(release, retrieval=replace(release.retrieval, depth=31))
    return there.place.commit("v2.0", keep_release(there.place.objects, other))


def test_the_loop_deploys_by_argo_cd_where_that_is_set(there: Contour, founded: Founded) -> None:
    settings = given(there, founded)
    deployer = deployer_for(settings, founded.run, "http://127.0.0.1:1")
    assert isinstance(deployer, ArgoDeployer)
    found = deployer.wait(another_release(there), 30)
    assert found.release == there.place.desired.read().release.digest
    with pytest.raises(PredatorError, match="Set argocd_control_url"):
        deployer.flip(found.release)
    deployer.close()
    shown = json.dumps([dict(row) for row in describe(settings)]) + repr(deployer) + repr(settings)
    assert LOOP_TOKEN not in shown


def test_flips_go_to_the_pods_where_their_service_is_set(there: Contour, founded: Founded) -> None:
    founded.run.folder.joinpath("control.secret").write_text("t" * 64)
    settings = given(there, founded, argocd_control_url=there.pods_url)
    deployer = deployer_for(settings, founded.run, "http://127.0.0.1:1")
    before = there.place.desired.read().release.digest
    deployer.wait(there.place.gitops.head() or "", 30)
    deployer.wait(another_release(there), 30)
    deployer.flip(before)
    assert deployer.status().release == before
    assert isinstance(deployer, ArgoDeployer)
    deployer.close()


def test_without_it_the_platform_follows_git_by_itself(founded: Founded) -> None:
    deployer = deployer_for(founded.settings, founded.run, "http://127.0.0.1:1")
    assert isinstance(deployer, EmbeddedDeployer)
    deployer.close()


@pytest.mark.parametrize(
    ("half", "says"),
    [
        ({"argocd_url": "https://argocd"}, "needs both"),
        ({"argocd_url": "https://argocd", "argocd_token": "env:NOT_SET_AT_ALL"}, "NOT_SET_AT_ALL"),
    ],
)
def test_half_of_it_is_an_error_with_a_cure(
    founded: Founded, half: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        deployer_for(load_settings(half), founded.run, "")


def test_a_token_in_place_of_a_reference_is_refused_without_being_repeated() -> None:
    with pytest.raises(InputError, match="env:NAME or file:/path") as raised:
        load_settings({"argocd_token": LOOP_TOKEN})
    assert LOOP_TOKEN not in str(raised.value)


def test_a_contours_file_may_say_where_the_token_lies_and_never_holds_it(
    founded: Founded, commands: Commands
) -> None:
    file = commands.folder / "mine.yaml"
    file.write_text("settings: {argocd_token: 'env:ARGOCD_TOKEN'}")
    assert load_settings({"contour_file": str(file)}).argocd_token == "env:ARGOCD_TOKEN"
    file.write_text(f"settings: {{argocd_token: {LOOP_TOKEN}}}")
    with pytest.raises(InputError, match="argocd_token") as raised:
        load_settings({"contour_file": str(file)})
    assert LOOP_TOKEN not in str(raised.value)


def test_without_argo_cd_the_commands_say_what_to_set(commands: Commands, founded: Founded) -> None:
    for command in (("argocd", "history"), ("argocd", "rollback", "--reason", "why")):
        assert "Argo CD needs both argocd_url and argocd_token" in commands.refuses(*command)


def test_a_person_goes_back_through_argo_cds_history_and_it_is_on_record(
    commands: Commands, founded: Founded, there: Contour
) -> None:
    sets = ("--set", f"argocd_url={there.url}", "--set", f"argocd_token=env:{VARIABLE}")
    first = there.place.desired.read().release
    deployer = deployer_for(given(there, founded), founded.run, "")
    deployer.wait(there.place.gitops.head() or "", 30)
    deployer.wait(another_release(there), 30)
    assert isinstance(deployer, ArgoDeployer)
    deployer.close()
    rows = commands.json("argocd", "history", *sets)
    assert [row["release"]["version"] for row in rows] == ["v2.0", first.version]
    assert "v2.0" in commands.does("argocd", "history", *sets)

    said = commands.does("argocd", "rollback", "--reason", "git is slow", "--actor", "bob", *sets)
    assert f"{first.version} runs" in said
    assert "auto-sync is on again" in said
    assert there.place.desired.read().release == first
    assert there.place.gitops.log(1)[0].trailers["Actor"] == "bob"
    records = [json.loads(line) for line in founded.home.operators.read_text().splitlines()]
    mine = [one for one in records if one.get("verb") == "break_glass"]
    assert [one["outcome"] for one in mine] == ["asked", "done"]
    assert mine[0]["arguments"]["reason"] == "git is slow"
    assert LOOP_TOKEN not in json.dumps(records)

    line = commands.refuses("argocd", "rollback", "999", "--reason", "why", *sets)
    assert "holds no entry 999" in line
