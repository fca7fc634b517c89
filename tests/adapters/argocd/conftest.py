"""One contour under the fake Argo CD for all tests, as good as new for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from predator.adapters.argocd import argo_deployer, break_glass
from tests.adapters.argocd.places import Contour, contour
from tests.adapters.argocd.swagger import Swagger
from tests.adapters.platform.platforms import Place


@pytest.fixture(scope="session", autouse=True)
def seldom() -> Iterator[None]:
    """Half the looks: by the fake's clock a wait takes no time, but each look costs some."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (argo_deployer, break_glass):
            patch.setattr(module, "POLL_S", 4.0)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contour]:
    with contour(Place(tmp_path_factory.mktemp("contour")), None, Swagger.beside()) as found:
        yield found


@pytest.fixture
def there(shared: Contour) -> Contour:
    """A contour that is synced and healthy, with nobody's sync under way; nothing is automatic."""
    shared.renew()
    return shared
