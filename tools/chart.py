"""The Helm chart, rendered and checked by Helm's own code, without a cluster.

``python tools/chart.py check|render|sync|publish`` from the root of the checkout (``make chart``).

``check`` lints, renders and validates every contour against the schemas of Kubernetes; ``render``
prints one contour's manifests; ``sync`` copies what contours may say, and what each of them says,
from the package into the chart, so that both have one source; ``publish`` commits the chart to a
GitOps repository as ``chart/predator``, where it lies beside the environments.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from predator.contours.model import ContourFile
from predator.domain.errors import InputError, PredatorError

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy/chart/predator"
CONTOURS = ("dev-mac", "edge-oracle", "compute-nvidia")
"""Those that the chart has values for."""
PACKAGED = ROOT / "src/predator/contours"
KUBERNETES = ("1.29.0", "1.34.0")
"""The oldest version that the chart is for, and a newer one."""

MARK = "# --- src/predator/contours/values-{contour}.yaml, copied by `make chart-sync`:"
_SEVERE = 2
_UNSAID = frozenset({"title", "description", "default"})
_PLAIN = "^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]*$"
"""Text that Helm writes as it is: of a control character its ``toYaml`` makes nothing at all."""
_KEY = "^[a-z][a-z0-9_]{0,63}$"


def values_of(contour: str, *more: Path) -> dict[str, Any]:
    """Values as ``helm -f`` would have them: the contour's file, then ``more``, the last wins."""
    found: dict[str, Any] = {}
    for path in (CHART / f"values-{contour}.yaml", *more):
        found = merged(found, read_values(path))
    return found


