from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.invariants.light_ring import LightWorld, fast_folder, read_once


@pytest.fixture(scope="package")
def folders() -> Iterator[Callable[[], Path]]:
    """Fresh folders where syncing is cheap; each is gone once the next one is asked for."""
    with pytest.MonkeyPatch.context() as monkeypatch, fast_folder() as root:
        read_once(monkeypatch)
        numbers = itertools.count()

        def fresh() -> Path:
            number = next(numbers)
            shutil.rmtree(root / str(number - 1), ignore_errors=True)
            return root / str(number)

        yield fresh


@pytest.fixture
def world_with(folders: Callable[[], Path]) -> Callable[..., LightWorld]:
    """A ring with some settings changed."""
    return lambda **changes: LightWorld(folders(), **changes)


@pytest.fixture
def world(world_with: Callable[..., LightWorld]) -> LightWorld:
    return world_with()
