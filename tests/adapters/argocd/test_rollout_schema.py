"""The canary is an object that Argo Rollouts takes, by validators made from its published CRD.

``make prism`` installs them. They know types and what is required; names that they do not know
are found in the declarations beside them, because the API server drops those without a word.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.argocd.test_manifests import canary
from tests.adapters.argocd.test_prism import CACHE

pytestmark = pytest.mark.nightly

PREFIX = CACHE / "predator/prism"
PACKAGE = PREFIX / "node_modules/@kubernetes-models/argo-rollouts"
VALIDATE = """
import { Rollout } from "@kubernetes-models/argo-rollouts/argoproj.io/v1alpha1/Rollout";
let text = "";
for await (const part of process.stdin) text += part;
try { new Rollout(JSON.parse(text)).validate(); } catch (error) { console.log(error.message); }
"""
FREE = {"labels", "selector", "annotations"}
"""Maps whose keys are the author's own, or are declared elsewhere."""


@pytest.fixture(scope="module")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if not PACKAGE.exists() or shutil.which("node") is None:
        pytest.skip("the validators are not installed: `make prism` does it (it needs Node)")
    found: Mapping[str, Any] = canary(tmp_path_factory.mktemp("canary"))
    return found["Rollout/predator-compute-nvidia-search"]


def problems(rollout: Mapping[str, Any]) -> list[str]:
    said = subprocess.run(
        ["node", "--input-type=module", "-e", VALIDATE],
        input=json.dumps(rollout), cwd=PREFIX, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [*said.splitlines(), *sorted(set(_keys(rollout["spec"])) - _declared())]


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield str(key)
            if key not in FREE:
                yield from _keys(below)
    elif isinstance(value, list):
        for below in value:
            yield from _keys(below)


def _declared() -> set[str]:
    folder = PACKAGE / "argoproj.io/v1alpha1"
    texts = (path.read_text() for path in Path(folder).glob("*.d.ts"))
    return {name for text in texts for name in re.findall(r'"?(\w+)"?\??:', text)}


def test_the_canary_is_one_that_argo_rollouts_takes(rollout: Any) -> None:
    assert problems(rollout) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda spec: spec["strategy"]["canary"]["steps"][0].update(setWeight="20"), "setWeight"),
        (lambda spec: spec["strategy"].update(canary=[]), "canary must be object"),
        (lambda spec: spec["strategy"]["canary"].update(maxUnavailabel=0), "maxUnavailabel"),
    ],
)
def test_what_it_would_not_take_is_seen(
    rollout: Any, spoil: Callable[[Any], None], told: str
) -> None:
    spoilt = copy.deepcopy(rollout)
    spoil(spoilt["spec"])
    assert any(told in problem for problem in problems(spoilt))