def read_values(path: Path) -> dict[str, Any]:
    """A file of values; ``InputError`` where it is none."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(value, dict | None):
        raise InputError(f"{path} holds no values")
    return value or {}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, blocks within blocks; where both say something, ``above`` counts."""
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        found[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return found


def render(
    values: Mapping[str, Any], *, name: str = "predator", namespace: str = "predator"
) -> dict[str, str]:
    """The manifests by template; ``InputError`` where the schema or a template refuses."""
    import helm_python as helm

    try:
        with helm.Chart.load(CHART) as chart:
            chart.validate_schema(dict(values))
            return dict(chart.render(dict(values), name=name, namespace=namespace))
    except helm.HelmError as error:
        raise InputError(f"the chart refuses: {' '.join(str(error).split())[:600]}") from error


def objects(manifests: Mapping[str, str]) -> list[dict[str, Any]]:
    """The Kubernetes objects among rendered ``manifests``."""
    import yaml

    return [
        document
        for path, text in sorted(manifests.items())
        if not path.endswith("NOTES.txt")
        for document in yaml.load_all(text, Loader=yaml.CSafeLoader)
        if document is not None
    ]


def lint(values: Mapping[str, Any]) -> list[str]:
    """What ``helm lint --strict`` warns of."""
    import helm_python as helm

    found = helm.lint(CHART, dict(values), strict=True)
    said = [m["error"] for m in found["messages"] if m["severity"] >= _SEVERE]
    return [*said, *found["errors"]]


def invalid(found: Iterable[Mapping[str, Any]], version: str) -> Iterator[str]:
    """What Kubernetes ``version`` would not take, unknown fields included."""
    import kubernetes_validate as kubernetes

    for one in found:
        what = f"{one.get('kind')}/{one.get('metadata', {}).get('name')}"
        try:
            kubernetes.validate(dict(one), version, strict=True)
        except kubernetes.ValidationError as error:
            yield f"{what}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes.SchemaNotFoundError as error:
            yield f"{what}: {error.message}"


def contour_schema() -> dict[str, Any]:
    """What a contour's file may say, as definitions of a JSON schema by name."""
    found = ContourFile.model_json_schema(by_alias=True)
    whole = {name: found[name] for name in ("type", "properties", "additionalProperties")}
    return {
        name: _bare(definition)
        for name, definition in sorted({**found["$defs"], "ContourFile": whole}.items())
    }


def _bare(node: Any, *, names: bool = False) -> Any:
    """What decides in a schema, text and keys bound to what can be written.

    ``names``: the keys of ``node`` are those of properties.
    """
    if isinstance(node, list):
        return [_bare(value) for value in node]
    if not isinstance(node, dict):
        return node
    found = {
        key: _bare(value, names=key == "properties" and not names)
        for key, value in node.items()
        if names or key not in _UNSAID
    }
    if not names:
        if "string" in found.get("type", ()) and "enum" not in found:
            found.setdefault("pattern", _PLAIN)
        if isinstance(found.get("additionalProperties"), dict):
            found["propertyNames"] = {"pattern": _KEY}
    return found


def synced_schema(text: str) -> str:
    """The chart's schema with the contour's part as the package has it."""
    schema = json.loads(text)
    definitions = contour_schema()
    contour = definitions.pop("ContourFile")
    own = {name: one for name, one in schema["$defs"].items() if name[0].islower()}
    schema["$defs"] = {**own, **definitions}
    schema["properties"].update(contour["properties"])
    return json.dumps(schema, indent=2) + "\n"


def synced_values(contour: str, text: str) -> str:
    """The chart's file for ``contour`` with the contour's part as the package has it."""
    mark = MARK.format(contour=contour)
    own = text.partition(mark)[0].rstrip("\n")
    packaged = (PACKAGED / f"values-{contour}.yaml").read_text("utf-8")
    return f"{own}\n\n{mark}\n{packaged}"


def check() -> list[str]:
    """What is wrong with the chart on any contour."""
    found = []
    for contour in CONTOURS:
        values = values_of(contour)
        manifests = objects(render(values))
        faults = [*lint(values), *(f for v in KUBERNETES for f in invalid(manifests, v))]
        found += [f"{contour}: {fault}" for fault in faults]
        print(f"{contour}: {len(manifests)} objects, {len(faults)} faults")
    return found


def sync() -> None:
    """Copy the package's contours into the chart."""
    schema = CHART / "values.schema.json"
    schema.write_text(synced_schema(schema.read_text("utf-8")), "utf-8")
    for contour in CONTOURS:
        path = CHART / f"values-{contour}.yaml"
        path.write_text(synced_values(contour, path.read_text("utf-8")), "utf-8")


def publish(repository: Path) -> str:
    """Commit the chart to the bare ``repository``; the head where it is there already."""
    from predator.adapters.gitops.bare_git import BareGit

    git = BareGit(repository)
    head = git.head()
    wanted = {
        f"chart/predator/{path.relative_to(CHART)}": path.read_text("utf-8")
        for path in sorted(CHART.rglob("*"))
        if path.is_file()
    }
    changed = {path: text for path, text in wanted.items() if git.read(path) != text}
    if not changed and head is not None:
        return head
    version = read_values(CHART / "Chart.yaml")["version"]
    return git.commit(changed, f"Chart predator {version}", {}, parent=head)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit status."""
    parser = argparse.ArgumentParser(prog="tools/chart.py", description=__doc__)
    parser.add_argument("what", choices=("check", "render", "sync", "publish"))
    parser.add_argument("--contour", choices=CONTOURS, default=CONTOURS[0])
    parser.add_argument("--values", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--name", default="predator")
    parser.add_argument("--repository", type=Path, metavar="GITOPS.GIT")
    given = parser.parse_args(arguments)
    try:
        if given.what == "sync":
            sync()
        elif given.what == "publish":
            if given.repository is None:
                parser.error("publish needs --repository")
            print(publish(given.repository))
        elif given.what == "render":
            values = values_of(given.contour, *given.values)
            for path, text in render(values, name=given.name).items():
                print(f"---\n# Source: {path}\n{text.strip()}")
        elif faults := check():
            print("\n".join(faults), file=sys.stderr)
            return 1
    except PredatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
