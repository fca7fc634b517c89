"""A setting is one that exists, with a value it can have, or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from predator.config import (
    Settings,
    describe,
    load_contour,
    load_settings,
    parse_overrides,
    quality_gates,
)
from predator.domain.errors import InputError
from predator.policy.gates import load_gates


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.upper().startswith("PREDATOR_"):
            monkeypatch.delenv(name)


def refused(overrides: dict[str, object] | None = None) -> str:
    with pytest.raises(InputError) as error:
        load_settings(overrides)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 300
    assert error.value.exit_code == 2
    return text


def test_the_defaults_are_usable() -> None:
    settings = load_settings()
    assert settings.contour == "local"
    assert settings.port == 8321
    assert settings == load_settings({})


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert name == name.lower()


def test_the_environment_sets_and_the_command_line_overrides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREDATOR_PORT", "9000")
    monkeypatch.setenv("PREDATOR_RATE_PER_S", "12.5")
    assert (load_settings().port, load_settings().rate_per_s) == (9000, 12.5)
    assert load_settings({"port": "9001"}).port == 9001
    monkeypatch.setenv("predator_seed", "7")
    assert load_settings().seed == 7


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("PREDATOR_PRT", "PREDATOR_PORT"),
        ("PREDATOR_RATE", "PREDATOR_RATE_PER_S"),
        ("PREDATOR_WINDOW", "PREDATOR_WINDOW_S"),
        ("predator_usrs", "PREDATOR_USERS"),
        ("PREDATOR_NDCG_DELTA_MIN", "PREDATOR_NDCG_DELTA_REL_MIN"),
    ],
)
def test_an_unknown_variable_suggests_the_nearest(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "1")
    text = refused()
    assert name in text
    assert f"did you mean {nearest}?" in text


def test_a_variable_like_nothing_points_to_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDATOR_", "1")
    assert "see `predator settings`" in refused()
    monkeypatch.delenv("PREDATOR_")
    monkeypatch.setenv("PREDATORY", "1")  # somebody else's
    assert load_settings()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("prt", "port"), ("rate_per_sec", "rate_per_s"), ("experiment_shar", "experiment_share")],
)
def test_an_unknown_setting_suggests_the_nearest(name: str, nearest: str) -> None:
    text = refused({name: "1"})
    assert repr(name) in text
    assert f"did you mean {nearest}?" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("port", "70000"),
        ("port", "-1"),
        ("port", "1.5"),
        ("port", ""),
        ("rate_per_s", "0"),
        ("rate_per_s", "nan"),
        ("rate_per_s", "inf"),
        ("rate_per_s", "1e9"),
        ("ndcg_delta_rel_min", "nan"),
        ("ndcg_delta_rel_min", "0"),
        ("gate_profile", "loose"),
        ("ndcg_delta_rel_min", "-0.03"),
        ("category_delta_rel_min", "0.1"),
        ("cost_per_1k_usd_max", "-1"),
        ("latency_floor_ms", "inf"),
        ("alpha", "0"),
        ("alpha", "0.5"),
        ("windows_needed", "4"),
        ("windows_needed", "0"),
        ("contour", "moon"),
        ("contour", ""),
        ("contour", "local\n"),
        ("contour", "../local"),
        ("admin_port", "70000"),
        ("executor_id", "a worker"),
        ("executor_id", ""),
        ("approval_expires_s", "0"),
        ("budget_usd", "0"),
        ("budget_usd", "nan"),
        ("cycle_cost_usd", "-1"),
        ("max_experiments", "0"),
        ("training_cpu_s", "0"),
        ("training_memory_mb", "1.5"),
        ("worker_heartbeat_s", "0"),
        ("poll_s", "0"),
        ("experiment_share", "1"),
        ("users", "x" * 100_000),
        ("seed", "-1"),
        ("seed", "line\nbreak"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: str) -> None:
    assert repr(name) in refused({name: value})


def test_a_bad_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDATOR_PORT", "http")
    text = refused()
    assert "'port'" in text
    assert "'http'" in text


def test_an_experiment_cannot_end_before_it_may() -> None:
    assert "experiment_min_s is above experiment_max_s" in refused(
        {"experiment_min_s": "50", "experiment_max_s": "20"}
    )


def test_settings_do_not_change_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1


def test_overrides_are_read_from_pairs() -> None:
    assert parse_overrides(["port=1", " seed = 5 ", "home=a=b", "model="]) == {
        "port": "1",
        "seed": "5",
        "home": "a=b",
        "model": "",
    }
    assert parse_overrides([]) == {}
    with pytest.raises(InputError, match="NAME=VALUE"):
        parse_overrides(["port"])


CONTOURS = ("local", "dev-mac", "edge-oracle", "compute-nvidia")


def origin(settings: Settings, name: str) -> str:
    (row,) = (row for row in describe(settings) if row["name"] == name)
    return row["from"]


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", CONTOURS)
def test_every_packaged_contour_gives_settings_that_can_be(name: str) -> None:
    settings = load_settings({"contour": name})
    assert settings.contour == load_contour(settings).name == name


def test_the_defaults_of_the_catalogue_are_those_of_local() -> None:
    settings = load_settings()
    for name, field in Settings.model_fields.items():
        assert getattr(settings, name) == field.default, name


def test_staging_and_production_wait_as_long_as_the_spec_says() -> None:
    for name in ("edge-oracle", "compute-nvidia"):
        settings = load_settings({"contour": name})
        assert settings.experiment_min_s == 7 * 86_400
        assert (settings.watch_looks, settings.watch_look_s) == (12, 600)
        assert settings.experiment_share == 0.2


def test_a_contour_is_outweighed_by_the_environment_and_that_by_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = file(tmp_path, "settings: {port: 9001, watch_looks: 3}")
    settings = load_settings({"contour_file": mine})
    assert (settings.port, settings.watch_looks, settings.alpha) == (9001, 3, 0.05)
    assert origin(settings, "port") == "mine.yaml"
    assert origin(settings, "alpha") == "default"
    monkeypatch.setenv("PREDATOR_PORT", "9002")
    settings = load_settings({"contour_file": mine})
    assert (settings.port, origin(settings, "port")) == (9002, "PREDATOR_PORT")
    settings = load_settings({"contour_file": mine, "port": "9003"})
    assert (settings.port, origin(settings, "port")) == (9003, "--set")
    assert origin(settings, "contour_file") == "--set"


def test_the_environment_chooses_the_contour_and_the_command_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREDATOR_CONTOUR", "edge-oracle")
    assert load_settings().watch_looks == 12
    assert load_settings({"contour": "local"}).watch_looks == 6
    monkeypatch.setenv("PREDATOR_CONTOUR", "moon")
    assert "'contour' cannot be 'moon'" in refused()


def test_keys_of_the_spec_give_the_settings_that_mean_the_same(tmp_path: Path) -> None:
    mine = file(tmp_path, """
