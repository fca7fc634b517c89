"""What every tracking store does, whichever it is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from predator.adapters.tracking.names import RunSummary
from predator.domain.errors import InputError
from predator.ports.tracking import Tracking

CYCLE = "si_2025_12_07_001"


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run as a reader of the store finds it."""

    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifacts: Mapping[str, bytes]
    datasets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SeenModel:
    """A registered version as a reader of the store finds it."""

    run_id: str
    files: Mapping[str, bytes]
    tags: Mapping[str, str]


class ListedTracking(Tracking, Protocol):
    """A tracking store that also lists its cycles."""

    def cycles(self, limit: int = 100) -> Sequence[RunSummary]: ...


class TrackingContract(ABC):
    """Subclasses give the ``tracking`` fixture and say how the store is read back."""

    @abstractmethod
    def run(self, tracking: ListedTracking, run_id: str) -> SeenRun: ...

    @abstractmethod
    def model(self, tracking: ListedTracking, reference: str) -> SeenModel: ...

    @abstractmethod
    def aliased(self, tracking: ListedTracking, name: str, alias: str) -> str: ...

    def test_one_cycle_is_one_run_tagged_with_its_id(self, tracking: ListedTracking) -> None:
        run_id = tracking.start(CYCLE, {"seed": "7"})
        assert tracking.start(CYCLE, {"seed": "8", "contour": "local"}) == run_id
        seen = self.run(tracking, run_id)
        assert seen.tags["si_cycle_id"] == CYCLE
        assert seen.params == {"seed": "7", "contour": "local"}
        assert seen.status == "RUNNING"
        assert tracking.start("si_2025_12_07_002", {}) != run_id

    @pytest.mark.parametrize("cycle_id", ["", "si_2025_13_01_001", f"{CYCLE}\n", "x' OR '1'='1"])
    def test_a_malformed_cycle_id_is_refused(self, tracking: ListedTracking, cycle_id: str) -> None:
        with pytest.raises(InputError, match="is not a cycle id"):
            tracking.start(cycle_id, {})

    def test_every_action_is_a_searchable_tag_and_a_line(self, tracking: ListedTracking) -> None:
        run_id = tracking.start(CYCLE, {})
        tracking.action(
            run_id, 3, {"type": "train_model", "status": "completed", "день": "1\u2028"}
        )
        tracking.action(run_id, 1, {"type": "diagnostic", "status": "completed"})
        tracking.action(run_id, 3, {"type": "train_ranker", "status": "failed"})
        tracking.action(run_id, 4, {"type": "ab_test", "status": "", "note": "a\u2028b\nc"})
        tracking.action(run_id, 5, {"type": "deploy", "status": "completed"})
        seen = self.run(tracking, run_id)
        assert {k: v for k, v in seen.tags.items() if k.startswith("action.")} == {
            "action.001.diagnostic": "completed",
            "action.003.train_ranker": "failed",
            "action.004.ab_test": "",
            "action.005.deploy": "completed",
        }
        lines = seen.artifacts["actions.jsonl"].decode().strip("\n").split("\n")
        trail = [json.loads(line) for line in lines]
        assert [entry["sequence"] for entry in trail] == [1, 3, 4, 5]
        assert trail[2]["note"] == "a\u2028b\nc"

    @pytest.mark.parametrize("sequence, action", [(0, {"type": "x"}), (1, {}), (1, {"type": 3})])
    def test_an_action_without_number_or_type_is_refused(
        self, tracking: ListedTracking, sequence: int, action: dict[str, object]
    ) -> None:
        with pytest.raises(ValueError, match="needs a sequence"):
            tracking.action(tracking.start(CYCLE, {}), sequence, action)

    def test_the_newest_value_of_a_metric_counts(self, tracking: ListedTracking) -> None:
        run_id = tracking.start(CYCLE, {})
        tracking.metrics(run_id, {"ndcg_at_10": 0.9, "recall_at_20": 0.8})
        tracking.metrics(run_id, {"ndcg_at_10": 0.7})
        assert self.run(tracking, run_id).metrics == {"ndcg_at_10": 0.7, "recall_at_20": 0.8}

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_a_metric_that_is_no_number_stores_nothing(
        self, tracking: ListedTracking, bad: float
    ) -> None:
        run_id = tracking.start(CYCLE, {})
        with pytest.raises(ValueError, match="'p95_ms' is not a finite number"):
            tracking.metrics(run_id, {"ndcg_at_10": 0.7, "p95_ms": bad})
        assert self.run(tracking, run_id).metrics == {}

    def test_a_file_is_kept_byte_for_byte(self, tracking: ListedTracking, tmp_path: Path) -> None:
        run_id = tracking.start(CYCLE, {})
        report = tmp_path / "звіт 100%.json"
        report.write_bytes(b"\x00\xff first")
        tracking.artifact(run_id, report)
        report.write_bytes(b"\x00\xff second")
        tracking.artifact(run_id, report, "metrics/dev")
        tracking.artifact(run_id, report, "metrics/dev")
        assert self.run(tracking, run_id).artifacts == {
            "звіт 100%.json": b"\x00\xff first",
            "metrics/dev/звіт 100%.json": b"\x00\xff second",
        }

    @pytest.mark.parametrize("folder", ["..", "a/../../b", "/etc", "a//b", "a\nb", "a\\..\\b"])
    def test_a_file_stays_inside_its_run(
        self, tracking: ListedTracking, tmp_path: Path, folder: str
    ) -> None:
        run_id = tracking.start(CYCLE, {})
        kept = tmp_path / "kept.txt"
        kept.write_text("x")
        with pytest.raises(InputError, match="does not lie inside the run"):
            tracking.artifact(run_id, kept, folder)
        assert self.run(tracking, run_id).artifacts == {}

    def test_a_missing_file_is_named(self, tracking: ListedTracking, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no file .*gone\.txt"):
            tracking.artifact(tracking.start(CYCLE, {}), tmp_path / "gone.txt")

    def test_the_run_says_what_data_it_learnt_from(self, tracking: ListedTracking) -> None:
        run_id = tracking.start(CYCLE, {})
        digest = "ab" * 32
        for _ in range(2):
            tracking.dataset(run_id, "augmented", digest, "datasets/x.csv", 120)
        seen = self.run(tracking, run_id)
        assert seen.datasets == {"augmented": 120}
        assert seen.tags["dataset.augmented"] == digest

    def test_registering_the_same_bytes_again_makes_no_version(
        self, tracking: ListedTracking, tmp_path: Path
    ) -> None:
        run_id = tracking.start(CYCLE, {})
        model = tmp_path / "ranker.txt"
        model.write_bytes(b"tree one")
        first = tracking.register(run_id, "ranker", model, {"kind": "lambdamart"})
        assert first == "models:/ranker/1"
        assert tracking.register(run_id, "ranker", model, {}) == first
        seen = self.model(tracking, first)
        assert (seen.run_id, seen.files) == (run_id, {"ranker.txt": b"tree one"})
        assert seen.tags["kind"] == "lambdamart"
        assert seen.tags["si_cycle_id"] == CYCLE

        model.write_bytes(b"tree two")
        assert tracking.register(run_id, "ranker", model, {}) == "models:/ranker/2"
        other = tracking.start("si_2025_12_08_001", {})
        assert tracking.register(other, "ranker", model, {}) == "models:/ranker/3"
        assert tracking.register(run_id, "encoder", model, {}) == "models:/encoder/1"
        assert self.model(tracking, first).files == {"ranker.txt": b"tree one"}

    def test_a_folder_is_registered_whole(self, tracking: ListedTracking, tmp_path: Path) -> None:
        run_id = tracking.start(CYCLE, {})
        folder = tmp_path / "bundle"
        (folder / "deep").mkdir(parents=True)
        (folder / "a.txt").write_bytes(b"a")
        (folder / "deep" / "b.txt").write_bytes(b"b")
        reference = tracking.register(run_id, "bundle", folder, {})
        assert self.model(tracking, reference).files == {"a.txt": b"a", "deep/b.txt": b"b"}

    def test_a_model_that_is_absent_empty_or_linked_is_refused(
        self, tracking: ListedTracking, tmp_path: Path
    ) -> None:
        run_id = tracking.start(CYCLE, {})
        (tmp_path / "empty").mkdir()
        (tmp_path / "linked").mkdir()
        (tmp_path / "linked" / "secret").symlink_to("/etc/hostname")
        for name in ("gone", "empty", "linked"):
            with pytest.raises(InputError, match=name):
                tracking.register(run_id, "ranker", tmp_path / name, {})

    def test_an_alias_moves_from_version_to_version(
        self, tracking: ListedTracking, tmp_path: Path
    ) -> None:
        run_id = tracking.start(CYCLE, {})
        model = tmp_path / "m"
        model.write_bytes(b"1")
        first = tracking.register(run_id, "ranker", model, {})
        model.write_bytes(b"2")
        second = tracking.register(run_id, "ranker", model, {})
        tracking.alias(first, "champion")
        tracking.alias(first, "gold")
        tracking.alias(second, "champion")
        assert self.aliased(tracking, "ranker", "champion") == second
        assert self.aliased(tracking, "ranker", "gold") == first

    @pytest.mark.parametrize("alias", ["", "latest", "v3", "a b", "x\n"])
    def test_an_alias_the_registry_cannot_hold_is_refused(
        self, tracking: ListedTracking, tmp_path: Path, alias: str
    ) -> None:
        (tmp_path / "m").write_bytes(b"1")
        reference = tracking.register(tracking.start(CYCLE, {}), "ranker", tmp_path / "m", {})
        with pytest.raises(InputError, match="cannot be an alias"):
            tracking.alias(reference, alias)

    def test_a_version_can_be_tagged_later(self, tracking: ListedTracking, tmp_path: Path) -> None:
        run_id = tracking.start(CYCLE, {})
        (tmp_path / "m").write_bytes(b"1")
        first = tracking.register(run_id, "ranker", tmp_path / "m", {"ndcg": "0.7"})
        (tmp_path / "m").write_bytes(b"2")
        second = tracking.register(run_id, "ranker", tmp_path / "m", {})
        for value in ("v2.0", "v3.0", "v3.0"):
            tracking.tag(first, "gold", value)
        tags = self.model(tracking, first).tags
        assert (tags["gold"], tags["ndcg"], tags["si_cycle_id"]) == ("v3.0", "0.7", CYCLE)
        assert "gold" not in self.model(tracking, second).tags

    def test_a_tag_can_hold_any_text_but_not_another_identity(
        self, tracking: ListedTracking, tmp_path: Path
    ) -> None:
        (tmp_path / "m").write_bytes(b"1")
        reference = tracking.register(tracking.start(CYCLE, {}), "r", tmp_path / "m", {})
        before = dict(self.model(tracking, reference).tags)
        for key in ("source_sha256", "si_cycle_id"):
            with pytest.raises(InputError, match="cannot be changed"):
                tracking.tag(reference, key, "forged")
        assert self.model(tracking, reference).tags == before
        tracking.tag(reference, "../a'b\n" * 99, "\ud800\0" * 9999)
        assert before.items() <= self.model(tracking, reference).tags.items()
        for unknown in ("models:/r/9", "models:/other/1"):
            with pytest.raises(InputError, match="knows no"):
                tracking.tag(unknown, "gold", "v2.0")
        with pytest.raises(InputError, match="does not name a model version"):
            tracking.tag("models:/r/1/..", "gold", "v2.0")

    @pytest.mark.parametrize("reference", ["ranker", "models:/a/b/1", "models:/r/1'--", ""])
    def test_a_malformed_reference_is_refused(
        self, tracking: ListedTracking, reference: str
    ) -> None:
        with pytest.raises(InputError, match="does not name a model version"):
            tracking.alias(reference, "gold")

    def test_an_unknown_run_or_version_is_named(
        self, tracking: ListedTracking, tmp_path: Path
    ) -> None:
        (tmp_path / "m").write_bytes(b"1")
        for unknown in ("0" * 32, "../../etc", "a'b"):
            for call in (
                lambda run: tracking.metrics(run, {"x": 1.0}),
                lambda run: tracking.action(run, 1, {"type": "x"}),
                lambda run: tracking.artifact(run, tmp_path / "m"),
                lambda run: tracking.dataset(run, "d", "0", "s", 1),
                lambda run: tracking.register(run, "ranker", tmp_path / "m", {}),
                lambda run: tracking.finish(run, "success"),
            ):
                with pytest.raises(InputError, match="knows no"):
                    call(unknown)
        with pytest.raises(InputError, match="knows no 'models:/ranker/9'"):
            tracking.alias("models:/ranker/9", "gold")

    @pytest.mark.parametrize("outcome", ["success", "rolled_back", ""])
    def test_only_success_ends_a_run_finished(self, tracking: ListedTracking, outcome: str) -> None:
        run_id = tracking.start(CYCLE, {})
        tracking.finish(run_id, "error")
        tracking.finish(run_id, outcome)
        seen = self.run(tracking, run_id)
        assert seen.status == ("FINISHED" if outcome == "success" else "FAILED")
        assert seen.tags["outcome"] == outcome

    def test_hostile_names_are_kept_apart_and_lose_nothing_else(
        self, tracking: ListedTracking, tmp_path: Path
    ) -> None:
        run_id = tracking.start(CYCLE, {"k" * 999: "v" * 9999, "a\nb": "1", "a\tb": "2", "": "3"})
        hostile = [
            "../../x",
            "/abs",
            "",
            ".",
            "a//b",
            "x" * 999,
            "a\nb",
            "a\0b",
            "\ud800",
            "mlflow.user",
        ]
        tracking.metrics(run_id, {name: float(i) for i, name in enumerate(hostile)})
        tracking.action(run_id, 1, {"type": "t\n\0" * 200, "status": "\ud800\0" * 9000})
        tracking.dataset(run_id, "../d\n" * 200, "\0" * 99, "s\ud800" * 9000, 1)
        model = tmp_path / "m"
        model.write_bytes(b"1")
        tags = {"mlflow.user": "root", "a'b\n": "\0" * 9999, "si_cycle_id": "si_1999_01_01_001"}
        reference = tracking.register(run_id, "../../r/a:n'k\ner" * 50, model, tags)
        tracking.alias(reference, "challenger")
        tracking.finish(run_id, "\ud800" * 9000)
        seen = self.run(tracking, run_id)
        assert len(seen.params) == 4
        assert sorted(seen.metrics.values()) == [float(i) for i in range(len(hostile))]
        assert max(len(key) for key in (*seen.params, *seen.metrics, *seen.tags)) <= 250
        assert self.model(tracking, reference).tags["si_cycle_id"] == CYCLE
        assert "mlflow.user" not in self.model(tracking, reference).tags

    def test_cycles_are_listed_newest_first(self, tracking: ListedTracking) -> None:
        ids = [f"si_2025_12_07_{number:03d}" for number in (1, 2, 3)]
        runs = [tracking.start(cycle_id, {}) for cycle_id in ids]
        tracking.finish(runs[1], "success")
        listed = tracking.cycles(limit=10)
        assert [entry.cycle_id for entry in listed] == ids[::-1]
        assert (listed[1].status, listed[1].outcome) == ("FINISHED", "success")
        assert (listed[0].status, listed[0].outcome) == ("RUNNING", "")
        assert [entry.cycle_id for entry in tracking.cycles(limit=1)] == ids[2:]
