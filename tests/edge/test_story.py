"""A run whose watch could not judge the release ends there, and says what a person can do."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from predator.adapters.runtime.virtual import VirtualRuntime
from predator.config import load_settings
from predator.domain.verdicts import Verdict
from predator.edge.cli import story as told
from predator.edge.cli.progress import ConsoleProgress
from predator.edge.cli.story import story
from predator.edge.cli.summary import print_summary
from predator.loop.cycle import Outcome
from predator.loop.stations import Situation
from predator.search.desired import LiveRelease

BEFORE, AFTER = LiveRelease("v1.0", "a" * 64, ""), LiveRelease("v2.0", "b" * 64, "si_1")
OUTCOME = Outcome(
    "si_1", "scheduled", "ranking_loss", Verdict.PASS, "a gain is shown", True, BEFORE, AFTER,
    {}, None, [{"decision": "HOLD"}], False, [], 0.0, "artifacts/si_1",
)  # fmt: skip


class TestHeld:
    @pytest.fixture
    def stage(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        situation = Situation.unobserved(1.0).to_json()
        for name, value in {
            "_feed": 1, "_baseline": situation, "_monitor": situation,
            "_record": SimpleNamespace(cycle_id="si_1"), "RealStations": None,
        }.items():  # fmt: skip
            monkeypatch.setattr(told, name, lambda *_, found=value, **__: found)
        monkeypatch.setattr(told, "turn", lambda *_: OUTCOME)
        return SimpleNamespace(
            world=SimpleNamespace(waves=[[], []]),
            ring=None,
            progress=ConsoleProgress(Console(file=io.StringIO())),
            situate=lambda _: None, sealed=lambda _: None, warm_up=lambda: None,
            sources=None, gates={},
        )  # fmt: skip

    @pytest.mark.parametrize("cycles", [1, 3])
    def test_neither_a_drill_nor_another_cycle_touches_what_a_person_has_to_decide(
        self, stage: Any, cycles: int
    ) -> None:
        found = story(stage, VirtualRuntime("story"), cycles)
        assert found["waits"] == "v2.0" and found["drill"] is None
        assert len(found["outcomes"]) == 1

    def test_the_summary_names_both_ways_out(self) -> None:
        written = io.StringIO()
        result: Mapping[str, Any] = {
            "drill": None, "waits": "v2.0", "traffic": {}, "failed_requests": 0,
            "duration_s": 3.0, "gitops": {"repository": "gitops.git"},
        }  # fmt: skip
        print_summary(dict(result), [OUTCOME], Console(file=written, width=200), load_settings())
        text = written.getvalue()
        assert "the watch could not judge v2.0" in text
        assert "cycle keep si_1 --reason" in text and "rollback --to v1.0 --reason" in text
