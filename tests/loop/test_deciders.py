"""Recorded inputs decide as the values they came from, to the last bit, and hold no more."""

from __future__ import annotations

import gzip
import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.canonical import canonical_json, digest_of, sha256_hex
from predator.domain.errors import ConflictError, InputError, IntegrityError
from predator.domain.readings import Failed, NoData, Reading, Stale, Value
from predator.domain.verdicts import Decision, Verdict, WatchDecision
from predator.journal.audit import AuditJournal
from predator.journal.redact import MASK, redact
from predator.journal.summary import CycleSummary
from predator.loop import deciders, diagnose, evaluate, monitor, promote
from predator.loop.contract import CONTRACT
from predator.loop.deciders import DECIDERS, read_decision, write_decision
from predator.loop.experiment import look as experiment
from predator.loop.experiment.evidence import Limits, gather
from predator.loop.experiment.metrics import METRICS, PRIMARY
from predator.loop.experiment.plan import Cuped, Plan, plan
from predator.loop.plain import answer, plain
from predator.loop.searches import columns, searches
from predator.loop.watch import before as watch_before
from predator.loop.watch import look as watch
from predator.loop.watch import plan as watch_plan
from predator.policy.decision import ACTIONS, CONTOURS, Principal, decide
from predator.policy.gates import Gate, check
from predator.ports.feedback import Failure, Impression
from predator.ports.ledger import GoldReading
from predator.statistics.divergence import Shift
from predator.statistics.ledger import Kind, level
from predator.statistics.watch_sample import Level
from tests.loop.impressions import by_share, impression, traffic
from tests.loop.watched import arm, baseline, limits, look_inputs, planned

Json = Any

sane = st.floats(0, 1e6)
shares = st.floats(0.01, 0.99)
anything = st.floats(allow_nan=True, allow_infinity=True)
words = st.text(max_size=8)

impressions = st.builds(
    Impression,
    query_id=words,
    query=words,
    user=st.sampled_from(["u1", "u2", "Ольга", "u3", "x\0", "x"]),
    release=st.sampled_from(["r" * 64, "s" * 64]),
    experiment=words,
    variant=st.sampled_from(["baseline", "candidate", "live", ""]),
    hits=st.lists(words, max_size=3).map(tuple),
    clicks=st.lists(st.integers(1, 10), max_size=3).map(tuple),
    rating=st.none() | st.integers(1, 5),
    latency_ms=st.floats(0, 1e4),
    at=sane,
)
many = st.lists(impressions, max_size=80) | st.integers(0, 2**32 - 1).map(
    lambda seed: traffic(
        np.random.default_rng(seed), 400, by_share("e", 0.5, "candidate", "baseline"), users=60
    )
)
values = st.builds(
    Value, st.floats(-1, 1), st.integers(0, 500), st.floats(-1, 0), st.floats(0, 1), sane
)
readings: st.SearchStrategy[Reading] = (
    values
    | st.builds(NoData, words)
    | st.builds(Stale, st.floats(0, allow_infinity=True))
    | st.builds(Failed, words)
)
shifts = st.builds(Shift, shares, shares, st.booleans())
judged_searches = st.builds(
    diagnose.JudgedSearch,
    st.sampled_from(["old", "new", "token"]),
    st.floats(0, 1),
    st.sampled_from(["none", "unindexed", "recall", "ranking"]),
    st.booleans(),
    st.lists(st.sampled_from(["gpu", "tensor", "тензор"]), max_size=2).map(tuple),
)
counts = st.dictionaries(st.sampled_from(["old", "new", "token"]), st.integers(0, 300))
evidences = st.builds(
    diagnose.Evidence,
    signal=st.none(),
    baseline_loss=st.floats(0, 1),
    searches=st.lists(judged_searches, max_size=30),
    corpus_shift=shifts,
    query_shift=shifts,
    new_terms=st.lists(words, max_size=3),
    term_coverage=shares,
    categories_before=counts,
    categories_now=counts,
    logs=st.just({"etl/info: token=abc": 1}),
    backlog_s=sane,
    latency_p95_ms=sane,
    feature_contributions=st.just({"bm25": 0.5}),
    words=st.just({"gpu": "GPUs"}),
)
measured = st.builds(
    evaluate.Measured, st.none() | anything, st.none() | anything, st.none() | anything
)
gates_offline = st.builds(
    evaluate.Gates, shares, st.floats(-0.5, 0), shares, sane, sane, shares, st.floats(0.5, 0.95)
)
plans = st.builds(
    Plan,
    metric=st.just(PRIMARY),
    metrics=st.just(METRICS),
    share=shares,
    alpha=shares,
    evidence=st.floats(2, 100),
    searches=st.integers(1, 400),
    users=st.integers(1, 400),
    searches_per_user=st.floats(1, 9),
    icc=shares,
    design_effect=st.floats(1, 9),
    effect_rel=shares,
    expected_rel=shares,
    power_at_expected=shares,
    baseline_mean=shares,
    sd=shares,
    limited=st.booleans(),
    min_s=sane,
    max_s=sane,
    expected_s=sane,
    cuped=st.builds(Cuped, used=st.booleans()),
)
occasions = st.builds(
    deciders.Occasion,
    st.integers(1, 30),
    st.floats(-10.0, 1e6),
    st.booleans(),
    st.just(()),
    st.none() | sane,
)
LIMITS = Limits(4.0, 0.15, 50.0, 0.5)
baselines = st.builds(
    watch_before.Before,
    latency_p95_ms=sane,
    failed_share=st.floats(0, 1),
    metrics=st.dictionaries(
        st.sampled_from([watch_before.CLICK_MRR, watch_before.NDCG]),
        st.builds(Level, shares, shares, st.integers(1, 99), st.integers(2, 99), st.floats(1, 9)),
        min_size=1,
    ),
)
contexts = st.dictionaries(
    st.sampled_from(["kill_switch", "manual_approval_required", "approved", "evaluation", "x"]),
    st.booleans() | st.integers(-3, 3) | st.sampled_from(["PASS", "FAIL", "ні"]),
)


