"""A file of values is what the spec shows, or one line that says what is wrong, and where."""

from __future__ import annotations

import os
import time
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.contours.load import load_file, packaged, parse
from predator.contours.model import NAMES, ContourFile
from predator.contours.problems import keys_of
from predator.domain.errors import InputError
from tests.contours.files import contour, whole

SPEC_DEV = """
selfImprovement:
  enabled: false  # Mock режим
  mockSignals: true
  mockMetrics:
    ndcg_at_10: 0.75
    avg_latency_ms: 450
  cycleInterval: "1h"  # Частіше для dev
"""
SPEC_EDGE = """
selfImprovement:
  enabled: true
  policy: "staging"
  features:
    autoPromote: false  # Manual approval required
    abTesting: true
    abSplitRatio: 0.2
  monitoring:
    slackWebhook: "https://hooks.slack.com/..."
    alertOnDegrade: true
  backup:
    enabled: true
    schedule: "0 2 * * *"  # Daily at 02:00
    destination: "oci://bucket/backups"
"""
SPEC_COMPUTE = """
selfImprovement:
  enabled: true
  policy: "full"
  features:
    autoPromote: true
    rollbackOnDegrade: true
    abTesting: true
  resources:
    gpu: true
    gpuCount: 2
    gpuType: "nvidia-tesla-t4"
  kubecost:
    enabled: true
    budgetAlert: 80  # % of budget
    costOptimization: true
  h2oStudio:
    enabled: true
    autoTriggerTraining: true
  cycleInterval: "4h"  # Every 4 hours
"""
SPEC_SWITCHES = """
# Аварійна зупинка всієї автоматизації
selfImprovement:
  killSwitch: false  # ← true = повна зупинка циклу
  manualApprovalRequired: false  # ← true для critical changes
  maxCyclesPerDay: 6  # Обмеження частоти
"""
SPEC_GATES = """
quality_gates:
  ndcg_at_10:
    min_delta: +0.03  # Має бути > +3% від baseline
  latency_p95:
    max_delta: +0.15  # Не більше +15%
  cost_per_1k:
    max: 0.50  # Не дорожче $0.50
  user_satisfaction:
    min: 4.0   # NPS ≥ 4/5
"""


def refused(text: str | bytes) -> str:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InputError) as error:
        parse(content, "local", "mine.yaml")
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 400
    assert error.value.__cause__ is None
    return line


def test_the_spec_for_a_developers_machine_loads_as_it_is() -> None:
    block = whole(SPEC_DEV, "dev-mac").self_improvement
    assert (block.enabled, block.mock_signals, block.cycle_interval_s) == (False, True, 3600)
    assert dict(block.mock_metrics) == {"ndcg_at_10": 0.75, "avg_latency_ms": 450}


def test_the_spec_for_staging_loads_but_for_the_webhook_in_it() -> None:
    line = refused(SPEC_EDGE)
    assert "selfImprovement.monitoring.slackWebhook" in line
    assert "env:NAME or file:/path" in line
    assert "hooks" not in line
    mended = SPEC_EDGE.replace("https://hooks.slack.com/...", "env:SLACK_WEBHOOK_URL")
    block = whole(mended, "edge-oracle").self_improvement
    assert block.policy == "staging"
    assert (block.features.auto_promote, block.features.ab_testing) == (False, True)
    assert block.features.ab_split_ratio == 0.2
    assert block.monitoring.slack_webhook == "env:SLACK_WEBHOOK_URL"
    assert (block.backup.enabled, block.backup.destination) == (True, "oci://bucket/backups")


def test_the_spec_for_production_loads_as_it_is() -> None:
    block = whole(SPEC_COMPUTE, "compute-nvidia").self_improvement
    assert (block.policy, block.cycle_interval_s) == ("full", 14_400)
    assert (block.resources.gpu_count, block.resources.gpu_type) == (2, "nvidia-tesla-t4")
    assert (block.kubecost.budget_alert, block.kubecost.cost_optimization) == (80, True)
    assert block.h2o_studio.auto_trigger_training


