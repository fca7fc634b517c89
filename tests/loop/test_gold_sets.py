"""A Gold set is sealed: superseded, never edited, and refused when it is not whole."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from predator.adapters.object_store.folder import FolderObjectStore
from predator.domain.canonical import canonical_json
from predator.domain.documents import Query
from predator.domain.errors import InputError, IntegrityError
from predator.domain.gold_set import GoldSet
from predator.loop.gold.report import check_seal
from predator.loop.gold.sets import GoldSets, keep_documents, known_documents, open_gold
from predator.loop.labels import Labels
from tests.domain.test_gold_set import gold_set, row


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjectStore:
    return FolderObjectStore(tmp_path / "objects")


@pytest.fixture
def sets(objects: FolderObjectStore, tmp_path: Path) -> GoldSets:
    return GoldSets(objects, tmp_path / "gold-set.json")


def damage(folder: Path, digest: str, data: bytes | None) -> None:
    path = folder / "objects" / digest[:2] / digest[2:]
    path.chmod(0o644)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


def labels(gold: GoldSet, seal: str) -> Labels:
    queries = [Query(one.query, one.text) for one in gold.rows]
    return Labels((), (), queries, {one.query: one.grades for one in gold.rows}, gold, seal)


def test_a_new_version_names_the_one_it_supersedes(sets: GoldSets) -> None:
    first = sets.supersede(gold_set(), 10.0)
    second = sets.supersede(gold_set(row(0), row(2)), 20.0)
    assert (first.gold.version, first.gold.sealed_at, first.gold.supersedes) == (1, 10.0, "")
    assert (second.gold.version, second.gold.sealed_at) == (2, 20.0)
    assert second.gold.supersedes == first.digest
    assert sets.versions() == [second, first]


def test_what_is_sealed_stays_what_it_is(sets: GoldSets) -> None:
    """A story that is told again after a crash makes no new version."""
    first = sets.supersede(gold_set(), 10.0)
    second = sets.supersede(gold_set(row(0), row(2)), 20.0)
    assert sets.supersede(gold_set(), 30.0) == first
    assert sets.supersede(replace(second.gold), 40.0) == second
    assert len(sets.versions()) == 2


def test_an_empty_set_is_refused(sets: GoldSets) -> None:
    with pytest.raises(InputError, match="without a question"):
        sets.supersede(replace(gold_set(), rows=()), 1.0)
    assert sets.versions() == []


@pytest.mark.parametrize("change", ["byte", "cut", "other set", "gone"])
def test_a_changed_set_is_refused_with_cause_and_cure(
    sets: GoldSets, objects: FolderObjectStore, tmp_path: Path, change: str
) -> None:
    sealed = sets.supersede(gold_set(), 10.0)
    data = objects.get(sealed.digest)
    other = canonical_json(replace(sealed.gold, rows=(row(9),)).to_json())
    changed = {
        "byte": data.replace(b'"question 0"', b'"question 5"'),
        "cut": data[:50],
        "other set": other,
        "gone": None,
    }
    damage(tmp_path, sealed.digest, changed[change])
    for look in (
        lambda: open_gold(objects, sealed.digest),
        sets.versions,
        lambda: sets.supersede(gold_set(row(4)), 20.0),
        lambda: check_seal(objects, labels(sealed.gold, sealed.digest)),
    ):
        with pytest.raises(IntegrityError, match="seal of the Gold set is broken") as error:
            look()
        assert error.value.cure is not None and "--fresh" in error.value.cure


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"sealed_at": None},
        {"schema": "gold-set/2"},
        {"rows": [{**gold_set().to_json()["rows"][0], "more": 1}]},
        {"rows": "none"},
        {"extra": 1},
    ],
)
def test_an_object_that_is_no_sealed_set_is_refused(
    sets: GoldSets, objects: FolderObjectStore, change: dict[str, object]
) -> None:
    value = sets.supersede(gold_set(), 10.0).gold.to_json()
    digest = objects.put(canonical_json({**value, **change}))
    with pytest.raises(IntegrityError, match="no sealed Gold set"):
        open_gold(objects, digest)


def test_a_tainted_set_is_refused_even_with_a_sound_seal(
    sets: GoldSets, objects: FolderObjectStore
) -> None:
    value = sets.supersede(gold_set(), 10.0).gold.to_json()
    value["rows"][1]["lineage"]["source"] = "click"
    with pytest.raises(IntegrityError, match="'q1' cannot be Gold"):
        open_gold(objects, objects.put(canonical_json(value)))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"newest": 3}', b'{"newest": ""}', b"\xff"])
def test_a_head_that_names_no_version_is_refused(
    sets: GoldSets, tmp_path: Path, data: bytes
) -> None:
    sets.supersede(gold_set(), 10.0)
    (tmp_path / "gold-set.json").write_bytes(data)
    with pytest.raises(IntegrityError):
        sets.versions()


def test_versions_out_of_order_are_refused(
    sets: GoldSets, objects: FolderObjectStore, tmp_path: Path
) -> None:
    first = sets.supersede(gold_set(), 10.0)
    forged = replace(first.gold, version=5, supersedes=first.digest)
    digest = objects.put(canonical_json(forged.to_json()))
    (tmp_path / "gold-set.json").write_text(json.dumps({"newest": digest}))
    with pytest.raises(IntegrityError, match="out of order"):
        sets.versions()


def test_the_head_is_for_its_owner(sets: GoldSets, tmp_path: Path) -> None:
    sets.supersede(gold_set(), 10.0)
    assert stat.S_IMODE((tmp_path / "gold-set.json").stat().st_mode) == 0o600


def test_labels_that_differ_from_their_seal_are_not_evaluated_on(
    sets: GoldSets, objects: FolderObjectStore
) -> None:
    sealed = sets.supersede(gold_set(), 10.0)
    sound = labels(sealed.gold, sealed.digest)
    check_seal(objects, sound)
    check_seal(objects, Labels((), (), sound.gold, sound.judgments))
    for bad in (
        replace(sound, seal=""),
        replace(sound, gold=[*sound.gold[:-1], Query("q1", "an easier question")]),
        replace(sound, gold=sound.gold[:1]),
        replace(sound, judgments={**sound.judgments, "q0": {"d0": 1, "d7": 1}}),
    ):
        with pytest.raises(IntegrityError, match="sealed"):
            check_seal(objects, bad)


def test_what_the_judges_could_see_is_kept(sets: GoldSets, objects: FolderObjectStore) -> None:
    seen = keep_documents(objects, ["d2", "d1", "d1"])
    sealed = sets.supersede(replace(gold_set(), documents=seen), 10.0)
    assert known_documents(objects, sealed.gold) == {"d1", "d2"}
    with pytest.raises(IntegrityError):
        known_documents(objects, gold_set())
