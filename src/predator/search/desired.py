"""What git says should be live, as Helm values in two files.

``values.yaml`` holds the release, ``experiments.yaml`` the experiment and the hold-back, so
that a commit that restores a release never conflicts with one that ends an experiment.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.errors import InputError


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """The release block: a version for people, the digest that counts, the cycle that made it."""

    version: str
    digest: str
    cycle: str


@dataclass(frozen=True, slots=True)
class RunningExperiment:
    """``share`` of the users of ``layer`` get ``candidate``; the rest the live release."""

    id: str
    layer: str
    candidate: str
    share: float


@dataclass(frozen=True, slots=True)
class Holdback:
    """``share`` of the users stay on ``release`` while a fresh one is watched."""

    id: str
    release: str
    share: float


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole desired state of one contour."""

    release: LiveRelease
    experiment: RunningExperiment | None = None
    holdback: Holdback | None = None


def values_path(contour: str) -> str:
    return f"environments/{contour}/values.yaml"


def experiments_path(contour: str) -> str:
    return f"environments/{contour}/experiments.yaml"


def parse(values: str, experiments: str | None) -> Desired:
    """Read both files; ``InputError`` where they are not what this version writes."""
    try:
        release = LiveRelease(**_mapping(_load(values)["search"])["release"])
        search = _mapping(_mapping(_load(experiments or "")).get("search"))
        experiment, holdback = search.get("experiment"), search.get("holdback")
        return Desired(
            release,
            RunningExperiment(**experiment) if experiment else None,
            Holdback(**holdback) if holdback else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the GitOps values cannot be read: {error}") from error


def render_values(release: LiveRelease, previous: str | None) -> str:
    """``values.yaml`` with the release block set; comments in ``previous`` stay."""
    document = _load(previous or "# The release that serves. Commits change it; nothing else.\n{}")
    document.setdefault("search", {})["release"] = asdict(release)
    return _dump(document)


def render_experiments(experiment: RunningExperiment | None, holdback: Holdback | None) -> str:
    """``experiments.yaml`` whole."""
    return _dump(
        {
            "search": {
                "experiment": asdict(experiment) if experiment else None,
                "holdback": asdict(holdback) if holdback else None,
            }
        }
    )


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.width = 4096
    return yaml


def _load(text: str) -> Any:
    from ruamel.yaml.error import YAMLError

    try:
        return _yaml().load(text) or {}
    except YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:200]}") from error


def _dump(value: Any) -> str:
    buffer = io.StringIO()
    _yaml().dump(value, buffer)
    return buffer.getvalue()


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping, found {type(value).__name__}")
    return value