def test_the_switches_and_gates_of_the_spec_load_as_they_are() -> None:
    block = whole(SPEC_SWITCHES).self_improvement
    assert (block.kill_switch, block.manual_approval_required) == (False, False)
    assert block.max_cycles_per_day == 6
    assert whole(SPEC_GATES).quality_gates.given() == {
        "ndcg_at_10": {"min_delta": 0.03},
        "latency_p95": {"max_delta": 0.15},
        "cost_per_1k": {"max": 0.50},
        "user_satisfaction": {"min": 4.0},
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_packaged_file_loads_and_has_the_gates_of_the_spec(name: str) -> None:
    found = packaged(name)
    assert (found.name, found.source) == (name, f"values-{name}.yaml")
    assert found.quality_gates == whole(SPEC_GATES).quality_gates


def test_the_packaged_files_say_what_the_spec_says() -> None:
    dev, edge, compute = (packaged(name).self_improvement for name in NAMES[1:])
    spec = whole(SPEC_DEV).self_improvement
    assert dev.enabled is spec.enabled
    assert dev.mock_metrics == spec.mock_metrics
    assert dev.cycle_interval == spec.cycle_interval
    spec = whole(SPEC_EDGE.replace("https://hooks.slack.com/...", "env:X")).self_improvement
    assert (edge.policy, edge.features, edge.backup) == (spec.policy, spec.features, spec.backup)
    spec = whole(SPEC_COMPUTE).self_improvement
    for block in ("policy", "features", "resources", "kubecost", "h2o_studio", "cycle_interval"):
        assert getattr(compute, block) == getattr(spec, block), block
    assert edge.max_cycles_per_day == compute.max_cycles_per_day == 6


def test_an_unknown_contour_is_refused() -> None:
    with pytest.raises(InputError, match="unknown contour 'moon'"):
        packaged("moon")


def test_what_a_file_leaves_out_is_the_careful_side() -> None:
    block = contour().self_improvement
    assert not block.enabled
    assert block.policy == "staging"
    assert not block.features.auto_promote
    assert not block.features.ab_testing
    assert block.features.rollback_on_degrade
    assert block.monitoring.alert_on_degrade
    assert block.max_cycles_per_day == 6


def test_a_contour_does_not_change_afterwards() -> None:
    found = packaged("dev-mac")
    with pytest.raises(FrozenInstanceError):
        found.name = "local"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        found.self_improvement.enabled = True
    with pytest.raises(TypeError):
        found.self_improvement.mock_metrics["ndcg_at_10"] = 1.0  # type: ignore[index]
    with pytest.raises(TypeError):
        found.settings["alpha"] = 0.4  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "path", "nearest"),
    [
        ("selfImprovment: {}", "selfImprovment", "selfImprovement"),
        ("killSwitch: true", "killSwitch", "selfImprovement.killSwitch"),
        ("selfImprovement: {cycleIntervall: 4h}", "selfImprovement.cycleIntervall",
         "selfImprovement.cycleInterval"),
        ("selfImprovement: {mock_signals: true}", "selfImprovement.mock_signals",
         "selfImprovement.mockSignals"),
        ("selfImprovement: {features: {autoPromot: true}}", "selfImprovement.features.autoPromot",
         "selfImprovement.features.autoPromote"),
        ("selfImprovement: {alertOnDegrade: true}", "selfImprovement.alertOnDegrade",
         "selfImprovement.monitoring.alertOnDegrade"),
        ("selfImprovement: {kubecost: {budgetAlrt: 8}}", "selfImprovement.kubecost.budgetAlrt",
         "selfImprovement.kubecost.budgetAlert"),
        ("quality_gates: {ndcg: {min: 1}}", "quality_gates.ndcg", "quality_gates.ndcg_at_10"),
        ("quality_gates: {ndcg_at_10: {mindelta: 1}}", "quality_gates.ndcg_at_10.mindelta",
         "quality_gates.ndcg_at_10.min_delta"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_named_with_the_nearest(text: str, path: str, nearest: str) -> None:
    line = refused(text)
    assert f"unknown key {path} in mine.yaml" in line
    assert line.endswith(f"did you mean {nearest}?")


def test_a_gate_knows_only_its_own_side() -> None:
    assert "unknown key quality_gates.latency_p95.min" in refused(
        "quality_gates: {latency_p95: {min: 10}}"
    )


@pytest.mark.parametrize(
    ("keys", "path", "word"),
    [
        ("enabled: yes", "enabled", "'yes'"),
        ("enabled: 1", "enabled", "cannot be 1: it is either true or false"),
        ("enabled: 'true'", "enabled", "without quotes"),
        ("enabled:", "enabled", "empty"),
        ("policy: mock", "policy", "'staging' or 'full'"),
        ("cycleInterval: 4 hours", "cycleInterval", "30m, 4h or 7d"),
        ("cycleInterval: 4", "cycleInterval", "quotes"),
        ("cycleInterval: 5s", "cycleInterval", "between 1m and 31d"),
        ("schedule: daily", "schedule", "five fields"),
        ("schedule: 0 0 30 2 *", "schedule", "never comes"),
        ("schedule: 2026-11-01", "schedule", "quotes"),
        ("maxCyclesPerDay: -1", "maxCyclesPerDay", "-1"),
        ("maxCyclesPerDay: 6.5", "maxCyclesPerDay", "6.5"),
        ("maxCyclesPerDay: true", "maxCyclesPerDay", "true"),
        ("maxCyclesPerDay: '6'", "maxCyclesPerDay", "'6'"),
        ("maxCyclesPerDay: 99999999999999999999999", "maxCyclesPerDay", "so large a number"),
        ("features: {abSplitRatio: 1}", "features.abSplitRatio", "less than 1"),
        ("features: {abSplitRatio: 0}", "features.abSplitRatio", "greater than 0"),
        ("features: {abSplitRatio: .nan}", "features.abSplitRatio", "nan"),
        ("features: [abTesting]", "features", "a list"),
        ("features: full", "features", "a block of keys"),
        ("kubecost: {budgetAlert: 120}", "kubecost.budgetAlert", "120"),
        ("kubecost: {budgetAlert: .inf}", "kubecost.budgetAlert", "inf"),
        ("resources: {gpuCount: 65}", "resources.gpuCount", "65"),
        ("backup: {enabled: true}", "backup", "needs a destination"),
        ("backup: {destination: 'oci://me:pw@bucket'}", "backup.destination", "that text"),
        ("mockMetrics: {ndcg_at_10: -1}", "mockMetrics.ndcg_at_10", "-1"),
        ("mockMetrics: {ndcg_at_10: .nan}", "mockMetrics.ndcg_at_10", "nan"),
        ("mockMetrics: {ndcg_at_10: high}", "mockMetrics.ndcg_at_10", "'high'"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_path(keys: str, path: str, word: str) -> None:
    line = refused(f"selfImprovement:\n  {keys}\n")
    assert line.startswith(f"selfImprovement.{path} in mine.yaml cannot be ")
    assert word in line


@pytest.mark.parametrize("value", ["true", "[1]", "{a: 1}", "2026-11-01", "null"])
def test_a_setting_in_a_file_is_a_number_or_a_text(value: str) -> None:
    assert "settings.port in mine.yaml cannot be" in refused(f"settings: {{port: {value}}}")


CANARY = "https://hooks.slack.com/services/T0/B0/canary"


@pytest.mark.parametrize(
    "text",
    [
        f"selfImprovement: {{monitoring: {{slackWebhook: '{CANARY}'}}}}",
        f"selfImprovement: {{monitoring: {{slackWebhook: ['{CANARY}']}}}}",
        "selfImprovement: {monitoring: {slackWebhook: xoxb-canary}}",
        f"selfImprovement: {{monitoring: {{slackWebhook: {{'{CANARY}': 1}}}}}}",
        f"selfImprovement: {{monitoring: {{'{CANARY}': 1}}}}",
        f"selfImprovement: {{monitoring: '{CANARY}'}}",
        f"selfImprovement: {{enabled: '{CANARY}'}}",
        f"selfImprovement: {{mockMetrics: {{'{CANARY}': 1}}}}",
        f"selfImprovement: {{cycleInterval: '{CANARY}'}}",
        f"'{CANARY}': 1",
        f"a: 1\na: {CANARY}",
        f"a: {CANARY}\na: 1",
        f"'{CANARY}': 1\n'{CANARY}': 2",
        f"a: '{CANARY}",
        f"a: [{CANARY}",
        f"a: *{CANARY}",
        f"a: !{CANARY} 1",
        f"a: \"{CANARY}\\q\"",
        f"%TAG ! {CANARY}\n--- !x\n...",
        f"a: {CANARY}: b",
        f"- {CANARY}",
        CANARY,
    ],
)  # fmt: skip
def test_a_secret_in_the_wrong_place_is_not_repeated(text: str) -> None:
    line = refused(text)
    assert "canary" not in line
    assert "hooks" not in line


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"", "holds no keys"),
        (b"# nothing\n", "holds no keys"),
        (b"[]", "holds no keys"),
        (b"text", "holds no keys"),
        (b"selfImprovement: {}\n---\nselfImprovement: {}\n", "not YAML"),
        (b"\xff\xfe\x00", "not UTF-8 (byte 0)"),
        ("selfImprovement: {policy: \ud800}".encode("utf-8", "surrogatepass"), "not UTF-8"),
        (b"a: \x00", "not YAML"),
        (b"a: [\n", "not YAML in line 2"),
        (b"a: &x 1", "an anchor or alias in line 1"),
        (b"a: *x", "an anchor or alias in line 1"),
        (b"a: !!python/object:os.system x", "a tag in line 1"),
        (b"a: !!str x", "a tag in line 1"),
        (b"<<: {killSwitch: true}", "a merge key in line 1"),
        (b"? [a]\n: 1", "a key that is not text in line 1"),
        (b"1: a", "Keys should be strings"),
        (b"a:\n  b: 1\n  c: 1\n  b: 2", "a.b stands twice in line 4"),
        (b"selfImprovement: {}\nselfImprovement: {}", "selfImprovement stands twice in line 2"),
        (b"a:\n - b: 1\n - b: 2\n   b: 3", "a.b stands twice in line 4"),
        (b"a: " + b"[" * 60_000, "nested deeper than 16 levels"),
        (b"a: " + b"{a: " * 10_000, "nested deeper than 16 levels"),
        (b"a: [" + b"1," * 30_000 + b"1]", "more than 5000 values"),
        (b"a: " + b"x" * 70_000, "larger than 65536 bytes"),
    ],
    ids=lambda value: str(value[:20]),
)
def test_a_hostile_file_is_refused_in_one_line(text: bytes, word: str) -> None:
    assert word in refused(text)


def test_a_bomb_of_aliases_takes_no_time() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    started = time.process_time()
    assert "an anchor or alias" in refused("\n".join(levels))
    assert time.process_time() - started < 3


words = st.sampled_from(["selfImprovement", "features", "enabled", "a", "<<", ": ", "\n", "  ",
                         "- ", "[", "]", "{", "}", ",", "&a", "*a", "!t ", "'", '"', "true", "1",
                         "|", ">", "#", "%", "---\n", "...", "\t", "? ", "é", "\x85", "\u2028",
                         ".nan", "1e999", "0x1", "2026-11-01", "quality_gates", "settings",
                         "mockMetrics", "ndcg_at_10"])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(words, max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_is_a_contour_or_one_line(text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    try:
        found = parse(content, "local", "mine.yaml")
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert found.name == "local"


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(SPEC_DEV, encoding="utf-8")
    found = load_file(file, "dev-mac")
    assert (found.name, found.source) == ("dev-mac", "values.yaml")
    assert found.self_improvement == whole(SPEC_DEV).self_improvement


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "pipe", Path("a\x00b"),
                 Path("x" * 5000)):  # fmt: skip
        with pytest.raises(InputError, match="the contour file") as error:
            load_file(path, "local")
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 500


def nested(path: str, value: str) -> str:
    """A file with one value at a dotted path."""
    opened = "".join(f"{{{key}: " for key in path.split("."))
    return f"{opened}{value}{'}' * len(path.split('.'))}"


BLOCKS = sorted({block.rstrip(".") for block, _ in keys_of(ContourFile)})
LEAVES = sorted(
    f"{block}{key}" for block, key in keys_of(ContourFile) if f"{block}{key}" not in BLOCKS
)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_unknown_key_is_an_error_at_every_depth(block: str) -> None:
    path = f"{block}.surprise".lstrip(".")
    assert f"unknown key {path} in mine.yaml" in refused(nested(path, "1"))


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_wrong_type_is_an_error_at_every_key(leaf: str) -> None:
    for value in ("[[1]]", "2026-11-01"):
        assert refused(nested(leaf, value)).startswith(f"{leaf} in mine.yaml cannot be ")
