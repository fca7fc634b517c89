"""One writer by the settings, its key from where it lies and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from predator.bootstrap.query_writer import query_writer_of
from predator.config import Settings, describe, load_settings
from predator.domain.errors import InputError
from tests.adapters.query_writer.chat_service import KEY, serving
from tests.contracts.query_writer import DOCUMENTS


def settings(**given: Any) -> Settings:
    return load_settings({name: str(value) for name, value in given.items()})


def test_none_is_set_and_none_is_asked() -> None:
    assert query_writer_of(settings()) is None


def test_a_service_is_asked_with_the_key_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    with serving() as service:
        given = settings(
            query_writer_url=service.url,
            query_writer_model="small-model",
            query_writer_key="env:CANARY_KEY",
            query_writer_prompt_usd=10,
        )
        writer = query_writer_of(given)
        assert writer is not None
        assert writer.name == "openai_compatible"
        assert len(writer.write(DOCUMENTS, 1)) == 3
        assert service.wrong == []
        assert writer.spent().cost_usd == pytest.approx(0.003)
    assert KEY not in json.dumps([dict(row) for row in describe(given)]) + repr(given)


def test_a_key_in_place_of_a_reference_is_refused_without_being_repeated() -> None:
    with pytest.raises(InputError, match="env:NAME or file:/path") as raised:
        settings(query_writer_key=KEY)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"query_writer_url": "https://api.example.com/v1"}, "needs both"),
        ({"query_writer_model": "m"}, "needs both"),
        ({"query_writer_model": "m", "doc2query_model": "/x"}, "two query writers"),
        ({"doc2query_model": "/nowhere/at/all"}, "no folder"),
        (
            {
                "query_writer_url": "https://api.example.com/v1",
                "query_writer_model": "m",
                "query_writer_key": "env:NOT_SET_AT_ALL",
            },
            "NOT_SET_AT_ALL",
        ),
    ],
)
def test_half_a_writer_or_two_is_an_error_with_a_cure(given: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        query_writer_of(settings(**given))


def test_a_folder_is_a_doc2query_model(tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "config.json").write_text('{"is_encoder_decoder": true}')
    writer = query_writer_of(settings(doc2query_model=tmp_path))
    assert writer is not None
    assert writer.name == "doc2query"
