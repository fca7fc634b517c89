"""A job that is waited for ends in its files, or in one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from predator.bootstrap.jobs import outputs_of
from predator.config import load_settings
from predator.domain.errors import InputError


def test_a_job_that_fails_says_which_and_why(tmp_path: Path) -> None:
    settings = load_settings({"home": tmp_path})
    with pytest.raises(InputError, match="the job portfolio failed: KeyError"):
        outputs_of(settings, "portfolio", {"a.txt": b"no dataset"}, {}, lambda *_: None)
