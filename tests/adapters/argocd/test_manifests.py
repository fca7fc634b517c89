"""What ``deploy/argocd`` brings: Argo CD and Argo Rollouts take it, and the chart needs it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from predator.search.serving.instruments import Instruments
from tests.adapters.argocd.manifests import CHART, merge
from tests.adapters.argocd.places import ROOT
from tests.adapters.argocd.swagger import ABSENT, SPECS, STRICT
from tools import chart

FOLDER = ROOT / "deploy/argocd"
PLAIN = sorted(path.name for path in FOLDER.glob("*.yaml"))
APPLICATIONS = [name for name in PLAIN if name != "project.yaml"]
DIGEST = "a" * 64


def load(name: str) -> Any:
    return YAML(typ="safe").load((FOLDER / name).read_text())


@cache
def canary(tmp: Path) -> Mapping[str, Any]:
    """The chart of production with the files of ``rollouts`` among its templates."""
    import helm_python as helm

    folder = tmp / "predator"
    shutil.copytree(chart.CHART, folder)
    for path in (FOLDER / "rollouts").glob("*.yaml"):
        shutil.copy(path, folder / "templates")
    values = chart.values_of("compute-nvidia")
    merge(values, {"search": {"release": {"version": "v1", "digest": DIGEST, "cycle": "x"}}})
    with helm.Chart.load(folder) as loaded:
        rendered = loaded.render(values, name="predator-compute-nvidia", namespace="live")
    objects = [
        one
        for path, text in rendered.items()
        if path.endswith(".yaml")
        for one in YAML(typ="safe").load_all(text)
        if one
    ]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in objects}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return canary(tmp_path_factory.mktemp("canary"))


def schema_of(crd: str) -> Any:
    """A resource's schema, closed: the API server drops what it does not know without a word."""
    path = SPECS / crd
    if not path.exists():
        pytest.skip(ABSENT)
    # The file is 600 kB: libyaml's reader takes a second, ruamel's would take ten.
    yaml = pytest.importorskip("yaml")
    [version] = next(iter(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)))["spec"][
        "versions"
    ]
    return closed(version["schema"]["openAPIV3Schema"])


