"""A training that is killed goes on from its last whole save, and from no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predator.learning.checkpoint import STATE, Checkpoint, Tensors

GROUPS: dict[str, Tensors] = {
    "weights": {"a": np.arange(6, dtype=np.float32).reshape(2, 3)},
    "moments": {"m a": np.ones(3, np.float32)},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


def test_what_is_saved_comes_back_bit_for_bit(folder: Path) -> None:
    Checkpoint(folder, "me").save({"step": 7}, GROUPS)
    saved = Checkpoint(folder, "me").load()
    assert saved is not None
    assert saved.state == {"step": 7}
    for group, tensors in GROUPS.items():
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(saved.groups[group][name], tensor)


def test_the_newest_save_counts_and_older_files_are_gone(folder: Path) -> None:
    first = Checkpoint(folder, "me")
    first.save({"step": 1}, GROUPS)
    again = Checkpoint(folder, "me")
    assert again.load() is not None
    again.save({"step": 2}, GROUPS)
    saved = Checkpoint(folder, "me").load()
    assert saved is not None
    assert saved.state == {"step": 2}
    assert len(list(folder.iterdir())) == 1 + len(GROUPS)


def test_another_training_does_not_go_on_from_it(folder: Path) -> None:
    Checkpoint(folder, "me").save({"step": 1}, GROUPS)
    assert Checkpoint(folder, "somebody else").load() is None
    assert Checkpoint(folder.with_name("none"), "me").load() is None


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "state"])
def test_what_is_not_whole_is_not_gone_on_from(folder: Path, damage: str) -> None:
    Checkpoint(folder, "me").save({"step": 1}, GROUPS)
    victim = next(folder.glob("weights-*"))
    data = victim.read_bytes()
    if damage == "cut":
        victim.write_bytes(data[:-5])
    elif damage == "flip":
        victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "gone":
        victim.unlink()
    else:
        (folder / STATE).write_text('{"identity": "me"')
    assert Checkpoint(folder, "me").load() is None


def test_a_save_that_was_cut_off_leaves_the_one_before(folder: Path) -> None:
    Checkpoint(folder, "me").save({"step": 1}, GROUPS)
    (folder / "weights-2.safetensors").write_bytes(b"half of it")
    (folder / f"{STATE}.new").write_text("{")
    saved = Checkpoint(folder, "me").load()
    assert saved is not None
    assert saved.state == {"step": 1}


def test_nothing_is_left_after_the_end(folder: Path) -> None:
    checkpoint = Checkpoint(folder, "me")
    checkpoint.save({"step": 1}, GROUPS)
    checkpoint.drop()
    assert not folder.exists()
