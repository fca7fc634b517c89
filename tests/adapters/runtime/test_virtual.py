"""The virtual runtime keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from predator.adapters.runtime.virtual import Journal, VirtualClock
from predator.adapters.runtime.virtual_flows import VirtualFlows
from predator.ports.runtime import Flow, Json
from tests.contracts.runtime import Bench, PowerCut, RuntimeContract, cut


class VirtualBench:
    def __init__(self, flows: Mapping[str, Flow], journal: Journal, clock: VirtualClock) -> None:
        self.flows = VirtualFlows(flows, journal=journal, clock=clock)

    def run(self, flow: str, flow_id: str, arguments: Json = None) -> Json:
        return self.flows.run(flow, flow_id, arguments)

    def later(self, seconds: float, happening: Callable[[], object]) -> None:
        self.flows.clock.plan(self.flows.clock.now() + seconds, happening)


class TestVirtual(RuntimeContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.file = tmp_path / "journal.json"
        self.clock = VirtualClock()

    @contextmanager
    def bench(self, flows: Mapping[str, Flow]) -> Iterator[Bench]:
        yield VirtualBench(flows, Journal(self.file), self.clock)

    def put_aside(self, flow: Flow, flow_ids: Sequence[str], seconds: float) -> None:
        flows = VirtualFlows({"demo": flow}, journal=Journal(self.file), clock=self.clock)
        for flow_id in flow_ids:
            flows.enqueue("demo", flow_id, None)
        self.clock.plan(self.clock.now() + seconds, cut)
        with pytest.raises(PowerCut):
            flows.run_all()
