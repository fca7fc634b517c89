from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from predator.domain.errors import PredatorError
from predator.search.encoder import worker
from predator.search.encoder.files import MODEL, EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.encoder.process import EncoderProcess, WorkerDiedError, describe
from predator.search.encoder.vector_cache import VectorCache, vector_key
from predator.search.encoder.worker import encode_all
from tests.contracts.encoder import HOSTILE

TEXTS = [f"read table {'search ' * (i % 5)}{i}" for i in range(80)]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie has ended)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def soon(what: Callable[[], bool], timeout_s: float = 10) -> bool:
    end = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("processes", [1, 2])
def test_gives_what_the_encoder_gives(tiny: EncoderFiles, processes: int) -> None:
    texts = [*TEXTS, *HOSTILE, "", *TEXTS[:3]]
    got = encode_all(texts, tiny, None, processes=processes)
    np.testing.assert_array_equal(got, OnnxEncoder(tiny).encode(texts))


def test_progress_counts_every_text_once(tiny: EncoderFiles) -> None:
    seen: list[tuple[int, int]] = []
    encode_all([*TEXTS, *TEXTS], tiny, None, progress=lambda *step: seen.append(step))
    assert [total for _, total in seen] == [160] * len(seen)
    done = [done for done, _ in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (80, 160)  # the second half repeats the first


def test_what_is_kept_is_not_encoded_again(
    tiny: EncoderFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encode_all(TEXTS, tiny, VectorCache(tmp_path, tiny.dim))
    monkeypatch.setattr(worker, "EncoderProcess", lambda *_: pytest.fail("encoded again"))
    again = encode_all(TEXTS[::-1], tiny, VectorCache(tmp_path, tiny.dim))
    np.testing.assert_array_equal(again, first[::-1])


def test_another_budget_of_tokens_is_another_vector(tiny: EncoderFiles, tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, tiny.dim)
    encode_all(TEXTS[:2], tiny, cache)
    assert not cache.get([vector_key(replace(tiny, max_tokens=8).digest, TEXTS[0])])[0].any()


def test_nothing_to_encode_starts_nothing(
    tiny: EncoderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "EncoderProcess", lambda *_: pytest.fail("started"))
    assert encode_all([], tiny, None).shape == (0, tiny.dim)


def test_an_interrupt_keeps_what_is_done_and_ends_the_processes(
    tiny: EncoderFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[EncoderProcess] = []

    def start(files: EncoderFiles) -> EncoderProcess:
        started.append(EncoderProcess(files))
        return started[-1]

    def interrupt(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    monkeypatch.setattr(worker, "EncoderProcess", start)
    with pytest.raises(KeyboardInterrupt):
        encode_all(TEXTS, tiny, VectorCache(tmp_path, 32), processes=2, progress=interrupt)
    assert len(started) == 2
    assert not any(alive(process.pid) for process in started)
    keys = [vector_key(tiny.digest, text) for text in TEXTS]
    assert VectorCache(tmp_path, 32).get(keys)[0].sum() == worker.CHUNK


def test_a_broken_model_is_an_error_not_a_hang(tiny: EncoderFiles, tmp_path: Path) -> None:
    shutil.copytree(tiny.folder, tmp_path / "copy")
    (tmp_path / "copy" / MODEL).write_bytes(b"broken")
    with pytest.raises(PredatorError, match=r"model\.onnx is not the file that was exported"):
        encode_all(TEXTS, replace(tiny, folder=tmp_path / "copy"), None)


def test_a_killed_process_is_an_error_not_a_hang(tiny: EncoderFiles) -> None:
    process = EncoderProcess(tiny)
    process.encode(["read"])
    os.kill(process.pid, 9)
    with pytest.raises(WorkerDiedError, match="ended with code -9"):
        process.encode(["read"])
    process.close()


PARENT = """
import json, sys
from predator.search.encoder.process import EncoderProcess, files_of
process = EncoderProcess(files_of(json.loads(sys.argv[1])))
process.encode(["read"])
print(process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("signal", [9, 15])
def test_it_does_not_outlive_its_parent(tiny: EncoderFiles, signal: int) -> None:
    import json

    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, json.dumps(describe(tiny))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(signal)
        parent.wait()
    assert soon(lambda: not alive(child))
