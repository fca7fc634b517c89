"""The deployer without HTTP keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from predator.adapters.platform.memory_deployer import MemoryDeployer
from predator.ports.deployer import Deployer
from predator.search.engine import Engine
from predator.search.serving.agent import Agent, load_release, warm_up
from tests.adapters.platform.platforms import CONTOUR, Place
from tests.contracts.deployer import DeployerContract
from tests.search.fakes import documents, engine, indexed


class TestMemoryDeployer(DeployerContract):
    @contextmanager
    def deployed(self, place: Place) -> Iterator[Deployer]:
        index = indexed(documents(5))

        def load(digest: str) -> Engine:
            found = engine(index)
            found.release = load_release(place.objects.get(digest))
            return found

        yield MemoryDeployer(Agent(place.gitops, CONTOUR, load, warm_up), place.gitops)
