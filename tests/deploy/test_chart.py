"""The chart is what Helm and Kubernetes take, and says of contours what the package says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from predator.contours.load import packaged, parse
from predator.domain.errors import InputError
from tests.deploy.rendered import Rendered, secrets
from tools import chart

IN_SYNC = "run `make chart-sync`"


@pytest.mark.parametrize("contour", chart.CONTOURS)
def test_helm_and_kubernetes_find_no_fault_with_any_contour(contour: str) -> None:
    values = chart.values_of(contour)
    assert chart.lint(values) == []
    found = chart.objects(chart.render(values))
    versions = chart.KUBERNETES if contour == "compute-nvidia" else chart.KUBERNETES[:1]
    for version in versions:
        assert list(chart.invalid(found, version)) == []


def test_without_any_values_it_is_the_contour_local_and_careful() -> None:
    found = chart.objects(chart.render({}))
    assert list(chart.invalid(found, chart.KUBERNETES[-1])) == []
    (text,) = (one["data"]["contour.yaml"] for one in found if one["kind"] == "ConfigMap")
    read = parse(text.encode(), "local", "values.yaml")
    assert read.self_improvement.enabled is False
    assert read.self_improvement.policy == "staging"


def test_what_kubernetes_would_not_take_is_found() -> None:
    found = Rendered("edge-oracle").named("Deployment", "search")
    found["spec"]["strategy"]["rollingUpdate"]["maxUnavailble"] = 0
    (fault,) = chart.invalid([found], chart.KUBERNETES[0])
    assert "Deployment/predator-search" in fault
    assert "maxUnavailble" in fault


def test_a_stranger_checks_all_contours_with_one_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart, "CONTOURS", ("dev-mac",))
    monkeypatch.setattr(chart, "invalid", lambda _found, version: [f"no {version}"])
    assert chart.main(["check"]) == 1
    said = capsys.readouterr()
    assert said.out == "dev-mac: 10 objects, 2 faults\n"
    assert said.err.splitlines() == [f"dev-mac: no {version}" for version in chart.KUBERNETES]


def test_a_stranger_sees_the_manifests_of_a_contour_with_values_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("search: {replicas: 3}\n")
    given = ["--contour", "edge-oracle", "--values", str(tmp_path / "mine.yaml")]
    assert chart.main(["render", *given]) == 0
    assert "replicas: 3" in capsys.readouterr().out
    (tmp_path / "mine.yaml").write_text("search: {replica: 3}\n")
    assert chart.main(["render", *given]) == 2
    assert "replica" in capsys.readouterr().err


@pytest.mark.parametrize("contour", chart.CONTOURS)
def test_pods_read_the_contour_that_the_package_ships(contour: str) -> None:
    found = Rendered(contour).named("ConfigMap", "contour")
    read = parse(found["data"]["contour.yaml"].encode(), contour, f"values-{contour}.yaml")
    assert read == packaged(contour)


@pytest.mark.parametrize("contour", chart.CONTOURS)
def test_a_contours_values_have_one_source(contour: str) -> None:
    text = (chart.CHART / f"values-{contour}.yaml").read_text("utf-8")
    assert text == chart.synced_values(contour, text), IN_SYNC


def test_the_schema_knows_the_keys_that_contours_have() -> None:
    text = (chart.CHART / "values.schema.json").read_text("utf-8")
    assert text == chart.synced_schema(text), IN_SYNC


def _blocks(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield above
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _blocks(value, (*above, key))


OPEN = {"requests", "limits", "mockMetrics", "settings", "nodeSelector", "matchLabels"}
"""Blocks whose keys are names that the user gives."""


def test_a_misspelt_key_is_refused_wherever_it_stands() -> None:
    defaults = chart.read_values(chart.CHART / "values.yaml")
    values = chart.merged(defaults, chart.values_of("compute-nvidia"))
    for path in _blocks(values):
        if path and path[-1] in OPEN:
            continue
        more: dict[str, Any] = {"misspelt": 1}
        for key in reversed(path):
            more = {key: more}
        with pytest.raises(InputError, match="misspelt"):
            chart.render(chart.merged(values, more))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("contour", "production"),
        ("image.digest", "sha256:abc"),
        ("image.repository", "Registry/With Spaces"),
        ("search.replicas", 0),
        ("search.replicas", "3"),
        ("search.release.digest", "latest"),
        ("search.service.port", 70_000),
        ("search.resources.limits.memory", "lots"),
        ("selfImprovement.enabled", "yes"),
        ("selfImprovement.cycleInterval", "often"),
        ("selfImprovement.features.abSplitRatio", 1.5),
        ("selfImprovement.monitoring.slackWebhook", "https://hooks.slack.com/services/secret"),
        ("settings.seed", True),
        ("persistence.accessMode", "ReadOnlyMany"),
        ("database.secretName", "postgresql://user:password@host/db"),
        ("networkPolicy.adminFrom", [{}]),
        ("secretEnv", [{"name": "PREDATOR_DATABASE_URL", "secretName": "a", "secretKey": "b"}]),
        ("secretEnv", [{"name": "TOKEN", "value": "the secret itself"}]),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(path: str, value: object) -> None:
    more: Any = value
    for key in reversed(path.split(".")):
        more = {key: more}
    with pytest.raises(InputError, match="the chart refuses"):
        Rendered("edge-oracle", more)


def test_values_of_a_parent_chart_are_let_through() -> None:
    assert Rendered("dev-mac", {"global": {"anything": {"at": "all"}}}).objects


def test_an_image_is_named_by_digest_where_there_is_one() -> None:
    digest = "sha256:" + "ab" * 32
    own = {"repository": "registry.example:5000/team/predator", "tag": "1.2"}
    image = Rendered("edge-oracle", {"image": own}).container("Deployment", "admin")["image"]
    assert image == "registry.example:5000/team/predator:1.2"
    found = Rendered("compute-nvidia", {"image": {**own, "digest": digest}})
    assert found.container("Deployment", "search")["image"] == f"{own['repository']}@{digest}"
    assert found.container("CronJob", "trainer")["image"] == f"{own['repository']}@{digest}"
    trained = {"image": {**own, "digest": digest}, "trainer": {"image": {"tag": "1.2-train"}}}
    found = Rendered("compute-nvidia", trained)
    assert found.container("CronJob", "trainer")["image"] == f"{own['repository']}:1.2-train"


def test_secrets_are_referred_to_and_never_in_the_manifests() -> None:
    found = Rendered("edge-oracle")
    assert "Secret" not in found.kinds()
    assert secrets(found.container("Deployment", "worker")) == {
        "PREDATOR_DATABASE_URL": ("predator-database", "url"),
        "SLACK_WEBHOOK_URL": ("predator-slack", "url"),
    }
    assert secrets(found.container("Deployment", "search")) == {}, "it needs none"


def test_without_a_secret_of_a_database_sqlite_on_the_volume_is_used() -> None:
    found = Rendered("edge-oracle", {"database": {"secretName": ""}})
    assert "PREDATOR_DATABASE_URL" not in secrets(found.container("Deployment", "worker"))
