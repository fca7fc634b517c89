"""What the chart makes of values, by kind and name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from tools import chart

Object = dict[str, Any]


@cache
def _values(contour: str) -> dict[str, Any]:
    return chart.values_of(contour)


@cache
def _rendered(values: str) -> str:
    """The objects of values, as JSON, so that no test changes what another one sees."""
    return json.dumps(chart.objects(chart.render(json.loads(values))))


class Rendered:
    """The objects of one rendering."""

    def __init__(self, contour: str, more: Mapping[str, Any] | None = None) -> None:
        self.values = chart.merged(_values(contour), more or {})
        self.objects: list[Object] = json.loads(_rendered(json.dumps(self.values)))

    def named(self, kind: str, name: str) -> Object:
        (found,) = (
            one
            for one in self.objects
            if one["kind"] == kind and one["metadata"]["name"] == f"predator-{name}"
        )
        return found

    def kinds(self) -> list[str]:
        return [one["kind"] for one in self.objects]

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Every pod's specification, by the name of what makes it."""
        for one in self.objects:
            spec = one.get("spec", {})
            template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
            if template is not None:
                yield one["metadata"]["name"], template["spec"]

    def container(self, kind: str, name: str) -> Object:
        """The one container of a pod."""
        spec = self.named(kind, name)["spec"]
        template = spec.get("jobTemplate", {}).get("spec", spec)["template"]
        (found,) = template["spec"]["containers"]
        return dict(found)


def environment(container: Object) -> dict[str, str]:
    """The variables whose values stand in the manifest."""
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def contour_file(values: Mapping[str, Any]) -> Object:
    """What the pods read of their contour."""
    import yaml

    text = chart.render(values)["predator/templates/contour.yaml"]
    (found,) = yaml.load_all(text, Loader=yaml.CSafeLoader)
    read: Object = next(iter(yaml.load_all(found["data"]["contour.yaml"], Loader=yaml.CSafeLoader)))
    return read


def secrets(container: Object) -> dict[str, tuple[str, str]]:
    """The variables that come from a secret: its name and key."""
    refs = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"]
            if "valueFrom" in one}  # fmt: skip
    return {name: (ref["name"], ref["key"]) for name, ref in refs.items()}
