"""The contour dev-mac turns the ring with mock signals; what its file says changes what happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from predator.adapters.notifier import slack
from predator.adapters.runtime.virtual import VirtualRuntime
from predator.bootstrap.governed import Stores, stores_of
from predator.bootstrap.home import Home
from predator.bootstrap.optimizer import Optimizer
from predator.bootstrap.rehearsal import found_rehearsal
from predator.config import Settings, load_settings
from predator.domain.errors import PredatorError
from predator.domain.governance import Notice
from predator.edge.cli.rehearse import rehearse
from predator.loop.replay import replay
from predator.ports.progress import Silent
from predator.simulation import simulated_stations

Edit = Callable[[dict[str, Any]], None]
_BEFORE_USERS = ("shadow", "start_screen", "screen", "end_screen", "start_experiment")
PACKAGED = Path("src/predator/contours/values-dev-mac.yaml")


@pytest.fixture
def settings_with(tmp_path: Path) -> Callable[[Edit], Settings]:
    """Settings of a contour whose file was edited."""

    def make(edit: Edit) -> Settings:
        yaml = YAML(typ="safe", pure=True)
        value = yaml.load(PACKAGED.read_text())
        value["settings"] |= {"experiment_min_s": 0.1, "watch_look_s": 0.05, "poll_s": 0.05}
        edit(value)
        path = tmp_path / "values.yaml"
        with path.open("w") as file:
            yaml.dump(value, file)
        return load_settings(
            {
                "contour": "dev-mac",
                "contour_file": str(path),
                "home": str(tmp_path / "home"),
                "artifacts": str(tmp_path / "artifacts"),
            }
        )

    return make


def turned(settings: Settings, tmp_path: Path, cycles: int = 1) -> list[dict[str, Any]]:
    rehearse(settings, cycles, tmp_path / "out.json")
    return list(json.loads((tmp_path / "out.json").read_text())["cycles"])


def nothing(_: dict[str, Any]) -> None:
    pass


def test_a_drill_that_a_worker_is_asked_for_is_refused_where_policy_knows_none(
    settings_with: Callable[[Edit], Settings],
) -> None:
    settings = settings_with(nothing)
    Home(settings).make()
    run, stores = found_rehearsal(settings), stores_of(settings)
    optimizer = Optimizer(settings, run, "", stores, Silent())
    trigger = {"type": "drill"}
    cycle_id = stores.cycles.open("drill", "dev-mac", trigger, 1_765_070_000.0)
    asked = {"cycle_id": cycle_id, "contour": "dev-mac", "trigger": trigger}
    with pytest.raises(PredatorError, match="no rule lets drill drill on dev-mac"):
        optimizer.flows()["drill"](VirtualRuntime(cycle_id), asked)
    entry = stores.cycles.get(cycle_id)
    assert entry is not None and entry.outcome == "cancelled"
    stores.database.close()


def test_mock_signals_turn_the_whole_ring_without_training(
    settings_with: Callable[[Edit], Settings], tmp_path: Path
) -> None:
    """mockSignals."""
    first, second = turned(settings_with(nothing), tmp_path, 2)
    assert (first["verdict"], first["trigger"]) == ("PASS", "mock_signal")
    assert first["release_after"]["version"] == "v2.0"
    assert second["release_before"] == first["release_after"]
    assert not (tmp_path / "home" / "jobs").exists()
    manifest = (tmp_path / "artifacts" / first["cycle_id"] / "dataset_manifest.yaml").read_text()
    assert "method: simulated" in manifest
    report = (tmp_path / "artifacts" / first["cycle_id"] / "diagnostic_report.json").read_text()
    assert json.loads(report)["current_value"] == 0.75, "mockMetrics"


def test_max_cycles_per_day_stops_the_next_one(
    settings_with: Callable[[Edit], Settings], tmp_path: Path
) -> None:
    def one(value: dict[str, Any]) -> None:
        value["selfImprovement"]["maxCyclesPerDay"] = 1

    with pytest.raises(PredatorError, match="cycles-limit"):
        rehearse(settings_with(one), 2, None)


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (("killSwitch",), True, "kill-switch"),
        (("features", "abTesting"), False, "ab-testing-off"),
    ],
)
def test_a_switch_in_the_file_stops_the_cycle(
    settings_with: Callable[[Edit], Settings], path: tuple[str, ...], value: bool, rule: str
) -> None:
    def switch(file: dict[str, Any]) -> None:
        block = file["selfImprovement"]
        for name in path[:-1]:
            block = block[name]
        block[path[-1]] = value

    with pytest.raises(PredatorError, match=rule):
        rehearse(settings_with(switch), 1, None)


@pytest.mark.parametrize(
    "edit",
    [
        lambda file: file["selfImprovement"].update(manualApprovalRequired=True),
        lambda file: file["selfImprovement"]["features"].update(autoPromote=False),
        lambda file: file["selfImprovement"].update(policy="staging"),
    ],
    ids=["manualApprovalRequired", "autoPromote", "policy"],
)
def test_a_promotion_waits_for_a_person_where_the_file_says_so(
    settings_with: Callable[[Edit], Settings], edit: Edit
) -> None:
    def short(file: dict[str, Any]) -> None:
        edit(file)
        file["settings"]["approval_expires_s"] = 1

    with pytest.raises(PredatorError, match="nobody answered in time"):
        rehearse(settings_with(short), 1, None)


def test_the_split_of_the_file_is_the_share_of_the_experiment(
    settings_with: Callable[[Edit], Settings], tmp_path: Path
) -> None:
    def half(file: dict[str, Any]) -> None:
        file["selfImprovement"]["features"]["abSplitRatio"] = 0.4

    [cycle] = turned(settings_with(half), tmp_path)
    assert cycle["experiment"]["plan"]["share"] == 0.4


def screened(file: dict[str, Any]) -> None:
    file["settings"] |= {"interleaving_share": 0.2, "shadow_queries": 50, "experiment_max_s": 1}


@pytest.mark.nightly
def test_a_candidate_is_replayed_and_screened_before_its_experiment_where_that_is_set(
    settings_with: Callable[[Edit], Settings], tmp_path: Path
) -> None:
    settings = settings_with(screened)
    [cycle] = turned(settings, tmp_path)
    assert cycle["verdict"] == "PASS"
    folder = tmp_path / "artifacts" / cycle["cycle_id"]
    shadow, screen = (
        json.loads((folder / f"{name}_results.json").read_text()) for name in ("shadow", "screen")
    )
    assert (shadow["verdict"], shadow["queries"]) == ("GO", 50)
    assert screen["verdict"] in ("GO", "UNDECIDED")
    lines = (folder / "audit.jsonl").read_text().splitlines()
    kinds = [json.loads(line).get("key", "") for line in lines]
    order = [kinds.index(f"{name}:action") for name in _BEFORE_USERS]
    assert order == sorted(order)
    assert replay(folder).ok


@pytest.mark.nightly
def test_a_candidate_that_users_like_less_in_drafted_lists_gets_no_experiment(
    settings_with: Callable[[Edit], Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disliked = partial(simulated_stations.Effects, online=-0.5)
    monkeypatch.setattr(simulated_stations, "Effects", disliked)
    settings = settings_with(screened)
    [cycle] = turned(settings, tmp_path)
    folder = tmp_path / "artifacts" / cycle["cycle_id"]
    assert json.loads((folder / "screen_results.json").read_text())["verdict"] == "NO_GO"
    found = json.loads((folder / "ab_test_results.json").read_text())
    assert (found["verdict"], found["passed_gate"]) == ("FAIL", False)
    assert "users prefer the live release" in found["result"]["reason"]
    assert cycle["release_after"] == cycle["release_before"]
    text = (folder / "audit.jsonl").read_text()
    assert '"start_experiment:action"' not in text and '"end_screen:action"' in text


class TestNews:
    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What reached the webhook."""
        sent: list[str] = []

        class Receiver:
            def __init__(self, url: str) -> None:
                assert url == "https://hooks.example.com/x"

            def __call__(self, notice: Notice) -> None:
                sent.append(notice.key)

        monkeypatch.setattr(slack, "SlackWebhook", Receiver)
        monkeypatch.setenv("HOOK", "https://hooks.example.com/x")
        return sent

    @pytest.fixture
    def stores(self, settings_with: Callable[[Edit], Settings]) -> Iterator[Callable[..., Stores]]:
        opened: list[Stores] = []

        def make(*, alert: bool, hook: str | None = "env:HOOK") -> Stores:
            def edit(file: dict[str, Any]) -> None:
                file["selfImprovement"]["monitoring"] = {"alertOnDegrade": alert}
                if hook is not None:
                    file["selfImprovement"]["monitoring"]["slackWebhook"] = hook

            opened.append(stores_of(settings_with(edit)))
            return opened[-1]

        yield make
        for one in opened:
            one.database.close()

    def tell(self, stores: Stores, *keys: str) -> None:
        for key in keys:
            stores.notifier.notify(Notice(key, "warning", "t", "x", "dev-mac"))

    def test_the_webhook_gets_what_happened(
        self, stores: Callable[..., Stores], told: list[str]
    ) -> None:
        """monitoring.slackWebhook."""
        self.tell(stores(alert=True), "c1:failed", "c1:rolled_back")
        assert told == ["c1:failed", "c1:rolled_back"]

    def test_losses_of_quality_can_be_silenced(
        self, stores: Callable[..., Stores], told: list[str]
    ) -> None:
        """monitoring.alertOnDegrade."""
        self.tell(stores(alert=False), "c1:failed", "c1:rolled_back")
        assert told == ["c1:failed"]

    def test_a_secret_that_is_not_there_holds_up_the_news_alone(
        self, stores: Callable[..., Stores], told: list[str]
    ) -> None:
        opened = stores(alert=True, hook="env:NOT_SET_ANYWHERE")
        self.tell(opened, "c1:failed")
        assert told == []
        assert opened.notifier.sent() == []

    def test_a_budget_that_is_nearly_spent_is_news_once_a_month(
        self, settings_with: Callable[[Edit], Settings]
    ) -> None:
        """kubecost.budgetAlert."""

        def fifty(file: dict[str, Any]) -> None:
            file["selfImprovement"]["kubecost"] = {"budgetAlert": 50}

        settings = settings_with(fifty)
        stores = stores_of(settings)
        optimizer = Optimizer(settings, found_rehearsal(settings), "", stores, Silent())
        now = 1_765_200_000.0
        stores.limits.charge("dev-mac", "a", "si_2025_12_08_001", now, 4.9)
        assert optimizer._watch_the_budget(now, "") == ""
        stores.limits.charge("dev-mac", "b", "si_2025_12_08_001", now, 0.2)
        assert optimizer._watch_the_budget(now, "") == "2025-12"
        assert [n.key for n in stores.notifier.sent()] == ["budget:dev-mac:2025-12"]
        stores.database.close()
