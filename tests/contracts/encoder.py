"""What every encoder must do; an encoder's test gives the fixture and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from predator.ports.encoder import Encoder

PLAIN = ["", "a", "read a table", "how do I read a table from a file? " * 40, "пошук", "search"]
HOSTILE = [
    "\0",
    "\ud800 half a pair",
    "\u202egnp.exe",
    "a\u0301" * 5000,
    "x" * 1_000_000,
    " " * 1_000_000,
    "\U0001f600" * 3000,
    "[CLS] [SEP] [PAD] [MASK] ##a",
    "'; DROP TABLE documents; --",
    "{{ 7 * 7 }} ${HOME} $(reboot) <script>alert(1)</script>",
    "\n\t\r\x0b\x7f\ufeff",
    "../../etc/passwd",
]


class EncoderContract:
    @pytest.fixture
    def encoder(self) -> Encoder:
        raise NotImplementedError

    def test_gives_one_unit_vector_a_text(self, encoder: Encoder) -> None:
        vectors = encoder.encode(PLAIN)
        assert vectors.shape == (len(PLAIN), encoder.dim)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_nothing_gives_nothing(self, encoder: Encoder) -> None:
        assert encoder.encode([]).shape == (0, encoder.dim)

    def test_a_vector_depends_on_its_text_alone(self, encoder: Encoder) -> None:
        together = encoder.encode(PLAIN)
        np.testing.assert_array_equal(encoder.encode(PLAIN[::-1]), together[::-1])
        np.testing.assert_array_equal(np.vstack([encoder.encode([t]) for t in PLAIN]), together)

    @pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
    def test_any_text_gives_a_unit_vector(self, encoder: Encoder, text: str) -> None:
        for vector in (encoder.encode([text])[0], encoder.encode_query(text)):
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)

    def test_a_query_is_encoded_like_a_document(self, encoder: Encoder) -> None:
        for text in PLAIN:
            np.testing.assert_array_equal(encoder.encode_query(text), encoder.encode([text])[0])

    def test_a_query_vector_cannot_be_changed(self, encoder: Encoder) -> None:
        with pytest.raises(ValueError, match="read-only"):
            encoder.encode_query("read a table")[0] = 1

    def test_threads_may_share_it(self, encoder: Encoder) -> None:
        wanted = encoder.encode(PLAIN)
        with ThreadPoolExecutor(4) as threads:
            for got in threads.map(lambda _: encoder.encode(PLAIN), range(8)):
                np.testing.assert_array_equal(got, wanted)

    def test_has_a_digest(self, encoder: Encoder) -> None:
        assert len(bytes.fromhex(encoder.digest)) == 32
