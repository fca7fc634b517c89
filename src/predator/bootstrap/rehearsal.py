"""A platform that is not there, for contours with mock signals: its repository and its ring."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from predator.bootstrap.governed import Stores, governance_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.platform import FIRST_VERSION, desired_of, objects_of
from predator.bootstrap.ring import tracking_of
from predator.config import Settings
from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.release import Release, RetrievalParameters

if TYPE_CHECKING:
    from predator.loop.ring import Ring
    from predator.ports.progress import Progress

NAME = "rehearsal"


def found_rehearsal(settings: Settings) -> Run:
    """The newest rehearsal of the contour, or a new one: a first release, and no documents."""
    from predator.adapters.releases.gto_git import GtoGitReleases
    from predator.loop.gold.versions import keep_version
    from predator.loop.replica import keep_release
    from predator.ports.releases import KeptRelease
    from predator.search.analyze import SCHEMA
    from predator.search.desired import LiveRelease

    home = Home(settings)
    current = home.current_run()
    about = {"name": NAME, "contour": settings.contour}
    if current is not None and about.items() <= current.about.items():
        return current
    run = home.new_run(f"{NAME}-{settings.contour}")
    objects = objects_of(run.folder)
    model, tokenizer, rules = (objects.put(part) for part in (b"no model", b"no tokenizer", b"{}"))
    encoder = {"model": model, "tokenizer": tokenizer, "max_tokens": 0, "exporter": 0}
    digest = objects.put(canonical_json(encoder))
    release = Release(digest, SCHEMA, rules, RetrievalParameters())
    keep_release(objects, release)
    desired = desired_of(run, settings.contour)
    revision = desired.set_release(
        LiveRelease(FIRST_VERSION, release.digest, "bootstrap"),
        None,
        f"Found a rehearsal with {FIRST_VERSION}",
        {"Cycle": "bootstrap", "Step": "release"},
    )
    releases = GtoGitReleases(run.gitops)
    kept = KeptRelease(FIRST_VERSION, release.digest, revision, "bootstrap", time.time())
    keep_version(releases, objects, desired, kept)
    releases.mark(FIRST_VERSION, "stable", time.time())
    partial = run.folder / "platform.json.partial"
    partial.write_text(json.dumps({**about, "rules": rules, "encoder": sha256_hex(b"")}))
    partial.replace(run.folder / "platform.json")
    home.point_current(run)
    return run


def rehearsal_ring(settings: Settings, run: Run, stores: Stores, progress: Progress) -> Ring:
    """The ring of a contour without a platform: git, journal, registers and MLflow are real."""
    from predator.adapters.clock import SystemClock
    from predator.adapters.platform.rehearsed_deployer import RehearsedDeployer
    from predator.adapters.releases.gto_git import GtoGitReleases
    from predator.loop.ring import Ring

    desired = desired_of(run, settings.contour)
    return Ring(
        options=settings,
        governance=governance_of(settings, stores),
        desired=desired,
        releases=GtoGitReleases(run.gitops),
        objects=objects_of(run.folder),
        tracking=tracking_of(settings),
        deployer=RehearsedDeployer(desired),
        clock=SystemClock(),
        progress=progress,
        artifacts=Home(settings).artifacts,
        served_last=lambda _release, _since, _until: None,
    )
