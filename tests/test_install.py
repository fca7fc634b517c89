"""The installer says how far it is, and why it failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import install


def test_a_failure_ends_with_what_pip_said_and_where_the_rest_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(install.STEPS, "run", (("--no-index", "no-such-package"),))
    monkeypatch.setattr(install, "log_file", lambda: tmp_path / "install.log")
    assert install.main("run") != 0
    said = capsys.readouterr().out
    assert "No matching distribution found for no-such-package" in said
    assert said.rstrip().endswith(f"everything pip said is in {tmp_path / 'install.log'}")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "looking for packages"),
        ("Collecting a\n  Downloading a.whl\nCollecting b.c>=1\n", "fetched 2 packages: b.c"),
        ("Collecting a\nInstalling collected packages: a, b, c\n", "unpacking 3 packages: "),
    ],
)
def test_progress_is_read_from_what_pip_says(tmp_path: Path, log: str, said: str) -> None:
    (tmp_path / "log").write_text(log)
    assert install.progress(tmp_path / "log", 0).startswith(said)


def test_every_step_installs_pinned_or_hashed_packages() -> None:
    for steps in install.STEPS.values():
        for step in steps:
            assert "constraints.txt" in step or "--require-hashes" in step
    assert set(install.STEPS) == set(install.TITLES)
