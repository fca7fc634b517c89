"""Pods have no rights, nothing is open that nobody opened, and no text becomes structure."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from predator.domain.errors import InputError
from tests.deploy.rendered import Rendered, contour_file
from tools import chart

SEARCH = {"search": {"enabled": True}}


@pytest.mark.parametrize("contour", chart.CONTOURS)
def test_every_pod_runs_without_rights(contour: str) -> None:
    pods = dict(Rendered(contour, SEARCH).pods())
    assert {"predator-search", "predator-worker", "predator-admin"} <= pods.keys()
    for pod in pods.values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all("hostPath" not in volume for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("contour", chart.CONTOURS)
def test_the_account_of_the_pods_opens_nothing(contour: str) -> None:
    found = Rendered(contour)
    (account,) = (one for one in found.objects if one["kind"] == "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & {*found.kinds()}


def _policies(contour: str, more: dict[str, Any]) -> dict[str, Any]:
    found = Rendered(contour, more).objects
    return {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "NetworkPolicy"}


@pytest.mark.parametrize("contour", chart.CONTOURS)
def test_what_nobody_opened_is_closed(contour: str) -> None:
    policies = _policies(contour, SEARCH)
    closed = policies["predator-default-deny"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & closed.keys()
    selected = closed["podSelector"]["matchLabels"]
    for one in Rendered(contour, SEARCH).objects:
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            assert selected.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("contour", chart.CONTOURS)
def test_a_list_of_nobody_never_means_everybody(contour: str) -> None:
    nobody: dict[str, Any] = {
        name: []
        for name in ("searchFrom", "adminFrom", "metricsFrom", "databaseTo", "argocdTo", "httpsTo")
    }
    policies = _policies(contour, {"networkPolicy": nobody})
    for spec in policies.values():
        for rule in spec.get("ingress", []):
            assert rule["from"]
            assert rule["ports"]
        for rule in spec.get("egress", []):
            assert rule["to"]
            assert rule["ports"]
    assert "ingress" not in policies["predator-admin"]
    ports = [port["port"] for rule in policies["predator-loop"]["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 8321]


def test_the_network_of_the_cloud_cannot_be_asked_for_credentials() -> None:
    policies = _policies("compute-nvidia", {})
    for rule in policies["predator-loop"]["egress"]:
        for peer in rule["to"]:
            block = peer.get("ipBlock")
            if block is not None:
                assert "169.254.0.0/16" in block["except"]


def test_search_grows_by_load_where_that_is_on() -> None:
    on = {"search": {"autoscaling": {"enabled": True, "requestsPerSecond": 50}}}
    found = Rendered("compute-nvidia", on)
    assert list(chart.invalid(found.objects, chart.KUBERNETES[0])) == []
    assert "replicas" not in found.named("Deployment", "search")["spec"]
    spec = found.named("HorizontalPodAutoscaler", "search")["spec"]
    assert spec["scaleTargetRef"]["name"] == "predator-search"
    by = {m["type"]: m for m in spec["metrics"]}
    assert by["Resource"]["resource"]["name"] == "cpu"
    assert by["Pods"]["pods"]["metric"]["name"] == "predator_http_requests_per_second"
    off = Rendered("compute-nvidia")
    assert "HorizontalPodAutoscaler" not in off.kinds()
    assert off.named("PodDisruptionBudget", "search")["spec"]["minAvailable"] == 1


def test_pods_that_share_a_volume_of_one_node_go_to_that_node() -> None:
    for _, pod in Rendered("edge-oracle").pods():
        rules = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert rules[0]["topologyKey"] == "kubernetes.io/hostname"
    for _, pod in Rendered("compute-nvidia").pods():
        assert "affinity" not in pod


def test_the_volume_outlives_the_chart() -> None:
    claim = Rendered("edge-oracle").named("PersistentVolumeClaim", "home")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    found = Rendered("edge-oracle", {"persistence": {"existingClaim": "ours"}})
    assert "PersistentVolumeClaim" not in found.kinds()
    for _, pod in found.pods():
        assert {"claimName": "ours"} in [v.get("persistentVolumeClaim") for v in pod["volumes"]]


HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "{{ .Values }}",
        '{{ fail "x" }}',
        '"\n- name: x\n  image: evil',
        "x\n---\nkind: Pod",
        "}} {{ include",
        "yes",
        "null",
        "0x1f",
        "1e3",
        "!!python/object/apply:os.system [id]",
        "&a [*a]",
        "# comment",
        ": ",
        "'",
        '"',
        "\\",
        "\u2028\u0085\ufeff",
        "\x00\x1b[2J",
        "$(PREDATOR_HOME)",
    ]
)
FREE = (
    "selfImprovement.resources.gpuType",
    "selfImprovement.backup.destination",
    "selfImprovement.backup.schedule",
    "selfImprovement.schedule",
    "settings.executor_id",
    "search.release.version",
    "search.release.cycle",
    "image.repository",
    "image.tag",
    "database.secretName",
    "database.secretKey",
    "persistence.storageClass",
    "persistence.existingClaim",
    "trainer.schedule",
    "trainer.gpuNodeLabel",
)
"""Every kind of text that values can hold, free or bound by a pattern."""


USUAL = {"trainer.schedule": "0 3 * * *"}


def at(path: str, value: object) -> dict[str, Any]:
    """Values with ``value`` at ``path``."""
    found: Any = value
    for key in reversed(path.split(".")):
        found = {key: found}
    return dict(found)


def _shape(node: Any) -> Any:
    """What a manifest is made of, without what its texts say."""
    if isinstance(node, dict):
        return {key: _shape(value) for key, value in sorted(node.items())}
    if isinstance(node, list):
        return [_shape(value) for value in node]
    return "text" if isinstance(node, str) else node


@settings(max_examples=12)
@given(st.sampled_from(FREE), HOSTILE)
@example("selfImprovement.resources.gpuType", "x\n---\nkind: Pod")
@example("selfImprovement.backup.destination", "{{ .Values.database }}")
@example("selfImprovement.backup.destination", "yes")
@example("search.release.cycle", "null")
@example("trainer.gpuNodeLabel", "{{ .Values }}")
def test_no_text_in_the_values_becomes_structure(path: str, text: str) -> None:
    try:
        found = Rendered("compute-nvidia", at(path, text))
    except InputError:
        return  # refused: nothing was rendered
    expected = shape_with(path, at_all=bool(text))
    if path == "trainer.gpuNodeLabel":  # a name of a key there
        assert found.kinds() == expected[1]
    else:
        assert (_shape(found.objects), found.kinds()) == expected


@cache
def shape_with(path: str, *, at_all: bool) -> tuple[Any, list[str]]:
    """What a harmless text makes at ``path``."""
    usual = USUAL.get(path, "x") if at_all else ""
    plain = Rendered("compute-nvidia", at(path, usual))
    return _shape(plain.objects), plain.kinds()


@settings(max_examples=12)
@given(HOSTILE)
@example("\x7f")
@example("a\u2028b")
def test_the_pods_read_the_very_text_that_the_values_hold(text: str) -> None:
    destination = at("selfImprovement.backup.destination", text)
    values = chart.merged(chart.values_of("edge-oracle"), {**destination, **at("settings.a", text)})
    try:
        read = contour_file(values)
    except InputError:
        assert any(not char.isprintable() for char in text)
        return
    assert read["settings"]["a"] == text
    assert read["selfImprovement"]["backup"]["destination"] == text
