"""The contour dev-mac turns the ring with mock signals; what its file says changes what happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from predator.adapters.notifier import slack
from predator.bootstrap.governed import Stores, stores_of
from predator.bootstrap.optimizer import Optimizer
from predator.bootstrap.rehearsal import found_rehearsal
from predator.config import Settings, load_settings
from predator.domain.errors import PredatorError
from predator.domain.governance import Notice
from predator.edge.cli.rehearse import rehearse
from predator.ports.progress import Silent

Edit = Callable[[dict[str, Any]], None]
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
