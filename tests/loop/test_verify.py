"""No change to the audit of a cycle goes unseen: not to a record, a file, an end or a name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from predator.adapters.gitops.memory import MemoryGitOps
from predator.domain.canonical import canonical_json, digest_of
from predator.domain.errors import IntegrityError
from predator.journal.chain import GENESIS, read_lines
from predator.loop.anchor import Anchors
from predator.loop.verify import Verified, verify_all, verify_cycle
from tests.loop.recorded import CYCLE, OTHER, Recorded, lines_of, recorded

Tamper = Callable[[list[bytes], np.random.Generator], list[bytes]]


class Place:
    """Two finished cycles and the repository that anchors them."""

    def __init__(self, folder: Path) -> None:
        self.artifacts, self.gitops = folder / "artifacts", MemoryGitOps()
        recorded(self.artifacts, self.gitops, CYCLE)
        recorded(self.artifacts, self.gitops, OTHER, seed=1)
        self.anchors = [Anchors(self.gitops)]

    def verify(self, cycle_id: str = CYCLE) -> Verified:
        return verify_cycle(self.artifacts / cycle_id, self.anchors)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """For reading only."""
    return Place(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def place(sound: Place, tmp_path: Path) -> Place:
    """A copy to be tampered with."""
    copy = object.__new__(Place)
    copy.artifacts, copy.gitops, copy.anchors = tmp_path / "copy", sound.gitops, sound.anchors
    shutil.copytree(sound.artifacts, copy.artifacts)
    return copy


def test_what_was_not_touched_is_sound(sound: Place) -> None:
    found = list(verify_all(sound.artifacts, sound.anchors))
    assert [one.cycle_id for one in found] == [CYCLE, OTHER]
    for one in found:
        assert one.ok and one.anchored and one.state == "closed"
        assert (one.records, one.first_bad, one.reason) == (30, None, "")
        assert one.files == 23
        assert json.loads(json.dumps(one.to_json()))["ok"] is True


def test_a_cycle_that_is_under_way_is_open(tmp_path: Path) -> None:
    gitops = MemoryGitOps()
    one = Recorded(tmp_path, gitops)
    one.open()
    found = verify_cycle(one.folder, [Anchors(gitops)])
    assert found.ok and (found.state, found.anchored) == ("open", False)
    one.close()
    found = verify_cycle(one.folder, [Anchors(gitops)])
    assert found.fault == f"{CYCLE}: the journal is closed, but no anchor of it is in git"
    (tmp_path / OTHER).mkdir()
    assert verify_cycle(tmp_path / OTHER, [Anchors(gitops)]).state == "empty"


# The records, a thousand times over: what an attacker changes, and the chain or git sees.


def flip(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    at = int(chance.integers(len(lines)))
    line = bytearray(lines[at])
    line[int(chance.integers(len(line)))] ^= int(chance.integers(1, 256))
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def delete(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    at = int(chance.integers(len(lines)))
    return [*lines[:at], *lines[at + 1 :]]


def duplicate(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    at, to = int(chance.integers(len(lines))), int(chance.integers(len(lines) + 1))
    return [*lines[:to], lines[at], *lines[to:]]


def reorder(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    first, second = chance.choice(len(lines), 2, replace=False)
    lines = list(lines)
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def cut_records(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    return lines[: int(chance.integers(len(lines)))]


def cut_bytes(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    whole = b"".join(lines)
    return whole[: int(chance.integers(len(whole)))].splitlines(keepends=True)


def forge(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    """Change, drop or add a record and hash everything after it anew: the chain is sound."""
    records = [json.loads(line) for line in lines]
    at, how = int(chance.integers(len(records))), int(chance.integers(3))
    if how == 0:
        records[at]["note"] = "x"
    elif how == 1:
        del records[at]
    else:
        records.insert(at, {"type": "note", "at": 1.0})
    return chained(records)


def forge_short(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    """The end cut off, and another summary put on."""
    records = [json.loads(line) for line in lines]
    kept = records[: int(chance.integers(len(records) - 1))]
    return chained([*kept, records[-1]])


def append(lines: list[bytes], chance: np.random.Generator) -> list[bytes]:
    """A record that fits, after the end."""
    last = json.loads(lines[-1])
    record = {"type": "note", "at": 1.0, "sequence": last["sequence"] + 1, "previous": last["hash"]}
    return [*lines, canonical_json({**record, "hash": digest_of(record)}) + b"\n"]


def chained(records: Sequence[dict[str, object]]) -> list[bytes]:
    made, previous = [], GENESIS
    for sequence, record in enumerate(records, start=1):
        body = {k: v for k, v in record.items() if k != "hash"}
        body |= {"sequence": sequence, "previous": previous}
        previous = digest_of(body)
        made.append(canonical_json({**body, "hash": previous}) + b"\n")
    return made


WAYS: tuple[Tamper, ...] = (
    flip, delete, duplicate, reorder, cut_records, cut_bytes, forge, forge_short, append,
)  # fmt: skip


def seen(lines: list[bytes], anchors: Anchors) -> bool:
    """Whether ``verify_cycle`` would see it: the same two checks, without the disk."""
    chain, broken = read_lines(lines)
    if broken:
        return True
    try:
        return anchors.check(CYCLE, chain.records) != "anchored"
    except IntegrityError:
        return True


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_change_to_the_records_is_seen(sound: Place, way: Tamper) -> None:
    lines = lines_of(sound.artifacts / CYCLE)
    chance = np.random.default_rng(25)
    assert not seen(lines, sound.anchors[0])
    changed = 0
    while changed < 1000:
        made = way(lines, chance)
        if made != lines:
            changed += 1
            assert seen(made, sound.anchors[0]), changed


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_so_it_is_on_the_disk(place: Place, way: Tamper) -> None:
    path = place.artifacts / CYCLE / "audit.jsonl"
    lines = lines_of(path.parent)
    chance = np.random.default_rng(7)
    for _ in range(3):
        made = way(lines, chance)
        path.write_bytes(b"".join(made))
        assert place.verify().ok == (made == lines)
    assert place.verify(OTHER).ok


def test_the_end_cut_off_at_any_record_is_seen_by_git_alone(sound: Place) -> None:
    lines = lines_of(sound.artifacts / CYCLE)
    for kept in range(len(lines)):
        chain, broken = read_lines(lines[:kept])
        assert broken == ""
        with pytest.raises(IntegrityError):
            sound.anchors[0].check(CYCLE, chain.records)


# The files.


def test_every_file_that_a_record_promises_is_looked_at(place: Place) -> None:
    folder = place.artifacts / CYCLE
    promised = [
        p for p in folder.rglob("*")
        if p.is_file() and p.name != "audit.jsonl" and not p.name.startswith("policies-")
    ]  # fmt: skip
    assert len(promised) == 23
    for path in promised:
        name, data = str(path.relative_to(folder)), path.read_bytes()
        for change in (data + b" ", data[:-1], b"", None):
            path.unlink()
            if change is not None:
                path.write_bytes(change)
            found = place.verify()
            assert not found.ok and name in found.reason
            assert found.first_bad is not None
            assert name.encode() in lines_of(folder)[found.first_bad - 1]
            path.write_bytes(data)
        assert place.verify().ok


def test_files_cannot_be_exchanged_between_cycles(place: Place) -> None:
    folder, other = place.artifacts / CYCLE, place.artifacts / OTHER
    names = [str(p.relative_to(folder)) for p in (folder / "decisions").glob("[0-9]*")]
    differing = [n for n in names if (folder / n).read_bytes() != (other / n).read_bytes()]
    assert len(differing) >= 7
    for name in [*differing, "evaluation.json"]:
        mine, theirs = (folder / name).read_bytes(), (other / name).read_bytes()
        (folder / name).write_bytes(theirs)
        (other / name).write_bytes(mine)
        assert not place.verify().ok and not place.verify(OTHER).ok
        (folder / name).write_bytes(mine)
        (other / name).write_bytes(theirs)
    assert place.verify().ok and place.verify(OTHER).ok


def test_whole_cycles_cannot_be_exchanged(place: Place) -> None:
    (place.artifacts / CYCLE).rename(place.artifacts / "aside")
    (place.artifacts / OTHER).rename(place.artifacts / CYCLE)
    (place.artifacts / "aside").rename(place.artifacts / OTHER)
    for cycle_id, other in ((CYCLE, OTHER), (OTHER, CYCLE)):
        assert place.verify(cycle_id).fault == f"{cycle_id}: the journal is that of {other}"


def test_a_file_may_be_written_again_by_a_later_action(tmp_path: Path) -> None:
    gitops = MemoryGitOps()
    one = Recorded(tmp_path, gitops)
    one.act("evaluate", "evaluation.json")
    first = (one.folder / "evaluation.json").read_bytes()
    (one.folder / "evaluation.json").write_bytes(b"{}")
    assert not verify_cycle(one.folder, [Anchors(gitops)]).ok
    one.cycle_id = OTHER
    one.act("evaluate again", "evaluation.json")
    assert verify_cycle(one.folder, [Anchors(gitops)]).ok
    (one.folder / "evaluation.json").write_bytes(first)
    assert verify_cycle(one.folder, [Anchors(gitops)]).first_bad == 4


# What is gone altogether.


@pytest.mark.parametrize("how", ["journal", "folder", "everything"])
def test_a_lost_cycle_is_missed(place: Place, how: str) -> None:
    folder = place.artifacts / CYCLE
    if how == "journal":
        (folder / "audit.jsonl").unlink()
    else:
        shutil.rmtree(folder if how == "folder" else place.artifacts)
    found = {one.cycle_id: one for one in verify_all(place.artifacts, place.anchors)}
    assert found[CYCLE].reason == "the journal is gone, though git names its records"
    assert found[OTHER].ok == (how != "everything")


def test_a_repository_that_is_gone_is_no_good_news(place: Place) -> None:
    for anchors in ([], [Anchors(MemoryGitOps())]):
        found = verify_cycle(place.artifacts / CYCLE, anchors)
        assert found.reason == "the journal is closed, but no anchor of it is in git"


def test_each_run_may_have_its_own_repository(place: Place, tmp_path: Path) -> None:
    """The same name may be known to several; one of them anchors this very journal."""
    elsewhere = MemoryGitOps()
    recorded(tmp_path / "elsewhere", elsewhere, CYCLE, seed=5)
    several = [Anchors(elsewhere), *place.anchors]
    assert verify_cycle(place.artifacts / CYCLE, several).ok
    assert not verify_cycle(place.artifacts / CYCLE, several[:1]).ok
