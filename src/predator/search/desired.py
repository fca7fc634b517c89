"""What git says should be live, as Helm values in two files.

``values.yaml`` holds the release, ``experiments.yaml`` the experiment and the hold-back, so
that a commit that restores a release never conflicts with one that ends an experiment.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

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


Block = TypeVar("Block", LiveRelease, RunningExperiment, Holdback)


def values_path(contour: str) -> str:
    return f"environments/{contour}/values.yaml"


def experiments_path(contour: str) -> str:
    return f"environments/{contour}/experiments.yaml"


def parse(values: str, experiments: str | None) -> Desired:
    """Read both files; ``InputError`` where they are not what this version writes.

    ``values.yaml`` may hold other Helm values beside the release; ``experiments.yaml`` may not,
    so that a misspelt experiment is not taken for none.
    """
    try:
        release = _block(LiveRelease, _mapping(_load(values).get("search")).get("release"))
        outer = _load(experiments or "")
        search = _mapping(outer.get("search"))
        unknown = (outer.keys() - {"search"}) | (search.keys() - {"experiment", "holdback"})
        if unknown:
            raise ValueError(f"unknown key {sorted(map(str, unknown))[0]!r} among the experiments")
        if release is None:
            raise ValueError("there is no search.release")
        return Desired(
            release,
            _block(RunningExperiment, search.get("experiment")),
            _block(Holdback, search.get("holdback")),
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"the GitOps values cannot be read: {error}") from error


def render_values(release: LiveRelease, previous: str | None) -> str:
    """``values.yaml`` with the release block set; comments and other values in ``previous`` stay.

    ``InputError`` where ``previous`` is not a file of values.
    """
    try:
        document = _load(
            previous or "# The release that serves. Commits change it; nothing else.\n{}"
        )
        if not _mapping(document.get("search")):
            document["search"] = {}
    except (TypeError, ValueError) as error:
        raise InputError(f"the GitOps values cannot be changed: {error}") from error
    document["search"]["release"] = _plain(release)
    return _dump(document)


def render_experiments(experiment: RunningExperiment | None, holdback: Holdback | None) -> str:
    """``experiments.yaml`` whole."""
    return _dump(
        {
            "search": {
                "experiment": _plain(experiment) if experiment else None,
                "holdback": _plain(holdback) if holdback else None,
            }
        }
    )


def _plain(block: LiveRelease | RunningExperiment | Holdback) -> dict[str, Any]:
    """The block's fields, with escapes for what ruamel would write but not read back (U+0085)."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    return {
        name: value
        if not isinstance(value, str) or value.isprintable()
        else DoubleQuotedScalarString(value)
        for name, value in asdict(block).items()
    }


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.width = 4096
    return yaml


def _load(text: str) -> Any:
    """The mapping in ``text``; ``ValueError`` or ``TypeError`` where there is none."""
    try:
        value = _yaml().load(text)
    except Exception as error:
        # Beside YAMLError, broken tags and deep nesting raise half a dozen builtin errors.
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:200]}") from error
    return {} if value is None else _mapping(value)


def _dump(value: Any) -> str:
    buffer = io.StringIO()
    _yaml().dump(value, buffer)
    return buffer.getvalue()


def _block(kind: type[Block], value: Any) -> Block | None:
    """The dataclass ``kind`` from a mapping with exactly its fields, each of its very type."""
    if value is None:
        return None
    given = _mapping(value)
    names = [field.name for field in fields(kind)]
    if set(given) != set(names):
        wrong = sorted(map(str, set(given) ^ set(names)))
        raise ValueError(f"{kind.__name__} has {', '.join(names)}: see {wrong[0]!r}")
    checked: dict[str, Any] = {
        name: _share(given[name]) if name == "share" else _text(given[name]) for name in names
    }
    return kind(**checked)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, found {str(value)[:40]!r}")
    return str(value)


def _share(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"expected a share between 0 and 1, found {str(value)[:40]!r}")
    return float(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping, found {type(value).__name__}")
    return value
