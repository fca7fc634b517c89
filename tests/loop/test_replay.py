"""Every decision of a cycle follows again from what it recorded; one that does not is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.gitops.memory import MemoryGitOps
from predator.domain.canonical import canonical_json, digest_of, sha256_hex
from predator.domain.governance import Override
from predator.domain.verdicts import Decision
from predator.journal.audit import AuditJournal
from predator.loop import deciders
from predator.loop.anchor import Anchors
from predator.loop.deciders import DECIDERS, write_decision
from predator.loop.replay import Replayed, differences, replay
from predator.loop.verify import verify_cycle
from predator.policy.decision import decide
from predator.policy.gates import Gate
from predator.policy.overrides import apply_override
from tests.loop.recorded import CONTOUR, CYCLE, LOOP, OTHER, SWITCHES, Recorded, recorded
from tests.loop.small_ring import World

Json = Any


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cycle; for reading only."""
    return recorded(tmp_path_factory.mktemp("artifacts"), MemoryGitOps()).folder


def wrong(replayed: Replayed) -> list[tuple[str, str]]:
    return [(one.key, one.reason) for one in replayed.decisions if not one.ok]


def test_a_cycle_decides_the_same_again(cycle: Path) -> None:
    before = {p: p.read_bytes() for p in cycle.rglob("*") if p.is_file()}
    replayed = replay(cycle)
    assert replayed.ok and replayed.cycle_id == CYCLE
    # A promotion between contours is a flow of its own (test_promotion_flow).
    assert {one.decider for one in replayed.decisions} == set(DECIDERS) - {"promotion_between"}
    assert {one.reason for one in replayed.decisions} == {""}
    records = [json.loads(line) for line in (cycle / "audit.jsonl").read_bytes().splitlines()]
    decided = [one for one in records if one["type"] in ("decision", "policy")]
    assert len(replayed.decisions) == len(decided)
    assert {p: p.read_bytes() for p in cycle.rglob("*") if p.is_file()} == before
    assert replay(cycle) == replayed
    assert json.loads(json.dumps(replayed.to_json()))["ok"] is True


def test_a_whole_turn_of_the_ring_is_verified_and_decides_the_same_again(world: World) -> None:
    world.turn(world.live_through(), CYCLE)
    folder = world.folder / "artifacts" / CYCLE
    verified = verify_cycle(folder, [Anchors(world.gitops)])
    assert verified.ok and verified.anchored
    replayed = replay(folder)
    assert replayed.ok and {one.reason for one in replayed.decisions} == {""}
    stations = {"policy", "diagnose", "evaluate", "plan_experiment", "judge_experiment",
                "watch_baseline", "watch_plan", "watch_look"}  # fmt: skip
    assert stations <= {one.decider for one in replayed.decisions}


def test_so_it_does_in_another_process(cycle: Path) -> None:
    """Sets and hashes are in another order there."""
    code = (
        "import sys; from pathlib import Path; from predator.loop.replay import replay\n"
        "found = replay(Path(sys.argv[1]))\n"
        "print(found.ok, {one.reason for one in found.decisions})"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(cycle)],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "True {''}"


def test_an_open_cycle_is_replayed_as_far_as_it_came(tmp_path: Path) -> None:
    made = Recorded(tmp_path, MemoryGitOps())
    made.open()
    assert replay(made.folder).ok


def test_a_cycle_without_a_journal_is_not_taken_for_a_sound_one(tmp_path: Path) -> None:
    (tmp_path / CYCLE).mkdir()
    replayed = replay(tmp_path / CYCLE)
    assert not replayed.ok and replayed.reason == "there is no journal"


