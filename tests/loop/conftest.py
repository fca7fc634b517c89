from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predator.loop import profile, stations
from predator.loop.train import Portfolio, train_portfolio
from tests.loop.small_ring import World, short

_PORTFOLIOS: dict[str, Portfolio] = {}


@pytest.fixture
def trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same world gives the same models: they are trained for the first test that asks."""
    train = train_portfolio

    def remembered(*given: Any, **more: Any) -> Portfolio:
        if "small ring" not in _PORTFOLIOS:
            _PORTFOLIOS["small ring"] = train(*given, **more)
        return _PORTFOLIOS["small ring"]

    monkeypatch.setattr(stations, "train_portfolio", remembered)
    monkeypatch.setattr(profile, "ROUNDS", 30)
    monkeypatch.setattr(stations, "SHIFT_ROUNDS", 5)


@pytest.fixture
def world_with(tmp_path: Path, trained_once: None) -> Callable[..., World]:
    """A world with some settings changed."""
    return lambda **changes: World(tmp_path, short(tmp_path, **changes))


@pytest.fixture
def world(world_with: Callable[..., World]) -> World:
    return world_with()