def answered(work: Callable[[], Any]) -> tuple[str, Any]:
    """What came of it, errors included, as plain JSON."""
    try:
        return "answer", answer(work())
    except (ValueError, ArithmeticError) as error:
        return type(error).__name__, str(error)


def recorded(name: str, inputs: Json) -> Json:
    """The decider's answer to inputs that went through bytes; the answer is plain JSON itself."""
    output = DECIDERS[name](json.loads(canonical_json(inputs)))
    assert json.loads(canonical_json(output)) == output
    return output


class TestTheSameAnswer:
    @given(st.sampled_from(CONTRACT), values, st.lists(readings, max_size=5), st.integers(1, 3))
    def test_of_the_monitor(
        self, row: Any, baseline: Value, seen: list[Reading], needed: int
    ) -> None:
        direct = monitor.detect(row, baseline, seen, needed)
        output = recorded("monitor", deciders.monitor_inputs(row, baseline, seen, needed))
        assert deciders.to_monitor(output) == direct

    @given(evidences, st.integers(1, 12))
    def test_of_the_diagnosis(self, evidence: diagnose.Evidence, named: int) -> None:
        direct = diagnose.diagnose(evidence, named)
        output = recorded("diagnose", deciders.diagnose_inputs(evidence, named))
        assert output == plain(direct)
        assert plain(deciders.to_diagnose(output)) == output
        assert deciders.to_diagnose(output).cause == direct.cause

    @given(st.integers(0, 120), st.integers(0, 2**32 - 1), shares, measured, gates_offline)
    def test_of_the_offline_gate(
        self, n: int, seed: int, gain: float, seen: evaluate.Measured, gates: evaluate.Gates
    ) -> None:
        rng = np.random.default_rng(seed)
        before = rng.random(n)
        after = np.clip(before + rng.normal(gain / 4, 0.1, n), 0, 1)
        categories = rng.choice(["optics", "knots"], n).tolist()
        direct = answered(lambda: evaluate.evaluate(after, before, categories, seen, gates))
        inputs = deciders.evaluate_inputs(after, before, categories, seen, gates)
        assert answered(lambda: recorded("evaluate", inputs)) == direct
        if direct[0] == "answer":
            assert plain(deciders.to_evaluate(recorded("evaluate", inputs))) == direct[1]

    @given(st.sampled_from(Kind), st.lists(st.booleans(), max_size=30), st.integers(0, 2**32 - 1))
    def test_of_the_offline_gate_at_a_level_that_is_derived_again(
        self, kind: Kind, history: list[bool], seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        before = rng.random(80)
        after = np.clip(before + rng.normal(0.04, 0.1, 80), 0, 1)
        gates = evaluate.Gates(0.03, -0.02, 0.15, 50, 0.5, 0.05, 0.8, 0.5)
        fine, names = evaluate.Measured(40.0, 41.0, 0.1), ["a"] * 80
        found = level(kind, gates.alpha, history)
        discovered = tuple(number for number, passed in enumerate(history, 1) if passed)
        reading = GoldReading(
            "g", "c:1", found.index, str(kind), gates.alpha, found.value, discovered, 1.0,
            found.left, 1.0,
        )  # fmt: skip
        in_force = replace(gates, alpha=reading.level)
        direct = answer(evaluate.evaluate(after, before, names, fine, in_force))
        inputs = deciders.evaluate_inputs(after, before, names, fine, gates, reading)
        assert recorded("evaluate", inputs) == direct

    def test_of_an_offline_gate_from_before_the_ledger(self) -> None:
        gates = evaluate.Gates(0.03, -0.02, 0.15, 50, 0.5, 0.05, 0.8)
        before = np.linspace(0.1, 0.9, 50)
        inputs = deciders.evaluate_inputs(
            before + 0.05, before, ["a"] * 50, evaluate.Measured(40.0, 41.0, 0.1), gates
        )
        old = {**inputs, "gates": {k: v for k, v in inputs["gates"].items() if k != "point_share"}}
        del old["ledger"]
        now = recorded("evaluate", inputs)
        del now["gain_shrunken_rel"]  # was not told then
        assert recorded("evaluate", old) == now

    @given(
        st.sampled_from(["ndcg_at_10", "latency_p95"]),
        st.none() | st.floats(-1, 1),
        st.none() | sane,
        st.none() | anything,
        st.none() | anything,
    )
    def test_of_a_gate(
        self,
        name: str,
        delta: float | None,
        limit: float | None,
        before: float | None,
        after: float | None,
    ) -> None:
        gate = Gate(name, "min" if name == "ndcg_at_10" else "max", delta, limit)
        output = recorded("gate", deciders.gate_inputs(gate, before, after))
        assert deciders.to_gate(output) == check(gate, before, after)

    @given(many, shares, st.floats(-0.1, 0.5), shares, st.floats(0, 500))
    def test_of_a_plan(
        self, history: list[Impression], wanted: float, least: float, share: float, rate: float
    ) -> None:
        numbers: Any = {
            "share": share, "alpha": 0.05, "power": 0.8,
            "rate_per_s": rate, "min_s": 2.0, "max_s": 10.0,
        }  # fmt: skip
        direct = answered(lambda: plan(history, wanted, least, **numbers))
        output = recorded(
            "plan_experiment", deciders.plan_experiment_inputs(history, wanted, least, **numbers)
        )
        assert answered(lambda: deciders.to_plan_experiment(output)) == direct

    @given(plans, many, occasions, st.booleans(), st.booleans())
    def test_of_an_experiment(
        self,
        planned: Plan,
        seen: list[Impression],
        occasion: deciders.Occasion,
        named: bool,
        known: bool,
    ) -> None:
        """By all its searches, and by their sums alone."""
        releases = {"baseline": "r" * 64, "candidate": "r" * 64} if named else None
        past = {seen[0].user: 0.7, "stranger": 0.2} if known and seen else None
        inputs = deciders.judge_experiment_inputs(
            planned, seen, LIMITS, occasion, before=past, releases=releases
        )
        output = recorded("judge_experiment", inputs)
        try:
            evidence = gather(
                seen, LIMITS, before=past, centre=planned.baseline_mean, releases=releases
            )
        except ValueError as error:
            assert (output["verdict"], output["ended"]) == ("ERROR", True)
            assert str(error) in output["reason"]
            return
        direct = experiment.look(
            planned, evidence, LIMITS,
            number=occasion.number, elapsed_s=occasion.elapsed_s, last=occasion.last,
            left_s=occasion.left_s,
        )  # fmt: skip
        assert output == plain(direct)
        assert recorded("look_experiment", deciders.look_experiment_inputs(inputs)) == output
        assert plain(deciders.to_judge_experiment(output)) == output

    @given(many)
    def test_of_a_baseline(self, seen: list[Impression]) -> None:
        direct = answered(lambda: watch_before.before(arm(seen)))
        served = deciders.arm_inputs(seen, {}, ())
        output = recorded("watch_baseline", deciders.watch_baseline_inputs(served))
        assert answered(lambda: deciders.to_watch_baseline(output)) == direct

    @given(baselines, st.floats(1, 1e4), shares)
    def test_of_the_plan_of_a_watch(
        self, found: watch_before.Before, per_look: float, tolerated: float
    ) -> None:
        limited = limits(share=0.05, tolerated_drop_rel=tolerated)
        direct = answered(lambda: watch_plan.plan_watch(found, per_look, limited))
        output = recorded("watch_plan", deciders.watch_plan_inputs(found, per_look, limited))
        assert answered(lambda: deciders.to_watch_plan(output)) == direct

    @given(st.integers(1, 9), baselines, many, many, st.lists(st.floats(0, 1), max_size=9))
    def test_of_a_look(
        self,
        number: int,
        found: watch_before.Before,
        live: list[Impression],
        held: list[Impression],
        ndcg: list[float],
    ) -> None:
        live = [replace(one, query_id=str(n)) for n, one in enumerate(live)]
        failed = [Failure(one.user, "r", "w", "live", 0.0) for one in live[:2]]
        scored = {str(n): value for n, value in enumerate(ndcg[: len(live)])}
        plan = watch_plan.plan_watch(found, 100.0, limits(looks=4))
        direct = answered(
            lambda: watch.look(
                number, plan, found,
                arm(live, ndcg[: len(live)], [one.user for one in failed]), arm(held),
            )
        )  # fmt: skip
        inputs = deciders.watch_look_inputs(
            number, plan, found,
            deciders.arm_inputs(live, scored, failed), deciders.arm_inputs(held, {}, ()),
        )  # fmt: skip
        assert answered(lambda: recorded("watch_look", inputs)) == direct
        if direct[0] == "answer":
            output = recorded("watch_look", inputs)
            assert plain(deciders.to_watch_look(output)) == direct[1]

    @given(
        st.sampled_from(["loop", "operator", "intruder"]),
        st.sampled_from([*sorted(ACTIONS), "fly"]),
        st.sampled_from([*CONTOURS, "moon"]),
        contexts,
    )
    def test_of_policy(self, role: str, action: str, contour: str, context: Any) -> None:
        principal = Principal(role, "somebody")
        output = recorded("policy", deciders.policy_inputs(principal, action, contour, context))
        assert deciders.to_policy(output) == decide(principal, action, contour, context)

    @given(
        st.sampled_from(Verdict),
        st.sampled_from(Verdict),
        st.sampled_from(Decision),
        st.sampled_from(["a" * 64, "b" * 64]),
        st.dictionaries(words, st.floats(allow_nan=False, allow_infinity=False) | words),
    )
    def test_of_the_chain_of_a_promotion(
        self, offline: Verdict, online: Verdict, said: Decision, release: str, more: Any
    ) -> None:
        evaluation = {**more, "release": "a" * 64, "verdict": offline}
        result = {**more, "release": release, "verdict": online, "plan": (1, 2)}
        answer = replace(decide(Principal("loop"), "promote", "local", {}), decision=said)

        def chain() -> dict[str, str]:
            return (
                promote.Promotion(release)
                .evaluated("a" * 64, offline, evaluation)
                .experimented(release, online, result)
                .allowed(release, said, answer.rule)
                .trailers
            )

        inputs = deciders.promotion_inputs(release, evaluation, result, answer)
        output = recorded("promotion", inputs)
        try:
            wanted = chain()
        except promote.IllegalPromotion as error:
            with pytest.raises(promote.IllegalPromotion, match="^" + str(error)[:20]):
                deciders.to_promotion(output)
        else:
            assert deciders.to_promotion(output) == wanted
            assert wanted["Evaluation"] == digest_of(evaluation)

    def test_there_is_a_test_of_every_decider(self) -> None:
        assert sorted(DECIDERS) == sorted(
            ["monitor", "diagnose", "reading_room", "submit", "evaluate", "gate",
             "shadow", "screen",
             "plan_experiment", "look_experiment", "judge_experiment",
             "watch_baseline", "watch_plan", "watch_look", "policy", "promotion",
             "promotion_between"]
        )  # fmt: skip


class TestWhatIsNoMeasurement:
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_is_refused_before_anything_is_decided(self, bad: float) -> None:
        slow = [impression("u", clicks=(1,), latency_ms=bad)] * 200
        fine = baseline(traffic(np.random.default_rng(1), 300))
        plan, nobody = planned(fine), deciders.arm_inputs([], {}, ())
        attempts: list[Callable[[], Json]] = [
            lambda: deciders.arm_inputs(slow, {}, ()),
            lambda: deciders.arm_inputs([replace(slow[0], latency_ms=1.0)], {"u-0.0": bad}, ()),
            lambda: deciders.watch_plan_inputs(fine, bad, limits()),
            lambda: deciders.watch_look_inputs(
                4, plan, replace(fine, failed_share=bad), nobody, nobody
            ),
            lambda: deciders.diagnose_inputs(_evidence(backlog_s=bad)),
        ]
        for make in attempts:
            with pytest.raises(InputError, match=r"not measured|no measurement"):
                make()

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_is_no_evidence_for_the_offline_gate(self, bad: float) -> None:
        rng = np.random.default_rng(3)
        before = rng.random(200)
        after = before + 0.2
        gates = evaluate.Gates(0.03, -0.02, 0.15, 50, 0.5, 0.05, 0.8)
        fine = evaluate.Measured(40.0, 41.0, 0.1)
        broken = after.copy()
        broken[7] = bad
        for vector, seen in (
            (broken, fine),
            (after, evaluate.Measured(40.0, bad, 0.1)),
            (after, evaluate.Measured(40.0, 41.0, bad)),
        ):
            inputs = deciders.evaluate_inputs(vector, before, ["a"] * 200, seen, gates)
            assert recorded("evaluate", inputs)["verdict"] == "ERROR"


def _evidence(**changes: Any) -> diagnose.Evidence:
    still = Shift(0.1, 0.2, False)
    given: dict[str, Any] = {
        "signal": None, "baseline_loss": 0.1, "searches": [], "corpus_shift": still,
        "query_shift": still, "new_terms": [], "term_coverage": 1.0, "categories_before": {},
        "categories_now": {}, "logs": {}, "backlog_s": 0.0, "latency_p95_ms": 1.0,
        "feature_contributions": {},
    }  # fmt: skip
    return diagnose.Evidence(**{**given, **changes})


class TestWhatInputsHold:
    def test_a_large_experiment_is_written_and_read_in_no_time_and_little_space(self) -> None:
        seen = traffic(
            np.random.default_rng(1), 2000, by_share("e", 0.5, "candidate", "baseline"), users=400
        )
        planned = plan(
            seen, 0.2, 0.1, share=0.5, alpha=0.05, power=0.8, rate_per_s=1.0, min_s=9.0, max_s=99.0
        )
        started = time.process_time()
        inputs = deciders.judge_experiment_inputs(
            planned, seen, LIMITS, deciders.Occasion(1, 99.0, last=True)
        )
        data = canonical_json(inputs)
        back = searches(json.loads(data)["impressions"])
        assert time.process_time() - started < 3
        assert len(data) < 120_000
        assert len(canonical_json(deciders.look_experiment_inputs(inputs))) < 10_000
        assert [i.latency_ms for i in back] == [i.latency_ms for i in seen]
        assert [i.clicks for i in back] == [i.clicks for i in seen]
        assert [i.rating for i in back] == [i.rating for i in seen]

    def test_no_user_and_no_query_is_named(self) -> None:
        seen = [
            replace(impression("olha@example.org", "candidate", (1,)), query="my illness"),
            impression("petro", "baseline"),
        ]
        seen[0] = replace(seen[0], hits=("diary of olha",))
        text = json.dumps(
            columns(seen, "user", "variant", "release", "clicks", "documents", "rating", "at")
        )
        for private in ("olha", "petro", "illness", "diary"):
            assert private not in text

    def test_secrets_in_what_people_typed_are_masked_before_anything_is_decided(self) -> None:
        secret = "ghp_c4n4ry9f8e7d6c5b"
        found = diagnose.JudgedSearch(f"api_token={secret}", 0.9, "ranking", True, (secret,))
        shifted = Shift(0.2, 0.1, True)
        evidence = _evidence(searches=[found], corpus_shift=shifted, logs={f"key={secret}": 1})
        failed = Failed(f"https://user:{secret}@metrics")
        texts = [
            deciders.diagnose_inputs(evidence),
            deciders.monitor_inputs(CONTRACT[0], Value(1, 9, 0, 2, 0), [failed], 1),
            deciders.policy_inputs(Principal("loop", secret), "train", "local", {"x": secret}),
        ]
        for inputs in texts:
            assert secret not in json.dumps(inputs)
            assert MASK in json.dumps(inputs)
        assert secret not in json.dumps(recorded("diagnose", texts[0]))

    def test_nothing_else_is_masked(self) -> None:
        evidence = _evidence(
            searches=[diagnose.JudgedSearch("token", 0.9, "recall", True, ("password",))],
            categories_now={"token": 5, "secret": 1},
        )
        inputs = deciders.diagnose_inputs(evidence)
        assert MASK not in json.dumps(inputs)
        assert recorded("diagnose", inputs)["low_coverage_terms"] == {"password": 1.0}

    def test_broken_unicode_is_no_way_to_stop_a_decision(self) -> None:
        found = diagnose.JudgedSearch("a\ud800", 0.9, "recall", True, ("\udfff",))
        recorded("diagnose", deciders.diagnose_inputs(_evidence(searches=[found])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "si_2025_12_07_001"


@pytest.fixture
def journal(folder: Path) -> AuditJournal:
    return AuditJournal(folder / "audit.jsonl", now=lambda: 1.0)


def looks(n: int = 150, seed: int = 0) -> Json:
    live = traffic(np.random.default_rng(seed), n, users=n)
    return look_inputs(1, traffic(np.random.default_rng(9), 300), live, live)


class TestWriting:
    def test_leaves_a_file_that_its_record_is_bound_to(
        self, folder: Path, journal: AuditJournal
    ) -> None:
        journal.append({"type": "start"})
        output = write_decision(folder, journal, "look-1", "watch_look", looks())
        assert output["decision"] == WatchDecision.HOLD
        record = journal.find("look-1")
        assert record is not None
        data = (folder / "decisions/002-watch_look.json").read_bytes()
        assert {k: record[k] for k in ("type", "key", "decider", "file", "sha256")} == {
            "type": "decision",
            "key": "look-1",
            "decider": "watch_look",
            "file": "decisions/002-watch_look.json",
            "sha256": sha256_hex(data),
        }
        assert record["output_sha256"] == digest_of(output)
        kept = read_decision(folder, record)
        assert kept == {"decider": "watch_look", "inputs": looks(), "output": output}
        assert data == canonical_json(kept) + b"\n"

    def test_again_changes_nothing_and_newer_data_do_not_count(
        self, folder: Path, journal: AuditJournal
    ) -> None:
        first = write_decision(folder, journal, "look-1", "watch_look", looks())
        files = {p.name: p.read_bytes() for p in (folder / "decisions").iterdir()}
        head = journal.head
        for again in (looks(), looks(900, seed=5)):
            assert write_decision(folder, journal, "look-1", "watch_look", again) == first
            fresh = AuditJournal(folder / "audit.jsonl")
            assert write_decision(folder, fresh, "look-1", "watch_look", again) == first
        assert {p.name: p.read_bytes() for p in (folder / "decisions").iterdir()} == files
        assert AuditJournal(folder / "audit.jsonl").head == head

    def test_a_file_without_a_record_was_never_decided(
        self, folder: Path, journal: AuditJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: object) -> str:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(AuditJournal, "_append", die)
            with pytest.raises(KeyboardInterrupt):
                write_decision(folder, journal, "look-1", "watch_look", looks(900, seed=5))
        assert len(list((folder / "decisions").iterdir())) == 1
        output = write_decision(folder, journal, "look-1", "watch_look", looks())
        assert output == DECIDERS["watch_look"](looks())
        assert len(list((folder / "decisions").iterdir())) == 1

    def test_sixteen_that_race_agree(self, folder: Path) -> None:
        found: list[Json] = []

        def race(seed: int) -> None:
            own = AuditJournal(folder / "audit.jsonl")
            found.append(write_decision(folder, own, "look-1", "watch_look", looks(seed=seed)))

        threads = [threading.Thread(target=race, args=(seed,)) for seed in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 16 and all(one == found[0] for one in found)
        assert len(list((folder / "decisions").iterdir())) == 1

    def test_what_is_large_is_compressed_the_same_way_each_time(
        self, folder: Path, journal: AuditJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert deciders.LARGE == 1_000_000
        monkeypatch.setattr(deciders, "LARGE", 10_000)
        large = looks(900)
        output = write_decision(folder, journal, "look-1", "watch_look", large)
        path = folder / "decisions/001-watch_look.json.gz"
        data = path.read_bytes()
        assert json.loads(gzip.decompress(data))["inputs"] == large
        assert data[4:8] == bytes(4), "no time in it"
        assert write_decision(folder, journal, "look-1", "watch_look", large) == output

    def test_a_changed_file_is_refused(self, folder: Path, journal: AuditJournal) -> None:
        write_decision(folder, journal, "look-1", "watch_look", looks())
        path = folder / "decisions/001-watch_look.json"
        path.write_bytes(path.read_bytes().replace(b"HOLD", b"KEEP"))
        with pytest.raises(IntegrityError, match="hash differs"):
            write_decision(folder, journal, "look-1", "watch_look", looks())
        path.unlink()
        with pytest.raises(IntegrityError, match="is gone"):
            write_decision(folder, journal, "look-1", "watch_look", looks())

    def test_a_key_belongs_to_one_decider(self, folder: Path, journal: AuditJournal) -> None:
        journal.append_once("train:action", {"type": "action"})
        write_decision(folder, journal, "look-1", "watch_look", looks())
        baseline = deciders.watch_baseline_inputs(deciders.arm_inputs([], {}, ()))
        for key in ("look-1", "train:action"):
            with pytest.raises(ConflictError, match="not a decision by watch_baseline"):
                write_decision(folder, journal, key, "watch_baseline", baseline)

    @pytest.mark.parametrize("bad", [{"x": math.nan}, {"x": {1, 2}}, {"x": b"y"}, {"x": "\ud800"}])
    def test_what_is_no_json_is_refused(
        self, folder: Path, journal: AuditJournal, bad: Json
    ) -> None:
        with pytest.raises(InputError):
            write_decision(folder, journal, "look-1", "watch_look", {**looks(), **bad})
        assert not folder.exists()

    def test_a_full_disk_leaves_no_decision(
        self, folder: Path, journal: AuditJournal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(OSError, match="No space"):
                write_decision(folder, journal, "look-1", "watch_look", looks())
        assert journal.find("look-1") is None
        assert [p.name for p in folder.rglob("*") if p.is_file()] == ["audit.jsonl"]

    def test_a_zombie_decides_nothing_after_the_end(
        self, folder: Path, journal: AuditJournal
    ) -> None:
        kept = write_decision(folder, journal, "look-1", "watch_look", looks())
        journal.write_summary(
            CycleSummary(
                folder.name, "2025-12-07T01:23:45Z", "local", {}, [], "system", 0, "x", True
            )
        )
        assert write_decision(folder, journal, "look-1", "watch_look", looks()) == kept
        with pytest.raises(ConflictError, match="closed by its summary"):
            write_decision(folder, journal, "look-2", "watch_look", looks())
        assert len(list((folder / "decisions").iterdir())) == 1

    def test_policies_are_kept_once_by_what_they_say(self, folder: Path) -> None:
        digest = deciders.keep_policies(folder)
        assert deciders.keep_policies(folder) == digest == deciders.policy_digest()
        [kept] = (folder / "decisions").iterdir()
        assert kept == folder / deciders.policies_file(digest)
        assert digest_of(json.loads(kept.read_bytes())) == digest


def test_a_recorded_answer_holds_no_secret_by_name() -> None:
    inputs = looks()
    assert redact(inputs) == inputs
