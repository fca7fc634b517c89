"""A setting is one that exists, with a value it can have, or one line that says what is wrong."""

from __future__ import annotations

import pytest

from predator.config import Settings, load_settings, parse_overrides
from predator.domain.errors import InputError


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
        ("ndcg_delta_rel_min", "-0.03"),
        ("category_delta_rel_min", "0.1"),
        ("cost_per_1k_usd_max", "-1"),
        ("latency_floor_ms", "inf"),
        ("alpha", "0"),
        ("alpha", "0.5"),
        ("windows_needed", "4"),
        ("windows_needed", "0"),
        ("contour", "moon"),
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
