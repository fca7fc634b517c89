"""Pods start what there is, tell when they are ready, and may do no more than they need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from typer.core import TyperGroup
from typer.main import get_command

from predator.config import Settings, load_settings
from predator.domain.errors import InputError
from predator.edge.cli.main import app as program
from predator.search.serving.app import create_app
from predator.search.serving.instruments import Instruments
from predator.search.serving.platform import Platform
from tests.deploy.rendered import Rendered, environment, secrets
from tools import chart

SEARCH = {"search": {"enabled": True}}
EVERYTHING = ("Deployment", "search"), ("Deployment", "worker"), ("Deployment", "admin"), (
    "CronJob", "trainer")  # fmt: skip


@pytest.fixture(scope="module")
def production() -> Rendered:
    return Rendered("compute-nvidia")


def _get_routes(app: FastAPI) -> set[str]:
    return {
        route.path
        for route in app.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or set())
    }


class TestRollingUpdates:
    @pytest.mark.parametrize("contour", chart.CONTOURS)
    def test_no_search_pod_goes_before_another_one_is_ready(self, contour: str) -> None:
        spec = Rendered(contour, SEARCH).named("Deployment", "search")["spec"]
        assert spec["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }

    def test_ready_means_that_a_release_is_loaded(self, production: Rendered) -> None:
        container = production.container("Deployment", "search")
        probes = {name: container[f"{name}Probe"]["httpGet"] for name in
                  ("startup", "readiness", "liveness")}  # fmt: skip
        assert {name: probe["path"] for name, probe in probes.items()} == {
            "startup": "/healthz",
            "readiness": "/readyz",
            "liveness": "/healthz",
        }
        served = create_app(cast(Platform, SimpleNamespace(instruments=Instruments())))
        assert {probe["path"] for probe in probes.values()} <= _get_routes(served)
        metrics = production.named("Deployment", "search")["spec"]["template"]["metadata"]
        assert metrics["annotations"]["prometheus.io/path"] in _get_routes(served)

    def test_indexing_may_take_as_long_as_the_values_say(self, production: Rendered) -> None:
        values: Any = chart.read_values(chart.CHART / "values.yaml")["search"]
        probe = production.container("Deployment", "search")["startupProbe"]
        assert probe["failureThreshold"] * probe["periodSeconds"] == values["startupSeconds"]
        deadline = production.named("Deployment", "search")["spec"]["progressDeadlineSeconds"]
        assert deadline > values["startupSeconds"]

    def test_there_is_one_worker_of_a_lasting_name(self, production: Rendered) -> None:
        spec = production.named("Deployment", "worker")["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
        named = [
            environment(production.container(kind, name))["PREDATOR_EXECUTOR_ID"]
            for kind, name in (("Deployment", "worker"), ("CronJob", "trainer"))
        ]
        assert named == ["predator-worker", "predator-trainer"]

    def test_a_change_of_the_contour_starts_its_readers_anew(self) -> None:
        def sums(more: Mapping[str, Any]) -> list[str]:
            found = Rendered("edge-oracle", more)
            names = ("search", "worker", "admin")
            return [
                found.named("Deployment", name)["spec"]["template"]["metadata"]["annotations"][
                    "checksum/contour"
                ]
                for name in names
            ]

        before, after = sums({}), sums({"selfImprovement": {"maxCyclesPerDay": 3}})
        assert len({*before, *after}) == 2
        assert before != after


class TestWhatRuns:
    def test_every_pod_starts_a_command_of_the_program(self, production: Rendered) -> None:
        group = cast(TyperGroup, get_command(program))
        for kind, name in EVERYTHING:
            container = production.container(kind, name)
            said = [*container.get("command", []), *container.get("args", [])]
            if "predator" in said:
                said = said[said.index("predator") + 1 :]
            command = group.commands[said[0]]
            options = {option for one in command.params for option in one.opts}
            assert {word for word in said[1:] if word.startswith("--")} <= options
        dockerfile = (Path(chart.ROOT) / "deploy/Dockerfile").read_text("utf-8")
        assert 'ENTRYPOINT ["predator"]' in dockerfile

    @pytest.mark.parametrize(("kind", "name"), EVERYTHING)
    def test_every_pod_finds_settings_that_there_are(
        self,
        kind: str,
        name: str,
        production: Rendered,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        container = production.container(kind, name)
        given = environment(container)
        file = tmp_path / "contour.yaml"
        file.write_text(production.named("ConfigMap", "contour")["data"]["contour.yaml"])
        mounted = {one["mountPath"] for one in container["volumeMounts"]}
        assert str(Path(given["PREDATOR_CONTOUR_FILE"]).parent) in mounted
        assert all(given[f"PREDATOR_{name}"].startswith("/var/lib/predator/")
                   for name in ("HOME", "ARTIFACTS"))  # fmt: skip
        given["PREDATOR_CONTOUR_FILE"] = str(file)
        for variable in secrets(container):
            given[variable] = "postgresql://somewhere/predator"
        for variable, value in given.items():
            monkeypatch.setenv(variable, value)
        found = load_settings()
        assert found.contour == "compute-nvidia"
        ports = {one["containerPort"] for one in container.get("ports", [])}
        assert ports <= {found.port, found.admin_port}
        if name in ("search", "admin"):
            assert {"search": found.host, "admin": found.admin_host}[name] == "0.0.0.0"  # noqa: S104

    def test_services_beside_it_do_not_look_like_settings(self, production: Rendered) -> None:
        """Kubernetes would give pods PREDATOR_SEARCH_SERVICE_HOST, an unknown setting."""
        assert "search_service_host" not in Settings.model_fields
        for _, pod in production.pods():
            assert pod["enableServiceLinks"] is False

    def test_the_loop_reaches_the_platform_by_its_service(self, production: Rendered) -> None:
        args = production.container("Deployment", "worker")["args"]
        service = production.named("Service", "search")
        port = service["spec"]["ports"][0]["port"]
        assert args[args.index("--url") + 1] == f"http://{service['metadata']['name']}:{port}"
        selected = service["spec"]["selector"]
        labels = production.named("Deployment", "search")["spec"]["template"]["metadata"]["labels"]
        assert selected.items() <= labels.items()

    def test_the_loop_reaches_each_search_pod_by_itself(self, production: Rendered) -> None:
        every, one = (production.named("Service", name) for name in ("search-pods", "search"))
        assert every["spec"]["clusterIP"] == "None"
        assert every["spec"]["selector"] == one["spec"]["selector"]
        (port,) = every["spec"]["ports"]
        ports = production.container("Deployment", "search")["ports"]
        assert port["port"] == ports[0]["containerPort"], "no address stands between them"

    def test_a_rehearsal_has_nothing_to_search(self) -> None:
        found = Rendered("dev-mac")
        names = [one["metadata"]["name"] for one in found.objects]
        assert "predator-search" not in [
            n for n, k in zip(names, found.kinds(), strict=True) if k == "Deployment"
        ]
        assert "predator-worker" in names


class TestTraining:
    def test_it_gets_the_gpus_that_the_contour_names(self, production: Rendered) -> None:
        resources: Any = production.values["selfImprovement"]["resources"]
        limits = production.container("CronJob", "trainer")["resources"]["limits"]
        assert limits["nvidia.com/gpu"] == str(resources["gpuCount"])
        pod = dict(production.pods())["predator-trainer"]
        assert resources["gpuType"] in pod["nodeSelector"].values()
        assert [one["key"] for one in pod["tolerations"]] == ["nvidia.com/gpu"]

    def test_without_gpus_it_asks_for_none(self) -> None:
        without = {"selfImprovement": {"resources": {"gpu": False}}}
        found = Rendered("compute-nvidia", without)
        limits = found.container("CronJob", "trainer")["resources"]["limits"]
        assert "nvidia.com/gpu" not in limits
        assert "nodeSelector" not in dict(found.pods())["predator-trainer"]

    def test_it_starts_when_somebody_wants_it_and_ends_by_itself(
        self, production: Rendered
    ) -> None:
        spec = production.named("CronJob", "trainer")["spec"]
        assert spec["suspend"] is True
        told = production.container("CronJob", "trainer")["command"]
        assert told[:3] == ["timeout", "--preserve-status", "--signal=TERM"]
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > int(told[3])

    def test_a_second_worker_without_postgresql_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"needs database\.secretName"):
            Rendered("compute-nvidia", {"database": {"secretName": ""}})
