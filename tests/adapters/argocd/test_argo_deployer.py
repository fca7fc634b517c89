"""The deployer over Argo CD keeps the contract, with and without auto-sync."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from predator.ports.deployer import Deployer
from tests.adapters.argocd.places import AUTOMATED, contour
from tests.adapters.argocd.swagger import Swagger
from tests.adapters.platform.platforms import Place
from tests.contracts.deployer import DeployerContract


class TestArgoDeployer(DeployerContract):
    """As ``deploy/argocd`` has it: Argo CD syncs by itself."""

    soon_s, bad_s = 60.0, 300.0
    """By the fake's clock."""
    policy: Mapping[str, Any] | None = AUTOMATED

    @contextmanager
    def deployed(self, place: Place) -> Iterator[Deployer]:
        with contour(place, self.policy, Swagger.beside()) as found:
            yield found.deployer()


@pytest.mark.nightly
class TestArgoDeployerWithoutAutoSync(TestArgoDeployer):
    """The deployer asks for each sync."""

    policy = None
