"""What may go into a dataset stage, and what names it."""

from __future__ import annotations

from collections.abc import Mapping

from predator.domain.canonical import digest_of, sha256_hex
from predator.domain.errors import InputError
from predator.domain.ids import is_cycle_id

OUTPUT_NAME = "augmented_dataset.csv"


def checked_cycle_id(cycle_id: str) -> str:
    """``cycle_id`` unchanged; raises ``InputError`` where it is not one."""
    if not is_cycle_id(cycle_id):
        raise InputError(f"{cycle_id[:80]!r} is not a cycle id", cure="Use si_YYYY_MM_DD_NNN")
    return cycle_id


def inputs_digest(inputs: Mapping[str, bytes]) -> str:
    """SHA-256 that names the inputs: their file names and bytes, in any order.

    Raises ``InputError`` for no inputs, and for a name that is not one plain visible file or that
    DVC would read as its own.
    """
    if not inputs:
        raise InputError("a dataset needs at least one input")
    for name in inputs:
        if not _is_plain(name):
            raise InputError(
                f"{name[:80]!r} cannot be an input's file name",
                cure="Use a plain visible name such as 'documents.jsonl'",
            )
    return digest_of({name: sha256_hex(content) for name, content in inputs.items()})


def _is_plain(name: str) -> bool:
    return (
        name.isprintable()
        and 0 < len(name.encode("utf-8", "replace")) <= 255
        and not name.startswith(".")
        and "/" not in name
        and "\\" not in name
        and name not in ("dvc.yaml", "dvc.lock", "Dvcfile")
        and not name.endswith(".dvc")
    )