class Forged:
    """A journal written by somebody who knows how: every hash fits, one decision does not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = AuditJournal(folder / "audit.jsonl")

    def decision(
        self, key: str, decider: str, inputs: Json, change: Callable[[Json], None]
    ) -> None:
        output = json.loads(canonical_json(DECIDERS[decider](inputs)))
        change(output)
        data = canonical_json({"decider": decider, "inputs": inputs, "output": output}) + b"\n"
        name = f"decisions/001-{decider}.json"
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(data)
        record = {
            "type": "decision", "decider": decider, "file": name,
            "sha256": sha256_hex(data), "output_sha256": digest_of(output),
        }  # fmt: skip
        self.journal.append_once(key, record)

    def policy(self, **changes: Json) -> None:
        answer = decide(LOOP, "train", CONTOUR, SWITCHES)
        record = {
            "type": "policy", "action": "train", "effect": "train", "role": "loop",
            "principal": "system", "contour": CONTOUR, "context": dict(SWITCHES),
            "decision": str(answer.decision), "rule": answer.rule,
            "policy_digest": deciders.policy_digest(),
        }  # fmt: skip
        self.journal.append({k: v for k, v in {**record, **changes}.items() if v is not None})


@pytest.fixture
def forged(tmp_path: Path) -> Forged:
    return Forged(tmp_path / CYCLE)


def kept_inputs(cycle: Path, decider: str) -> Json:
    [path] = (cycle / "decisions").glob(f"*-{decider}.json")
    return json.loads(path.read_bytes())["inputs"]


class TestWhatDiffersIsNamed:
    def test_down_to_the_field(self, cycle: Path, forged: Forged) -> None:
        def better(output: Json) -> None:
            output["gain"]["delta_rel"] = 0.5

        forged.decision("evaluate-1", "evaluate", kept_inputs(cycle, "evaluate"), better)
        [(key, reason)] = wrong(replay(forged.folder))
        assert key == "evaluate-1"
        assert reason.startswith("gain.delta_rel: recorded 0.5, derived 0.1")

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda o: o.update(verdict="FAIL"), 'verdict: recorded "FAIL", derived "PASS"'),
            (lambda o: o["guardrails"][1].update(held=None), "guardrails.1.held: recorded null"),
            (lambda o: o.pop("reason"), 'reason: recorded "(absent)"'),
            (lambda o: o.update(approved=True), "approved: recorded true"),
            (lambda o: o["guardrails"].pop(), "guardrails: recorded ["),
        ],
    )
    def test_whatever_the_difference_is(
        self, cycle: Path, forged: Forged, change: Callable[[Json], None], reason: str
    ) -> None:
        forged.decision("evaluate-1", "evaluate", kept_inputs(cycle, "evaluate"), change)
        [(_, found)] = wrong(replay(forged.folder))
        assert found.startswith(reason)

    def test_the_last_bit_of_a_sum_is_rounding_and_said_to_be(
        self, cycle: Path, forged: Forged
    ) -> None:
        def nudge(output: Json) -> None:
            output["gain"]["delta_rel"] *= 1 + 1e-14

        forged.decision("evaluate-1", "evaluate", kept_inputs(cycle, "evaluate"), nudge)
        [found] = replay(forged.folder).decisions
        assert found.ok and "nine digits" in found.reason

    def test_a_decider_that_is_gone_and_inputs_that_say_nothing(self, forged: Forged) -> None:
        forged.journal.append_once(
            "x", {"type": "decision", "decider": "oracle", "file": "decisions/001-oracle.json"}
        )
        data = canonical_json({"decider": "gate", "inputs": {"gate": 7}, "output": {}})
        (forged.folder / "decisions").mkdir()
        (forged.folder / "decisions/002-gate.json").write_bytes(data)
        forged.journal.append_once(
            "y",
            {
                "type": "decision", "decider": "gate", "file": "decisions/002-gate.json",
                "sha256": sha256_hex(data), "output_sha256": digest_of({}),
            },
        )  # fmt: skip
        [(_, gone), (_, empty)] = wrong(replay(forged.folder))
        assert gone == "there is no such decider now"
        assert empty.startswith("cannot be derived: ")

    @pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "", "decisions", "a\0b"])
    def test_no_record_leads_out_of_the_folder(self, forged: Forged, name: str) -> None:
        (forged.folder / "decisions").mkdir(parents=True)
        forged.journal.append_once(
            "x", {"type": "decision", "decider": "gate", "file": name, "sha256": "0" * 64}
        )
        [(_, reason)] = wrong(replay(forged.folder))
        assert "no name of a file" in reason or "not a file" in reason

    @pytest.mark.parametrize("change", [{"output_sha256": "0" * 64}, {"decider": "watch_baseline"}])
    def test_a_record_and_its_file_must_speak_of_one_decision(
        self, forged: Forged, change: Mapping[str, str]
    ) -> None:
        gate = deciders.gate_inputs(Gate("ndcg_at_10", "min", 0.03, None), 0.5, 0.6)
        data = canonical_json({"decider": "gate", "inputs": gate, "output": DECIDERS["gate"](gate)})
        (forged.folder / "decisions").mkdir(parents=True)
        (forged.folder / "decisions/001-gate.json").write_bytes(data)
        record = {
            "type": "decision", "decider": "gate", "file": "decisions/001-gate.json",
            "sha256": sha256_hex(data), "output_sha256": digest_of(DECIDERS["gate"](gate)),
        }  # fmt: skip
        forged.journal.append_once("sound", record)
        forged.journal.append_once("other", {**record, **change})
        [(key, reason)] = wrong(replay(forged.folder))
        assert key == "other" and "another decision than its record says" in reason

    def test_differences_are_found_in_order(self) -> None:
        then, now = {"b": [1, {"c": 2.0}], "a": 1}, {"b": [1, {"c": 2}], "a": True}
        assert list(differences(then, now)) == [("a", 1, True), ("b.1.c", 2.0, 2)]
        assert list(differences(then, then)) == []
        assert list(differences("x", "y")) == [("the answer", "x", "y")]


class TestFiles:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Recorded:
        return recorded(tmp_path, MemoryGitOps())

    def test_an_edited_decision_is_refused_before_it_is_read(self, made: Recorded) -> None:
        path = next((made.folder / "decisions").glob("*-evaluate.json"))
        path.write_bytes(path.read_bytes().replace(b'"PASS"', b'"FAIL"'))
        [(key, reason)] = wrong(replay(made.folder))
        assert key == "evaluate-1" and "its hash differs" in reason

    def test_decisions_of_two_cycles_cannot_be_exchanged(
        self, made: Recorded, tmp_path: Path
    ) -> None:
        other = recorded(tmp_path, MemoryGitOps(), OTHER, seed=1)
        for path in (made.folder / "decisions").glob("*-watch_look.json"):
            theirs = other.folder / "decisions" / path.name
            mine, yours = path.read_bytes(), theirs.read_bytes()
            path.write_bytes(yours)
            theirs.write_bytes(mine)
        for folder in (made.folder, other.folder):
            assert [key for key, _ in wrong(replay(folder))] == ["look-1", "look-2"]

    def test_a_lost_decision_is_missed(self, made: Recorded) -> None:
        next((made.folder / "decisions").glob("*-diagnose.json")).unlink()
        [(key, reason)] = wrong(replay(made.folder))
        assert key == "diagnose" and "is gone" in reason

    def test_a_link_is_no_decision(self, made: Recorded, tmp_path: Path) -> None:
        path = next((made.folder / "decisions").glob("*-diagnose.json"))
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        assert [key for key, _ in wrong(replay(made.folder))] == ["diagnose"]

    def test_a_broken_chain_is_said_and_the_rest_replayed(self, made: Recorded) -> None:
        path = made.folder / "audit.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:10], lines[10].replace(b'"gate"', b'"gare"')]))
        replayed = replay(made.folder)
        assert not replayed.ok and wrong(replayed) == []
        assert replayed.reason == "record 11: the record does not match its hash"


class TestPolicy:
    def test_an_answer_that_policy_never_gave_is_found(self, forged: Forged) -> None:
        forged.policy()
        forged.policy(context={**SWITCHES, "kill_switch": True})
        forged.policy(decision="DENY")
        forged.policy(role="intruder")
        found = replay(forged.folder).decisions
        assert [one.ok for one in found] == [True, False, False, False]
        assert found[1].reason.startswith('decision: recorded "ALLOW", derived "DENY"')
        assert found[2].reason.startswith('decision: recorded "DENY", derived "ALLOW"')

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"role": None}, "the whole request"),
            ({"contour": None}, "the whole request"),
            ({"context": None}, "the whole request"),
            ({"context": {"api_token": "abc123456"}}, "was masked"),
            ({"policy_digest": None}, "the policies changed since"),
            ({"policy_digest": "f" * 64}, "the policies changed since, and theirs were not kept"),
            ({"rule": "override:o1"}, "the override that it names"),
        ],
    )
    def test_what_is_not_on_the_record_cannot_be_derived(
        self, forged: Forged, changes: Mapping[str, Json], reason: str
    ) -> None:
        forged.policy(**changes)
        [(_, found)] = wrong(replay(forged.folder))
        assert reason in found

    def test_an_answer_of_older_policies_follows_from_those(
        self, forged: Forged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = (
            '@id("nobody-trains")\n@reason("it was a holiday")\n'
            'forbid (principal, action == Action::"train", resource);\n'
        )
        texts = {"common.cedar": old}
        digest = digest_of(texts)
        kept = forged.folder / deciders.policies_file(digest)
        kept.parent.mkdir(parents=True)
        kept.write_bytes(canonical_json(texts))
        forged.policy(policy_digest=digest, decision="DENY", rule="nobody-trains")
        assert replay(forged.folder).ok
        forged.policy(policy_digest=digest)
        [(_, reason)] = wrong(replay(forged.folder))
        assert reason == 'decision: recorded "ALLOW", derived "DENY"'
        kept.write_bytes(canonical_json({"common.cedar": old.replace("forbid", "permit")}))
        assert {reason for _, reason in wrong(replay(forged.folder))} == {
            f"{deciders.policies_file(digest)} was changed"
        }

    def test_an_override_is_applied_again(self, forged: Forged) -> None:
        now = 1_765_000_000.0
        effect = "start_experiment"
        override = Override(
            "o1", CONTOUR, "policy", effect, None, "ada", "a demo", now - 10, now + 10
        )
        limited = {**SWITCHES, "experiments_within_limit": False}
        said = decide(LOOP, effect, CONTOUR, limited)
        lifted = apply_override(said, [override], effect, CONTOUR, now)
        assert (said.decision, lifted.decision) == (Decision.DENY, Decision.ALLOW)
        common = {
            "effect": effect, "context": limited, "decision": "ALLOW", "rule": lifted.rule,
            "asked_at": now,
        }  # fmt: skip
        forged.policy(**common, override=asdict(override))
        assert replay(forged.folder).ok
        expired = {**asdict(override), "expires_at": now - 5}
        forged.policy(**common, override=expired)
        forged.policy(**{**common, "context": SWITCHES}, override=asdict(override))
        found = replay(forged.folder).decisions
        assert [one.ok for one in found] == [True, False, False]
        assert found[1].reason == 'decision: recorded "ALLOW", derived "DENY"'


def test_a_decision_survives_its_process(tmp_path: Path) -> None:
    folder = tmp_path / CYCLE
    journal = AuditJournal(folder / "audit.jsonl")
    inputs = deciders.watch_baseline_inputs(deciders.arm_inputs([], {}, ()))
    output = write_decision(folder, journal, "watch_baseline", "watch_baseline", inputs)
    assert "no clicks before the change" in output["error"]
    assert replay(folder).ok
