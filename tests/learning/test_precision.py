"""bf16 is used where the hardware multiplies it, and where one asks for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from predator.learning.precision import bf16


def cuda(native: bool) -> SimpleNamespace:
    return SimpleNamespace(cuda=SimpleNamespace(is_bf16_supported=lambda: native))


@pytest.mark.parametrize(
    ("line", "native"),
    [
        ("flags\t\t: fpu sse avx512_bf16 avx512_vnni", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16", True),
        ("flags\t\t: fpu sse avx2", False),
        ("model name\t: avx512_bf16", False),
        ("", False),
    ],
)
def test_a_processor_says_whether_it_can(tmp_path: Path, line: str, native: bool) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\n{line}\n")
    assert bf16(cuda(False), "cpu", "auto", told) is native
    assert bf16(cuda(True), "cpu", "auto", tmp_path / "none") is False


def test_a_card_is_asked_and_a_person_is_obeyed(tmp_path: Path) -> None:
    for native in (True, False):
        assert bf16(cuda(native), "cuda", "auto") is native
    for device in ("cpu", "cuda"):
        assert bf16(cuda(False), device, "bfloat16") is True
        assert bf16(cuda(True), device, "float32") is False
