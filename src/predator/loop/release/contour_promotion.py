"""Whether a release may go from one contour to the next: what passed there, and still holds.

A release is tried on users where least is at stake, and goes on from there one contour at a time.
Its experiment on the contour before is its evidence: the commit that made it live there names the
evaluation and the experiment by hash. That evidence is void once the contour went back from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from predator.domain.errors import InputError
from predator.ports.releases import KeptRelease, version_number
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease

PATH = ("dev-mac", "edge-oracle", "compute-nvidia")
"""The way of a release through the contours."""

REHEARSED = "dev-mac"
"""Where cycles are simulated: what passed there is no evidence to policy."""

FROM = "From-Contour"
"""The trailer of a commit that a promotion from another contour made."""

_READ = ("Contour", "Release", "Evaluation", "Experiment", "Reverts", FROM)


@dataclass(frozen=True, slots=True)
class ReleaseChange:
    """A commit that made another release live on a contour."""

    revision: str
    release: LiveRelease
    trailers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Promotable:
    """Whether a version may go on, and why not; ``done``: it is live there already.

    ``revision`` is the commit that made it live on the contour before, ``evaluation`` and
    ``experiment`` what that commit names. ``returned``: the contour that it is for had it and went
    back from it; it does not come again by itself.
    """

    allowed: bool
    reason: str
    digest: str = ""
    done: bool = False
    returned: bool = False
    revision: str = ""
    evaluation: str = ""
    experiment: str = ""


def next_contour(contour: str) -> str | None:
    """Where a release goes from ``contour``, if it goes anywhere."""
    return dict(pairwise(PATH)).get(contour)


def previous_contour(contour: str) -> str | None:
    """Where a release comes from to ``contour``, if from anywhere."""
    return {after: before for before, after in pairwise(PATH)}.get(contour)


def check_step(source: str, target: str) -> None:
    """``InputError`` where a release cannot go straight from ``source`` to ``target``."""
    if next_contour(source) != target:
        raise InputError(
            f"no release goes from {source[:60]} straight to {target[:60]}",
            cure=f"one step at a time: {' → '.join(PATH)}",
        )


def promotable(
    version: str,
    source: str,
    target: str,
    kept: KeptRelease | None,
    there: Sequence[ReleaseChange],
    here: Sequence[ReleaseChange],
) -> Promotable:
    """Judge ``version`` by the changes of both contours, each oldest first.

    ``kept`` is its entry in the register, ``None`` where there is none; ``there`` the contour
    ``source``, ``here`` the contour ``target``.
    """
    if next_contour(source) != target:
        return Promotable(False, f"{source} is not the contour before {target}")
    if kept is None:
        return Promotable(False, f"there is no release {version}")
    if not here:
        return Promotable(False, f"nothing is live on {target} yet", kept.digest)
    proof = _proof(there, source, kept.digest)
    if proof is None:
        reason = f"no experiment on {source} has made {version} live there"
        return Promotable(False, reason, kept.digest)
    change = there[proof]
    found = Promotable(
        True,
        f"{version} passed its experiment on {source} and was kept",
        kept.digest,
        returned=_returned(here, kept.digest),
        revision=change.revision,
        evaluation=change.trailers["Evaluation"],
        experiment=change.trailers["Experiment"],
    )
    if undone := _undone(there[proof + 1 :], change, version):
        return replace(found, allowed=False, reason=f"{source} {undone}")
    if kept.stable_at is None:
        return replace(
            found, allowed=False, reason=f"the watch on {source} has not kept {version} yet"
        )
    live = here[-1].release
    if live.digest == kept.digest:
        return replace(found, reason=f"{version} is live on {target}", done=True)
    if _newer(live.version, version):
        return replace(
            found, allowed=False, reason=f"{live.version} is live on {target}, which is newer"
        )
    return found


def stands(there: Sequence[ReleaseChange], source: str, digest: str) -> bool:
    """Whether an experiment on ``source`` made the release live there, and nobody went back from
    it since."""
    proof = _proof(there, source, digest)
    if proof is None:
        return False
    change = there[proof]
    return not _undone(there[proof + 1 :], change, change.release.version)


def promotion_between_inputs(
    version: str,
    source: str,
    target: str,
    kept: KeptRelease | None,
    there: Sequence[ReleaseChange],
    here: Sequence[ReleaseChange],
) -> Json:
    """What :func:`promotable` looks at, as plain JSON."""
    return {
        "version": version,
        "source": source,
        "target": target,
        "kept": None if kept is None else {
            "version": kept.version, "digest": kept.digest, "revision": kept.revision,
            "cycle_id": kept.cycle_id, "at": kept.at, "stable_at": kept.stable_at,
        },
        "there": [_plain(change) for change in there],
        "here": [_plain(change) for change in here],
    }  # fmt: skip


def decide_promotion_between(inputs: Json) -> Json:
    """:func:`promotable` from JSON to JSON."""
    kept = inputs["kept"]
    found = promotable(
        inputs["version"],
        inputs["source"],
        inputs["target"],
        None if kept is None else KeptRelease(**kept),
        [_change(change) for change in inputs["there"]],
        [_change(change) for change in inputs["here"]],
    )
    return {name: getattr(found, name) for name in Promotable.__dataclass_fields__}


def to_promotion_between(output: Json) -> Promotable:
    return Promotable(**output)


def _proof(there: Sequence[ReleaseChange], source: str, digest: str) -> int | None:
    """Where the contour's own experiment made this very release live, the last time."""
    for number in reversed(range(len(there))):
        change, trailers = there[number], there[number].trailers
        named = change.release.digest == trailers.get("Release") == digest
        own = trailers.get("Contour") == source and FROM not in trailers
        if named and own and trailers.get("Evaluation") and trailers.get("Experiment"):
            return number
    return None


def _undone(later: Sequence[ReleaseChange], change: ReleaseChange, version: str) -> str:
    """How the contour went back from ``change`` for good, if it did."""
    undone = ""
    for one in later:
        if one.release.digest == change.release.digest:
            undone = ""
        elif one.trailers.get("Reverts") == change.revision:
            undone = f"rolled {version} back"
        elif _newer(version, one.release.version):
            undone = f"went back to {one.release.version}, before {version}"
    return undone


def _returned(here: Sequence[ReleaseChange], digest: str) -> bool:
    """Whether the contour had the release, and went back from it the last time."""
    had = [number for number, change in enumerate(here) if change.release.digest == digest]
    if not had or had[-1] + 1 == len(here):
        return False
    last, after = here[had[-1]], here[had[-1] + 1]
    return after.trailers.get("Reverts") == last.revision or _newer(
        last.release.version, after.release.version
    )


def _newer(one: str, other: str) -> bool:
    """Whether version ``one`` comes after ``other``; what is no version (a drill) is neither."""
    try:
        return version_number(one) > version_number(other)
    except InputError:
        return False


def _plain(change: ReleaseChange) -> dict[str, Any]:
    release = change.release
    return {
        "revision": change.revision,
        "release": {
            "version": release.version, "digest": release.digest, "cycle": release.cycle,
        },
        "trailers": {name: change.trailers[name] for name in _READ if name in change.trailers},
    }  # fmt: skip


def _change(value: Mapping[str, Any]) -> ReleaseChange:
    return ReleaseChange(value["revision"], LiveRelease(**value["release"]), value["trailers"])