def closed(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    found = {
        key: {name: closed(value) for name, value in below.items()}
        if key == "properties"
        else closed(below)
        for key, below in schema.items()
    }
    open_ = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("type") != "object"
    if not open_ and "properties" in schema and "metadata" not in schema["properties"]:
        found.setdefault("additionalProperties", False)
    return found


def problems(schema: Any, value: Any) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema")
    return [
        f"{'/'.join(map(str, error.path))}: {error.message[:200]}"
        for error in jsonschema.Draft4Validator(schema).iter_errors(value)
    ]


@pytest.fixture(scope="module")
def application_schema() -> Any:
    return schema_of("application-crd.yaml")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_one_that_argo_cd_takes(name: str, application_schema: Any) -> None:
    assert problems(application_schema, load(name)) == []


def test_a_misspelt_key_would_be_seen(application_schema: Any) -> None:
    value = load(APPLICATIONS[0])
    value["spec"]["source"]["helm"]["valuesFiles"] = value["spec"]["source"]["helm"].pop(
        "valueFiles"
    )
    assert any("valuesFiles" in problem for problem in problems(application_schema, value))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_the_one_that_the_settings_mean(name: str) -> None:
    value = load(name)
    contour = value["metadata"]["name"].removeprefix("predator-")
    assert contour in chart.CONTOURS
    assert value["spec"]["project"] == load("project.yaml")["metadata"]["name"] == "predator"
    source = value["spec"]["source"]
    assert source["path"] == CHART
    own, *others = source["helm"]["valueFiles"]
    assert (ROOT / "deploy" / CHART / own).is_file()
    assert others == [f"../../environments/{contour}/{f}.yaml" for f in ("values", "experiments")]
    policy = value["spec"]["syncPolicy"]
    assert policy["automated"] == {"prune": False, "selfHeal": True}


def test_every_contour_of_the_chart_has_an_application() -> None:
    assert {load(name)["metadata"]["name"] for name in APPLICATIONS} == {
        f"predator-{contour}" for contour in chart.CONTOURS
    }


def test_the_project_is_one_that_argo_cd_takes_and_lets_the_applications_in() -> None:
    if not STRICT.exists():
        pytest.skip(ABSENT)
    project = load("project.yaml")
    definitions = json.loads(STRICT.read_text())["definitions"]
    body = {key: value for key, value in project.items() if key not in ("apiVersion", "kind")}
    schema = {"$ref": "#/definitions/v1alpha1AppProject", "definitions": definitions}
    assert problems(schema, body) == []
    places = [(one["server"], one["namespace"]) for one in project["spec"]["destinations"]]
    for name in APPLICATIONS:
        spec = load(name)["spec"]
        assert spec["source"]["repoURL"] in project["spec"]["sourceRepos"]
        assert (spec["destination"]["server"], spec["destination"]["namespace"]) in places


def test_the_project_lets_in_what_the_chart_makes_and_no_more(rendered: Mapping[str, Any]) -> None:
    listed = load("project.yaml")["spec"]["namespaceResourceWhitelist"]
    allowed = {(one["group"], one["kind"]) for one in listed}
    made = {(one["apiVersion"].rpartition("/")[0], one["kind"]) for one in rendered.values()}
    assert made <= allowed
    assert allowed - made <= {("autoscaling", "HorizontalPodAutoscaler")}


def test_the_pods_can_be_flipped_one_by_one_at_the_address_that_the_page_names(
    rendered: Mapping[str, Any],
) -> None:
    service = rendered["Service/predator-compute-nvidia-search-pods"]["spec"]
    assert service["clusterIP"] == "None"
    [port] = service["ports"]
    page = (ROOT / "docs/argocd.md").read_text()
    assert f"http://predator-<contour>-search-pods:{port['port']}" in page


def test_a_training_does_not_make_the_application_unhealthy(rendered: Mapping[str, Any]) -> None:
    """Argo CD takes a CronJob's last job for the application's health: a wait would not end."""
    jobs = [one for one in rendered.values() if one["kind"] == "CronJob"]
    assert jobs
    for one in jobs:
        annotations = one["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/ignore-healthcheck"] == "true"


def test_the_token_of_the_loop_can_neither_change_nor_delete_an_application() -> None:
    roles = {one["name"]: one["policies"] for one in load("project.yaml")["spec"]["roles"]}
    actions = {name: {line.split(", ")[3] for line in lines} for name, lines in roles.items()}
    assert actions == {"loop": {"get", "sync"}, "break-glass": {"get", "sync", "update"}}


def test_the_analysis_is_one_that_argo_rollouts_takes(rendered: Mapping[str, Any]) -> None:
    found = rendered["AnalysisTemplate/predator-compute-nvidia-search"]
    assert problems(schema_of("argo-rollouts-analysistemplate-crd.yaml"), found) == []


def metrics_of(rendered: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = rendered["AnalysisTemplate/predator-compute-nvidia-search"]["spec"][
        "metrics"
    ]
    return found


def test_the_analysis_asks_for_metrics_that_the_service_has(rendered: Mapping[str, Any]) -> None:
    parts = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    known = {
        f"{metric.name}{part}"
        for metric in Instruments().registry.collect()
        for part in parts[metric.type]
    }
    for metric in metrics_of(rendered):
        asked = set(re.findall(r"predator_\w+", metric["provider"]["prometheus"]["query"]))
        assert asked
        assert asked <= known, metric["name"]


def test_counters_are_asked_by_their_rate_and_quantiles_keep_their_buckets(
    rendered: Mapping[str, Any],
) -> None:
    for metric in metrics_of(rendered):
        query = metric["provider"]["prometheus"]["query"]
        named = re.findall(r"predator_\w+", query)
        assert re.findall(r"rate\((predator_\w+)", query) == named, metric["name"]
        for inner in re.findall(r"histogram_quantile\(0\.95, (.{0,24})", query):
            assert inner.startswith("sum by (le) (rate(")


def test_no_data_is_never_a_success(rendered: Mapping[str, Any]) -> None:
    """Argo takes a metric with a failure condition alone for good where nothing was measured."""
    for metric in metrics_of(rendered):
        good, bad = metric["successCondition"], metric["failureCondition"]
        assert good.startswith("len(result) == 1 && !isNaN(result[0]) && ")
        assert bad.startswith("len(result) == 1 && ")


def test_the_canary_is_a_fifth_and_is_judged_before_everybody_gets_it(
    rendered: Mapping[str, Any],
) -> None:
    rollout = rendered["Rollout/predator-compute-nvidia-search"]["spec"]
    first, analysis, last = rollout["strategy"]["canary"]["steps"]
    assert (first, last) == ({"setWeight": 20}, {"setWeight": 100})
    assert rollout["replicas"] * first["setWeight"] % 100 == 0
    template = rendered["AnalysisTemplate/predator-compute-nvidia-search"]
    [named] = analysis["analysis"]["templates"]
    assert named["templateName"] == template["metadata"]["name"]
    given = {one["name"] for one in analysis["analysis"]["args"]}
    assert given == {one["name"] for one in template["spec"]["args"] if "value" not in one}
    deployment = rendered[f"Deployment/{rollout['workloadRef']['name']}"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert rollout["selector"]["matchLabels"].items() <= labels.items()
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["predator/release-digest"] == DIGEST
