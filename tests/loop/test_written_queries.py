"""A query writer adds to a cycle's dataset, and takes nothing from it where it fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from predator.adapters.query_writer.memory import MemoryQueryWriter
from predator.domain.documents import Document
from predator.domain.errors import InputError, PredatorError
from predator.learning.query_generation import Generated
from predator.loop.dataset.written_queries import ask, counts
from predator.ports.query_writer import Progress, Written

DOCUMENTS = [Document(f"d{i}", f"subject {i}", f"text about subject {i}") for i in range(4)]


def silent(_done: int, _total: int) -> None:
    pass


class Broken(MemoryQueryWriter):
    def __init__(self, error: PredatorError) -> None:
        super().__init__(lambda document: document.title)
        self._error = error

    def write(
        self, documents: Sequence[Document], count_each: int, progress: Progress = silent
    ) -> Sequence[Written]:
        super().write(documents[:1], count_each, progress)
        raise self._error


def test_each_document_is_asked_for_its_share() -> None:
    writer = MemoryQueryWriter(lambda d: "\n".join(f"subject number {i}" for i in range(50)))
    made, told = ask(writer, DOCUMENTS, 10, silent)
    assert len(made) == 12
    assert made[0] == Generated("subject number 0", "d0", "memory")
    assert told is not None
    assert (told["name"], told["proposed"], told["documents"], told["cost_usd"]) == (
        "memory", 12, 4, 0,
    )  # fmt: skip
    assert "failure" not in told
    _, again = ask(writer, DOCUMENTS[:1], 1_000_000, silent)
    assert again is not None
    assert (again["proposed"], again["documents"]) == (16, 1)  # of this call alone


@pytest.mark.parametrize(("documents", "count"), [([], 10), (DOCUMENTS, 0)])
def test_nothing_is_asked_where_nothing_is_wanted(documents: list[Document], count: int) -> None:
    assert ask(MemoryQueryWriter(lambda d: d.title), documents, count, silent) == ([], None)
    assert ask(None, DOCUMENTS, 10, silent) == ([], None)


def test_a_service_that_is_down_is_told_and_done_without() -> None:
    made, told = ask(Broken(PredatorError("it does not answer")), DOCUMENTS, 10, silent)
    assert made == []
    assert told is not None
    assert (told["failure"], told["documents"]) == ("it does not answer", 1)


def test_a_writer_that_is_set_wrongly_is_an_error() -> None:
    with pytest.raises(InputError, match="HTTP 401"):
        ask(Broken(InputError("HTTP 401")), DOCUMENTS, 10, silent)


def test_counts_are_metrics_of_the_run() -> None:
    rows = [("q", "a", "d", 1, "judgment"), ("g", "b", "d", 1, "title"), ("h", "c", "d", 1, "llm")]
    assert counts(rows, {"leak": 3}) == {
        "generated_examples": 2.0, "judged_rows": 1.0, "dropped_leak": 3.0,
    }  # fmt: skip
    assert counts([], None) == {"generated_examples": 0.0, "judged_rows": 0.0}
