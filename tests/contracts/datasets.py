"""What every dataset store does, whichever it is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from predator.domain.errors import InputError, IntegrityError, PredatorError
from predator.ports.datasets import Datasets

CYCLE = "si_2025_12_07_001"
NEXT = "si_2025_12_07_002"
INPUTS = {
    "documents.jsonl": b'{"id": 1}\n',
    "\u0437\u0430\u043f\u0438\u0442\u0438 $(x).txt": b"q\n",
}
_HOSTILE = ["dvc.yaml", "x.dvc", "\u00e4" * 200, "\ud800"]


def stage(inputs: Mapping[str, bytes]) -> bytes:
    """What the stage under test computes; an input named ``fail.txt`` holds why it fails."""
    if "fail.txt" in inputs:
        raise ValueError(inputs["fail.txt"].decode())
    return b"id,text\n" + b"".join(inputs[name] for name in sorted(inputs))


class DatasetsContract(ABC):
    """Subclasses give the ``datasets`` fixture and count the stages that ran."""

    @abstractmethod
    def runs(self, datasets: Datasets) -> int: ...

    def test_a_built_dataset_is_named_by_its_bytes_and_locked(self, datasets: Datasets) -> None:
        version = datasets.build(CYCLE, INPUTS)
        content = version.path.read_bytes()
        assert content == stage(INPUTS)
        assert version.path.name == "augmented_dataset.csv"
        assert version.path.is_absolute()
        assert version.hash == hashlib.sha256(content).hexdigest()
        assert len(version.revision) == 40
        assert CYCLE in version.lock_file.read_text("utf-8")
        assert datasets.fetch(version) == content

    def test_the_same_inputs_build_once_and_others_again(self, datasets: Datasets) -> None:
        first = datasets.build(CYCLE, INPUTS)
        assert datasets.build(CYCLE, dict(reversed(INPUTS.items()))) == first
        assert self.runs(datasets) == 1
        second = datasets.build(CYCLE, {"other.txt": b"o\n"})
        assert self.runs(datasets) == 2
        assert second.path == first.path
        assert second.hash != first.hash
        assert second.revision != first.revision
        # Both can still be had, whichever lies in the work copy.
        assert datasets.fetch(first) == stage(INPUTS)
        assert datasets.fetch(second) == b"id,text\no\n"
        second.path.unlink()
        assert datasets.fetch(first) == stage(INPUTS)
        assert datasets.fetch(second) == b"id,text\no\n"
        assert datasets.build(CYCLE, INPUTS) == first
        assert self.runs(datasets) == 2

    def test_another_cycle_keeps_what_the_first_locked(self, datasets: Datasets) -> None:
        first = datasets.build(CYCLE, INPUTS)
        second = datasets.build(NEXT, INPUTS)
        assert first.path != second.path
        assert first.hash == second.hash
        assert f"dataset-{CYCLE}" in first.lock_file.read_text("utf-8")
        assert f"dataset-{NEXT}" in second.lock_file.read_text("utf-8")
        assert datasets.fetch(first) == stage(INPUTS)

    def test_a_lost_work_copy_is_restored(self, datasets: Datasets) -> None:
        version = datasets.build(CYCLE, INPUTS)
        version.path.unlink()
        assert datasets.fetch(version) == stage(INPUTS)
        assert version.path.read_bytes() == stage(INPUTS)

    def test_a_changed_work_copy_is_refused_until_it_is_deleted(self, datasets: Datasets) -> None:
        version = datasets.build(CYCLE, INPUTS)
        version.path.write_bytes(b"id,text\npoisoned\n")
        with pytest.raises(IntegrityError, match=r"changed after it was made.*Delete the file"):
            datasets.fetch(version)
        version.path.unlink()
        assert datasets.fetch(version) == stage(INPUTS)

    def test_a_failing_stage_is_told_in_one_line_and_keeps_nothing(
        self, datasets: Datasets
    ) -> None:
        kept = datasets.build(CYCLE, INPUTS)
        locked = kept.lock_file.read_text("utf-8")
        for cycle_id in (NEXT, CYCLE):
            with pytest.raises(PredatorError, match=r"stage failed: .*no such column"):
                datasets.build(cycle_id, {"fail.txt": b"no such column"})
            assert kept.lock_file.read_text("utf-8") == locked
            assert datasets.fetch(kept) == stage(INPUTS)
        assert not (kept.path.parents[1] / NEXT).exists()
        assert datasets.build(NEXT, INPUTS).hash == kept.hash

    @pytest.mark.parametrize("cycle_id", ["", "../../x", "si_2025_02_30_001", f"{CYCLE}\n"])
    def test_a_malformed_cycle_id_is_refused(self, datasets: Datasets, cycle_id: str) -> None:
        with pytest.raises(InputError, match="is not a cycle id"):
            datasets.build(cycle_id, INPUTS)

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "a\nb", "a\0b", ".gitignore", *_HOSTILE],
    )
    def test_a_name_that_is_no_plain_file_is_refused(self, datasets: Datasets, name: str) -> None:
        with pytest.raises(InputError, match="cannot be an input's file name"):
            datasets.build(CYCLE, {"good.txt": b"", name: b""})
        assert self.runs(datasets) == 0

    def test_no_inputs_are_refused(self, datasets: Datasets) -> None:
        with pytest.raises(InputError, match="at least one input"):
            datasets.build(CYCLE, {})

    def test_a_version_from_elsewhere_is_refused(self, datasets: Datasets) -> None:
        version = datasets.build(CYCLE, INPUTS)
        with pytest.raises(InputError, match="is not a dataset of"):
            datasets.fetch(replace(version, path=Path("/etc/hostname")))
