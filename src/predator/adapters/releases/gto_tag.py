"""The text of the tags: GTO's names, and a line for people above a line of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from predator.adapters.releases import rules
from predator.domain.canonical import canonical_json
from predator.domain.errors import InputError, IntegrityError
from predator.ports.releases import KeptRelease, Stage, version_number

if TYPE_CHECKING:
    from dulwich.objects import Tag

_REGISTRATION = re.compile(r"[^@#]+@v(\d+)\.(\d+)\.0\Z", re.ASCII)
_ASSIGNMENT = re.compile(r"[^@#]+#(stable|gold)#([1-9]\d{0,8})\Z", re.ASCII)
_OUTSIDE_JSON = ("revision", "stable_at", "gold_at")


@dataclass(frozen=True, slots=True)
class Assignment:
    """``version``, at ``revision``, got ``stage``; the ``number``-th of all assignments.

    ``tag_time`` is the tag's own, in whole seconds.
    """

    version: str
    revision: str
    stage: Stage
    at: float
    number: int
    tag_time: int


def registration_name(artifact: str, version: str) -> str:
    """``predator-release@v2.0.0``: semantic versions have three numbers."""
    major, minor = version_number(version)
    return f"{artifact}@v{major}.{minor}.0"


def assignment_name(artifact: str, stage: Stage, number: int) -> str:
    """``predator-release#gold#7``."""
    return f"{artifact}#{stage}#{number}"


def registration_text(release: KeptRelease) -> bytes:
    facts = {k: v for k, v in asdict(release).items() if k not in _OUTSIDE_JSON}
    return _text(f"{release.version} is {release.digest[:12]}, made by {release.cycle_id}", facts)


def assignment_text(version: str, stage: Stage, at: float) -> bytes:
    return _text(f"{version} is {stage}", {"version": version, "stage": stage, "at": at})


def read_registration(name: str, tag: Tag) -> KeptRelease:
    """The entry in a tag; ``IntegrityError`` where Predator did not write it."""
    facts, revision = _facts(name, tag, _REGISTRATION)
    try:
        # The checks refuse whatever else a stranger's JSON may hold.
        release = rules.check(KeptRelease(revision=revision, **cast(dict[str, Any], facts)))
    except (TypeError, InputError) as error:
        raise _foreign(name) from error
    if registration_name(name.partition("@")[0], release.version) != name:
        raise _foreign(name)
    return release


def read_assignment(name: str, tag: Tag) -> Assignment:
    """The stage in a tag; ``IntegrityError`` where Predator did not write it."""
    facts, revision = _facts(name, tag, _ASSIGNMENT)
    match = cast(re.Match[str], _ASSIGNMENT.match(name))
    try:
        version, at = str(facts["version"]), rules.check_time(cast(float, facts["at"]))
        version_number(version)
    except (KeyError, InputError) as error:
        raise _foreign(name) from error
    stage: Stage = "gold" if match[1] == "gold" else "stable"
    if facts != {"version": version, "stage": stage, "at": at}:
        raise _foreign(name)
    return Assignment(version, revision, stage, at, int(match[2]), int(tag.tag_time or 0))


def _text(line: str, facts: Mapping[str, object]) -> bytes:
    return line.encode() + b"\n\n" + canonical_json(facts) + b"\n"


def _facts(name: str, tag: Tag, pattern: re.Pattern[str]) -> tuple[dict[str, object], str]:
    from dulwich.objects import Commit

    kind, revision = tag.object
    # The object says its own name: a reference that was moved to another tag shows here.
    if pattern.match(name) is None or tag.name != name.encode() or kind is not Commit:
        raise _foreign(name)
    try:
        facts = json.loads((tag.message or b"").decode().rpartition("\n\n")[2])
    except (ValueError, RecursionError) as error:
        raise _foreign(name) from error
    if not isinstance(facts, dict):
        raise _foreign(name)
    return facts, revision.decode()


def _foreign(name: str) -> IntegrityError:
    return IntegrityError(
        f"the git tag {name[:80]} was not made by Predator",
        cure="Find out who made it; `git tag -d` removes it",
    )
