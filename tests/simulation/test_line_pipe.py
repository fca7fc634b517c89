"""A process that is controlled over pipes never hangs on them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from predator.simulation.line_pipe import LineWriter, follow_lines


def followed(data: bytes, tmp_path: Path) -> list[bytes]:
    path = tmp_path / "commands"
    path.write_bytes(data)
    lines: list[bytes] = []
    ended = threading.Event()
    with path.open("rb") as file:
        follow_lines(file.fileno(), lines.append, ended.set)
        assert ended.wait(5)
    return lines


def test_lines_come_whole_and_the_end_is_noticed_even_for_a_file(tmp_path: Path) -> None:
    long = b"x" * 100_000
    assert followed(b"one\n\ntwo\n" + long + b"\nunfinished", tmp_path) == [b"one", b"two", long]


def test_an_endless_line_is_the_end(tmp_path: Path) -> None:
    assert followed(b"x" * 3_000_000 + b"\nlater\n", tmp_path) == []


def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing, lambda: None)
    started = time.monotonic()
    for _ in range(300):
        writer.write(b"x" * 1000)
    writer.close(b"last", timeout_s=0.05)
    assert time.monotonic() - started < 30.0
    os.close(reading)


def test_lines_arrive_in_order_with_the_last_one() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing, lambda: None)
    writer.write(b"first")
    writer.write(b"second")
    writer.close(b"last", timeout_s=5)
    assert os.read(reading, 100) == b"first\nsecond\nlast\n"
    os.close(reading)
    os.close(writing)


def test_a_reader_that_left_is_noticed() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    gone = threading.Event()
    LineWriter(writing, gone.set).write(b"hello")
    assert gone.wait(5)
    os.close(writing)
