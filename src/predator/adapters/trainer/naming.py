"""What every trainer checks about names, and how it tells one job from another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from predator.domain.canonical import canonical_json, digest_of, sha256_hex
from predator.domain.errors import InputError
from predator.journal.redact import redact

# No slash and no leading dot: such a name cannot leave its folder, nor hide in it.
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}\Z", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,119}\Z", re.ASCII)
_ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Order:
    """What a job is asked to do: its kind, its spec, and its inputs by SHA-256."""

    kind: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Two starts with the same digest ask for the same work."""
        return digest_of({"kind": self.kind, "spec": self.spec, "inputs": dict(self.inputs)})


def ordered(kind: str, inputs: Mapping[str, bytes], spec: Mapping[str, Any]) -> Order:
    """The order of these inputs; ``InputError`` for hostile names or a spec that is no JSON."""
    for name in inputs:
        if not is_file_name(name):
            raise InputError(f"{name!r:.80} cannot name an input of a training job")
    try:
        canonical_json(spec)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the spec of a training job is no JSON: {error}") from error
    return Order(kind, spec, {name: sha256_hex(data) for name, data in inputs.items()})


def is_file_name(name: object) -> bool:
    """Whether ``name`` is safe as the name of a job's file."""
    return isinstance(name, str) and _FILE_NAME.match(name) is not None


def folder_name(job_id: str) -> str:
    """A folder name for the job, another one for each id; ``InputError`` for a hostile id."""
    if not isinstance(job_id, str) or _JOB_ID.match(job_id) is None:
        raise InputError(f"{job_id!r:.80} cannot name a training job")
    return job_id.replace(":", "+")


def check_same(job_id: str, known: str, asked: str) -> None:
    """``InputError`` where a known id comes with other work."""
    if known != asked:
        raise InputError(
            f"the training job {job_id} was started with other inputs, spec or kind",
            cure="Give the new work an id of its own",
        )


def unknown(job_id: str) -> InputError:
    """For an id that was never started."""
    return InputError(f"there is no training job {job_id!r:.140}")


def one_line(text: object) -> str:
    """A foreign text as one printable line without secrets."""
    clean = "".join(c if c.isprintable() else " " for c in str(redact(str(text))))
    return " ".join(clean.split())[:_ERROR_CHARACTERS]
