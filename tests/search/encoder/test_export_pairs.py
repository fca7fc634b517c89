"""A cross-encoder is exported as it was trained, or it is not exported."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.search.encoder import export_pairs
from predator.search.encoder.export_pairs import PROBES, Exported, export_cross_encoder
from tests.search.encoder.tiny import SHAPE, tiny_tokenizer
from tests.search.pair_models import exported, pair_weights

Weights = dict[str, NDArray[np.float32]]


def export(weights: Weights, tokenizer: str = "", max_tokens: int = 32) -> Exported:
    return export_cross_encoder(
        SHAPE,
        weights,
        (tokenizer or tiny_tokenizer()).encode(),
        max_tokens=max_tokens,
        max_query_tokens=8,
    )


def test_the_same_weights_give_the_same_files() -> None:
    assert export(pair_weights()).files == exported().files
    assert exported(seed=1).manifest.digest != exported().manifest.digest


def test_the_order_of_float32_is_kept_and_the_loss_is_told() -> None:
    assert export_pairs.CORRELATION_MIN <= exported().rank_correlation <= 1
    assert 0 < exported().error < 0.5


def test_weights_are_integers_but_for_the_head() -> None:
    import onnx

    graph = onnx.load_model_from_string(exported().files["cross-encoder.onnx"]).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("MatMul") == 1 + 2  # the head, and the two means
    assert "MatMulInteger" in kinds


def _drop(weights: Weights) -> None:
    del weights["head.bias"]


def _misshape(weights: Weights) -> None:
    weights["head.weight"] = weights["head.weight"].T.copy()


def _break(weights: Weights) -> None:
    weights["head.weight"][3] = np.nan


@pytest.mark.parametrize(
    ("damage", "message"),
    [(_drop, "head.bias is missing"), (_misshape, "not float32"), (_break, "holds NaN")],
)
def test_weights_that_are_no_model_are_refused(
    damage: Callable[[Weights], None], message: str
) -> None:
    weights = pair_weights()
    damage(weights)
    with pytest.raises(InputError, match=message):
        export(weights)


def test_a_model_that_tells_no_pair_from_another_is_refused() -> None:
    weights = pair_weights()
    weights["head.weight"] = np.zeros_like(weights["head.weight"])
    with pytest.raises(InputError, match="gives every pair the same score"):
        export(weights)


def test_a_model_that_int8_ruins_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_pairs, "CORRELATION_MIN", 1.01)
    with pytest.raises(InputError, match="int8 keeps only a rank correlation of"):
        export(pair_weights())


def test_the_tokenizer_of_another_model_is_refused() -> None:
    with pytest.raises(InputError, match="knows token"):
        export(pair_weights(), tiny_tokenizer(extra=50))


def test_more_tokens_than_the_model_has_places_are_refused() -> None:
    with pytest.raises(InputError, match="Choose at most 64"):
        export(pair_weights(), max_tokens=65)


def test_too_few_pairs_prove_nothing() -> None:
    with pytest.raises(InputError, match="do not show what int8 costs"):
        export_cross_encoder(
            SHAPE,
            pair_weights(),
            tiny_tokenizer().encode(),
            max_tokens=32,
            max_query_tokens=8,
            probes=PROBES[:19],
        )