selfImprovement: {features: {abSplitRatio: 0.3}}
quality_gates:
  ndcg_at_10: {min_delta: +0.05, min: 0.6}
  latency_p95: {max_delta: +0.10, max: 700}
  cost_per_1k: {max: 0.40}
  user_satisfaction: {min: 4.2}
""")  # fmt: skip
    settings = load_settings({"contour_file": mine})
    assert settings.experiment_share == 0.3
    assert settings.ndcg_delta_rel_min == 0.05
    assert settings.latency_delta_rel_max == 0.10
    assert settings.cost_per_1k_usd_max == 0.40
    assert settings.csat_min == 4.2


def test_the_gates_of_a_contour_follow_the_settings_that_outweigh_it(tmp_path: Path) -> None:
    assert load_gates(quality_gates(load_settings())) == load_gates(
        {
            "ndcg_at_10": {"min_delta": 0.03},
            "latency_p95": {"max_delta": 0.15},
            "cost_per_1k": {"max": 0.50},
            "user_satisfaction": {"min": 4.0},
        }
    )
    mine = file(tmp_path, "quality_gates: {ndcg_at_10: {min: 0.6}}")
    found = quality_gates(load_settings({"contour_file": mine, "ndcg_delta_rel_min": "0.01"}))
    assert found["ndcg_at_10"] == {"min": 0.6, "min_delta": 0.01}
    assert found["user_satisfaction"] == {"min": 4.0}


def test_settings_made_directly_have_a_contour_too() -> None:
    made = Settings.model_validate({"contour": "edge-oracle"})
    assert load_contour(made).source == "values-edge-oracle.yaml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("settings: {prt: 1}", ("unknown key settings.prt in mine.yaml", "settings.port")),
        ("settings: {contour: local}", ("settings.contour in mine.yaml cannot be set there",)),
        ("settings: {contour_file: x}", ("settings.contour_file",)),
        ("settings: {csat_min: 3}", ("quality_gates.user_satisfaction.min",)),
        ("settings: {experiment_share: 0.1}", ("selfImprovement.features.abSplitRatio",)),
        ("settings: {port: 70000}", ("setting 'port' in mine.yaml cannot be '70000'",)),
        ("settings: {port: http}", ("setting 'port' in mine.yaml", "'http'")),
        ("settings: {experiment_min_s: 90}", ("experiment_min_s is above experiment_max_s",)),
        ("settings: {worker_lease_s: 3}", ("worker_lease_s is below twice worker_heartbeat_s",)),
        ("quality_gates: {ndcg_at_10: {min_delta: 0}}", ("quality_gates.ndcg_at_10.min_delta",)),
        ("killSwitch: true", ("did you mean selfImprovement.killSwitch?",)),
    ],
)
def test_what_a_contour_file_cannot_say_is_named(
    text: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    line = refused({"contour_file": file(tmp_path, text)})
    for word in words:
        assert word in line


def test_a_contour_file_that_is_not_there_is_named() -> None:
    assert "the contour file none.yaml is not a file" in refused({"contour_file": "none.yaml"})
    refused({"contour_file": ""})


CANARY = "postgresql://loop:canary@db/predator"


def test_the_database_url_shows_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREDATOR_DATABASE_URL", CANARY)
    settings = load_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == CANARY
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(describe(settings))]
    assert not any("canary" in text for text in shown)
    assert any(row["value"] == "set, not shown" for row in describe(settings))
    assert "canary" not in refused({"port": "http"})
    line = refused({"contour_file": file(tmp_path, f"settings: {{database_url: '{CANARY}'}}")})
    assert "use PREDATOR_DATABASE_URL" in line
    assert "canary" not in line


def test_a_database_url_without_an_equals_sign_is_not_repeated() -> None:
    with pytest.raises(InputError, match="setting 'database_url' has no value") as error:
        parse_overrides([f"database_url: {CANARY}"])
    assert "canary" not in str(error.value)


def test_a_database_url_that_cannot_be_is_not_repeated() -> None:
    with pytest.raises(InputError) as error:
        load_settings({"database_url": ["canary"]})
    assert "'database_url'" in str(error.value)
    assert "canary" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_setting_says_where_it_came_from() -> None:
    rows = {row["name"]: row for row in describe(load_settings({"contour": "edge-oracle"}))}
    assert list(rows) == list(Settings.model_fields)
    assert rows["watch_looks"]["value"] == "12"
    assert rows["watch_looks"]["from"] == "values-edge-oracle.yaml"
    assert rows["contour"]["from"] == "--set"
    assert rows["home"]["from"] == "default"
    assert rows["database_url"]["value"] == "none"
