"""A tuned encoder as files: what the exporter accepts, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.domain.errors import InputError, IntegrityError
from predator.learning import bi_encoder
from predator.learning.bi_encoder import MIXES, PARTS, BiEncoder, Plan, best_mix, read_parts
from predator.learning.bi_encoder_objective import check
from predator.learning.lessons import Lesson, Lessons, Question
from predator.learning.torch_runtime import device_of, is_starved, load_torch
from predator.search.encoder.onnx_encoder import OnnxEncoder
from tests.search.encoder.tiny import tiny_folder


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return read_parts(tiny_folder(tmp_path_factory.mktemp("tiny")))


def test_a_model_goes_through_flat_files_and_is_exported_like_its_folder(
    parts: dict[str, bytes], tmp_path: Path
) -> None:
    assert set(parts) == set(PARTS)
    model = bi_encoder.load(bi_encoder.save(BiEncoder(parts, {"mix": 0.5})))
    assert model.files == parts
    assert not model.is_original
    files = model.export(tmp_path / "cache", max_tokens=32)
    assert files.dim == 32
    again = model.export(tmp_path / "cache", max_tokens=32)
    assert again.digest == files.digest
    vectors = OnnxEncoder(files).encode(["read table", "search file"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_model_that_nothing_improved_says_that_it_is_the_original(
    parts: dict[str, bytes],
) -> None:
    assert BiEncoder(parts, {"mix": 0.0}).is_original


@pytest.mark.parametrize("name", [*PARTS, bi_encoder.REPORT])
def test_files_that_are_cut_or_missing_are_refused(parts: dict[str, bytes], name: str) -> None:
    files = bi_encoder.save(BiEncoder(parts, {"mix": 1.0}))
    with pytest.raises(IntegrityError):
        bi_encoder.load({key: data for key, data in files.items() if key != name})
    if name != "tokenizer.json":  # opaque until it is used; the exporter reads it
        with pytest.raises(IntegrityError):
            bi_encoder.load({**files, name: files[name][: len(files[name]) // 2]})


@pytest.mark.parametrize("mix", ["null", '"1"', "2", "-1", "NaN", "true"])
def test_a_report_with_an_impossible_mix_is_refused(parts: dict[str, bytes], mix: str) -> None:
    files = bi_encoder.save(BiEncoder(parts, {"mix": 1.0}))
    files[bi_encoder.REPORT] = b'{"mix": %s}' % mix.encode()
    with pytest.raises(IntegrityError, match="mix"):
        bi_encoder.load(files)


def held_out(means: Sequence[float], n: int = 100) -> list[NDArray[np.float64]]:
    """Scores of questions for each mix: gains of 0.1 on as many as make the mean."""
    base = np.linspace(0.2, 0.7, n)
    gained = [np.arange(n) < round((mean - means[0]) * n / 0.1) for mean in means]
    return [base + 0.1 * some for some in gained]


def test_the_best_mix_is_taken_and_of_equals_the_one_nearest_to_the_original() -> None:
    assert best_mix(held_out([0.5] * len(MIXES))) == 0.0
    assert best_mix(held_out([0.5, 0.56, 0.56, 0.52, 0.51])) == MIXES[1]
    assert best_mix(held_out([0.5, 0.5, 0.52, 0.53, 0.57])) == 1.0


def test_a_gain_that_held_out_questions_do_not_show_keeps_the_original() -> None:
    assert best_mix(held_out([0.5, 0.501, 0.502, 0.5, 0.5])) == 0.0
    one = [np.asarray([0.5]), *(np.asarray([0.9]) for _ in MIXES[1:])]
    assert best_mix(one) == 0.0
    assert best_mix([np.zeros(9), *(np.ones(9) for _ in MIXES[1:])]) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "triplet"}, {"threads": 0}, {"budget_s": float("nan")}, {"epochs": -1},
        {"learning_rate": float("inf")}, {"max_tokens": 2}, {"batch": 0},
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_followed_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Plan(**{"loss": "info_nce", "seed": 0, **wrong})  # type: ignore[arg-type]


def lessons(**changed: object) -> Lessons:
    train = (Lesson("a", 0, (1,), (0.5,)), Lesson("b", 1, (0,), (0.5,)))
    values: dict[str, object] = {
        "texts": ["x", "y"],
        "train": train,
        "dev": (Question("c", {0: 1}),),
        "pool": (0, 1),
        "teacher": "some",
        **changed,
    }
    return Lessons(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"train": (Lesson(" ", 0, (1,), (0.5,)),)}, "empty"),
        ({"train": (Lesson("a", 0, (1,), (float("nan"),)),)}, "no number"),
        ({"train": (Lesson("a", 0, (1,), ()),)}, "missing"),
        ({"train": (Lesson("a", 0, (1,), (1.0,)), Lesson("b", 0, (1,), (1.0,)))}, "same answer"),
        ({"train": (Lesson("a", 0, (), ()), Lesson("b", 1, (), ()))}, "wrong candidate"),
        ({"dev": ()}, "held-out"),
    ],
)
def test_lessons_that_teach_nothing_are_refused_with_their_reason(
    changed: dict[str, object], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        check(lessons(**changed), Plan(loss="margin_mse", seed=0))


def test_without_torch_the_error_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install 'predator-search\[train\]'"):
        load_torch(1, 0)


class NoCuda:
    class cuda:  # noqa: N801 - torch's own name
        @staticmethod
        def is_available() -> bool:
            return False

    @staticmethod
    def device(name: str) -> str:
        return name


def test_a_gpu_is_never_needed_and_one_that_is_demanded_must_be_there() -> None:
    assert device_of(NoCuda, "auto") == device_of(NoCuda, "cpu") == "cpu"
    with pytest.raises(InputError, match="no CUDA"):
        device_of(NoCuda, "cuda")
    with pytest.raises(InputError, match="no device"):
        device_of(NoCuda, "tpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "starved"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_ran_out_is_told_from_other_faults(error: Exception, starved: bool) -> None:
    assert is_starved(error) is starved


def test_scores_are_cosines_and_every_word_of_the_query_is_explained(
    parts: dict[str, bytes], tmp_path: Path
) -> None:
    encoder = bi_encoder.open_encoder(BiEncoder(parts, {"mix": 1.0}), tmp_path, max_tokens=32)
    got = bi_encoder.score(encoder, "read table", ["read table", "search"])
    assert got[0] == pytest.approx(1, abs=1e-5)
    assert got[1] < 1
    assert not len(bi_encoder.score(encoder, "read table", []))
    words = bi_encoder.explain(encoder, "read table", "search")
    assert [word.word for word in words] == ["read", "table"]
    (rest,) = bi_encoder.score(encoder, " table", ["search"])
    assert words[0].cosine_delta == pytest.approx(got[1] - rest, abs=1e-5)
