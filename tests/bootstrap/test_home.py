"""A home folder's runs: who is at work on one."""

from __future__ import annotations

from pathlib import Path

from predator.bootstrap.home import Run


def test_a_run_that_is_served_by_another_process_is_told(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.claim_serving()
    assert not run.claim_serving()
