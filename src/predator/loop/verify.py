"""Is the audit of every cycle what was written? Chain, files and anchors, looked at anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from predator.domain.errors import IntegrityError
from predator.domain.ids import is_cycle_id
from predator.journal.audit import read_journal
from predator.journal.chain import Chain
from predator.journal.files import promised, read_file
from predator.loop.anchor import Anchors


@dataclass(frozen=True, slots=True)
class Verified:
    """One cycle. ``state`` is ``closed`` (by a summary), ``open``, or ``empty`` without a record.

    ``first_bad`` numbers the first record that is not sound, or that promises what is not there;
    ``None`` where the fault is not in one record. ``reason`` is empty where all is well.
    """

    cycle_id: str
    state: str
    records: int
    files: int
    anchored: bool
    first_bad: int | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        return not self.reason

    @property
    def fault(self) -> str:
        """What is wrong, in one line."""
        where = f"record {self.first_bad}: " if self.first_bad is not None else ""
        return f"{self.cycle_id}: {where}{self.reason}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


def verify_cycle(folder: Path, anchors: Sequence[Anchors]) -> Verified:
    """Check one cycle's journal, the files that it promises, and what git says of it.

    ``anchors``: the repositories that may know it. A closed journal must be anchored in one.
    """
    chain, broken = read_journal(folder / "audit.jsonl")
    files = promised(chain.records)
    first_bad: int | None = None
    anchored, reason = False, broken
    if broken:
        first_bad = len(chain.records) + 1
    else:
        try:
            _check_name(folder.name, chain)
            _check_files(folder, files)
            anchored = _check_anchors(folder.name, chain, anchors)
        except _BadFileError as error:
            first_bad, reason = error.record, error.cause
        except IntegrityError as error:
            reason = error.cause
    state = "closed" if chain.summary is not None else "open" if chain.records else "empty"
    return Verified(folder.name, state, len(chain.records), len(files), anchored, first_bad, reason)


def fault_of(folder: Path, names: Collection[str] | None = None) -> str:
    """What is wrong with a cycle's journal, or with the files that it promises (``names`` alone,
    where given); empty where nothing is. Git is not asked: :func:`verify_cycle` asks it.
    """
    chain, broken = read_journal(folder / "audit.jsonl")
    if broken:
        return broken
    files = promised(chain.records)
    try:
        _check_name(folder.name, chain)
        _check_files(folder, {one: files[one] for one in files if names is None or one in names})
    except IntegrityError as error:
        return error.cause
    return ""


def verify_all(artifacts: Path, anchors: Sequence[Anchors]) -> Iterator[Verified]:
    """Every cycle that left a folder, and every one that git knows and no folder is left of."""
    known = {cycle_id for one in anchors for cycle_id in one.anchored}
    if artifacts.is_dir():
        known |= {path.name for path in artifacts.iterdir() if is_cycle_id(path.name)}
    for cycle_id in sorted(known):
        yield verify_cycle(artifacts / cycle_id, anchors)


class _BadFileError(IntegrityError):
    """A file is not what record ``record`` says."""

    def __init__(self, cause: str, record: int) -> None:
        super().__init__(cause)
        self.record = record


def _check_name(cycle_id: str, chain: Chain) -> None:
    for record in chain.records:
        summary = record.get("summary")
        for named in (record, summary if isinstance(summary, Mapping) else {}):
            if named.get("cycle_id", cycle_id) != cycle_id:
                raise IntegrityError(f"the journal is that of {str(named['cycle_id'])[:40]}")


def _check_files(folder: Path, files: Mapping[str, tuple[str, int]]) -> None:
    for name, (digest, record) in sorted(files.items(), key=lambda item: item[1][1]):
        try:
            read_file(folder, name, digest)
        except IntegrityError as error:
            raise _BadFileError(error.cause, record) from error


def _check_anchors(cycle_id: str, chain: Chain, anchors: Sequence[Anchors]) -> bool:
    """Whether one repository anchors this very journal.

    Several may know a cycle of this name (artifacts may be kept in several folders), but only
    one can have anchored this one; where none has, none may contradict it either.
    """
    if not chain.records and any(one.knows(cycle_id) for one in anchors):
        raise IntegrityError("the journal is gone, though git names its records")
    contradiction: IntegrityError | None = None
    for one in anchors:
        try:
            if one.check(cycle_id, chain.records) == "anchored":
                return True
        except IntegrityError as error:
            contradiction = contradiction or error
    if contradiction is not None:
        raise contradiction
    if chain.summary is not None:
        raise IntegrityError("the journal is closed, but no anchor of it is in git")
    return False
