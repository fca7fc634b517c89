"""Who brings git's state to what serves, by the settings: the platform itself, or Argo CD."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from predator.bootstrap.home import Run
from predator.bootstrap.platform import deployer_of, desired_of, objects_of
from predator.config import Settings
from predator.domain.errors import InputError

if TYPE_CHECKING:
    from predator.adapters.argocd.api import ArgoApi
    from predator.adapters.argocd.break_glass import BreakGlass
    from predator.ports.deployer import Deployer


def deployer_for(settings: Settings, run: Run, url: str) -> Deployer:
    """Argo CD where ``argocd_url`` is set, else the platform at ``url``, which follows git.

    ``InputError`` for half of Argo CD's settings.
    """
    if settings.argocd_url is None:
        return deployer_of(run, url)
    from predator.adapters.argocd.argo_deployer import ArgoDeployer
    from predator.adapters.argocd.replicas import Replicas

    desired = desired_of(run, settings.contour)
    control = settings.argocd_control_url
    return ArgoDeployer(
        _api_of(settings),
        desired,
        Replicas(control, run.control_token, desired.gitops) if control else None,
        patience_s=settings.argocd_timeout_s,
    )


@contextmanager
def break_glass_of(settings: Settings, run: Run) -> Iterator[BreakGlass]:
    """The way back through Argo CD's own history; ``InputError`` where there is no Argo CD."""
    from predator.adapters.argocd.argo_deployer import ArgoDeployer
    from predator.adapters.argocd.break_glass import BreakGlass
    from predator.loop.release.bundle import verify_bundle

    desired, api = desired_of(run, settings.contour), _api_of(settings)
    try:
        yield BreakGlass(
            api,
            desired,
            ArgoDeployer(api, desired),
            partial(verify_bundle, objects_of(run.folder)),
            patience_s=settings.argocd_timeout_s,
        )
    finally:
        api.close()


def _api_of(settings: Settings) -> ArgoApi:
    """The contour's application; the token is read here, from where the setting says it lies."""
    from predator.adapters.argocd.api import ArgoApi
    from predator.contours.secret_reference import resolve

    url, token = settings.argocd_url, settings.argocd_token
    if url is None or token is None:
        raise InputError("Argo CD needs both argocd_url and argocd_token", cure="Set both")
    return ArgoApi(
        url,
        resolve(token),
        app=settings.argocd_app or f"predator-{settings.contour}",
        project=settings.argocd_project,
        ca=settings.argocd_ca,
    )
