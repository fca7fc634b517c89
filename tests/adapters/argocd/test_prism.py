"""The adapter and the fake speak through Prism, which knows Argo CD's API from its swagger alone.

``make prism`` installs it. With ``--errors`` it answers instead of whoever says something that
the description does not know, so that a wrong request, or a wrong answer of the fake, fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import httpx
import pytest

from predator.domain.errors import PredatorError
from tests.adapters.argocd.fake_server import LOOP_TOKEN
from tests.adapters.argocd.places import APP, PROJECT, Contour
from tests.adapters.argocd.swagger import ABSENT, STRICT

pytestmark = pytest.mark.nightly

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
PRISM = CACHE / "predator/prism/node_modules/.bin/prism"
STARTS_S = 120.0


@contextmanager
def prism(upstream: str) -> Iterator[tuple[str, list[str]]]:
    """A proxy before ``upstream``: its address, and what it says as it says it."""
    if not STRICT.exists():
        pytest.skip(ABSENT)
    if not PRISM.exists() or shutil.which("node") is None:
        pytest.skip("Prism is not installed: `make prism` does it (it needs Node)")
    child = subprocess.Popen(
        [str(PRISM), "proxy", str(STRICT), upstream, "--errors", "-h", "127.0.0.1", "-p", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said: list[str] = []
    address: Queue[str] = Queue()

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line)
            found = re.search(r"Prism is listening on (http://\S+:\d+)", line)
            if found:
                address.put(found[1])

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield address.get(timeout=STARTS_S), said
    finally:
        child.terminate()
        child.wait(30)
        thread.join(30)
        assert child.stdout is not None
        child.stdout.close()


REFUSED = "terminated with error"


def test_all_that_the_adapter_asks_and_all_that_the_fake_answers_is_argo_cds_api(
    there: Contour,
) -> None:
    with prism(there.url) as (url, said):
        api = there.api(url=url)
        deployer = there.deployer(api=api)
        first = there.argo.history[-1]["id"]
        assert deployer.wait(there.release(), 60).healthy
        there.automate()
        assert deployer.wait(there.release(), 60).healthy
        assert deployer.status().healthy
        with pytest.raises(PredatorError, match="rollback cannot be initiated when auto-sync"):
            api.roll_back(first)
        api.patch({"spec": {"syncPolicy": {"automated": None}}})
        api.roll_back(first)
        api.terminate()
        there.argo.window_closed = True
        with pytest.raises(PredatorError, match="blocked by sync window"):
            deployer.wait(there.release(), 20)
        there.argo.window_closed = False
        there.argo.stuck = True
        with pytest.raises(PredatorError, match="its sync was ended"):
            deployer.wait(there.release(), 20)
        there.argo.stuck, there.argo.fail_syncs = False, 2
        with pytest.raises(PredatorError, match="exceeded quota"):
            deployer.wait(there.release(), 100)
        there.argo.fail_syncs = 0
        with pytest.raises(PredatorError, match="does not know the application"):
            there.api(url=url, app="nobody").application()
    assert [line for line in said if REFUSED in line] == []
    assert sum("Forwarding" in line for line in said) > 20


def test_prism_does_refuse_what_argo_cd_would_not_know(there: Contour) -> None:
    """The check itself can fail."""
    with prism(there.url) as (url, said):
        headers = {"Authorization": f"Bearer {LOOP_TOKEN}"}
        base = f"{url}/api/v1/applications/{APP}"
        wrong = httpx.post(
            f"{base}/sync", json={"project": PROJECT, "prune_all": 1}, headers=headers, timeout=60
        )
        assert wrong.status_code == 422
        there.argo.spec["sauce"] = {}
        answered = httpx.get(base, params={"project": PROJECT}, headers=headers, timeout=60)
        del there.argo.spec["sauce"]
        there.server.problems.clear()
        assert answered.status_code == 500
        assert "sauce" in answered.text
    assert any(REFUSED in line for line in said)
