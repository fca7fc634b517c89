from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from predator.loop import gather, profile
from tests.loop.small_ring import World, short


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rounds where more would only be more exact."""
    monkeypatch.setattr(profile, "ROUNDS", 30)
    monkeypatch.setattr(gather, "SHIFT_ROUNDS", 5)


@pytest.fixture
def world_with(tmp_path: Path, quick: None) -> Callable[..., World]:
    """A world with some settings changed."""
    return lambda **changes: World(tmp_path, short(tmp_path, **changes))


@pytest.fixture
def world(world_with: Callable[..., World]) -> World:
    return world_with()
