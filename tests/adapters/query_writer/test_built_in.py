"""The built-in methods keep the port's promises, and the same seed writes the same."""

from __future__ import annotations

import pytest

from predator.adapters.query_writer.built_in import BuiltInQueryWriter
from predator.ports.query_writer import QueryWriter
from tests.contracts.query_writer import DOCUMENTS, QueryWriterContract


class TestBuiltIn(QueryWriterContract):
    @pytest.fixture
    def writer(self) -> QueryWriter:
        return BuiltInQueryWriter()


def test_the_seed_decides() -> None:
    one, two, other = BuiltInQueryWriter(1), BuiltInQueryWriter(1), BuiltInQueryWriter(2)
    assert one.write(DOCUMENTS, 2) == two.write(DOCUMENTS, 2) != other.write(DOCUMENTS, 2)
    assert one.spent().cost_usd == 0
