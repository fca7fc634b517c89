"""``predator audit verify`` and ``predator cycle replay`` say in one line what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.domain.errors import InputError, IntegrityError
from predator.edge.cli.audit import replay_cycle, verify_audit
from tests.loop.recorded import CYCLE, OTHER, Recorded, recorded


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    return [f"home={tmp_path / 'home'}", f"artifacts={tmp_path / 'artifacts'}"]


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[str], BareGit]:
    def made(run: str) -> BareGit:
        path = tmp_path / "home" / "runs" / run / "gitops.git"
        path.parent.mkdir(parents=True)
        return BareGit(path)

    return made


@pytest.fixture
def cycles(tmp_path: Path, repository: Callable[[str], BareGit]) -> tuple[Recorded, Recorded]:
    """Two finished cycles, each in the repository of its own run."""
    artifacts = tmp_path / "artifacts"
    return (
        recorded(artifacts, repository("20251207-a"), CYCLE),
        recorded(artifacts, repository("20251207-b"), OTHER, seed=1),
    )


def test_a_sound_audit(
    cycles: tuple[Recorded, Recorded], pairs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    verify_audit(None, False, pairs)
    shown = capsys.readouterr().out
    for word in (CYCLE, OTHER, "closed", "in git", "intact"):
        assert word in shown
    verify_audit(CYCLE, True, pairs)
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    [one] = found["cycles"]
    assert (one["cycle_id"], one["anchored"], one["records"]) == (CYCLE, True, 30)


def test_a_shortened_journal(
    cycles: tuple[Recorded, Recorded], pairs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = cycles[1].folder / "audit.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    wanted = f"the audit does not hold: {OTHER}: commit .* names a record that the journal does not"
    for as_json in (False, True):
        with pytest.raises(IntegrityError, match=wanted) as refused:
            verify_audit(None, as_json, pairs)
        assert refused.value.exit_code == 1 and "\n" not in str(refused.value)
    shown = capsys.readouterr().out
    assert json.loads(shown[shown.index("{") :])["ok"] is False
    verify_audit(CYCLE, False, pairs)


def test_an_edited_record_is_named_by_its_number(
    cycles: tuple[Recorded, Recorded], pairs: list[str]
) -> None:
    for one in cycles:
        path = one.folder / "audit.jsonl"
        path.write_bytes(path.read_bytes().replace(b'"status":"completed"', b'"status":"denied"'))
    with pytest.raises(IntegrityError, match=rf"{CYCLE}: record 5: .* \(and 1 more\)"):
        verify_audit(None, False, pairs)


def test_an_edited_artifact(cycles: tuple[Recorded, Recorded], pairs: list[str]) -> None:
    (cycles[0].folder / "evaluation.json").write_text('{"verdict": "PASS"}')
    with pytest.raises(IntegrityError, match=r"record 13: evaluation\.json is not what"):
        verify_audit(CYCLE, False, pairs)


def test_a_replay_that_agrees(
    cycles: tuple[Recorded, Recorded], pairs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    replay_cycle(CYCLE, False, pairs)
    assert f"23 of 23 decisions of {CYCLE} the same" in capsys.readouterr().out
    replay_cycle(CYCLE, True, pairs)
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True and len(found["decisions"]) == 23


def test_a_replay_that_does_not(
    cycles: tuple[Recorded, Recorded], pairs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = next((cycles[0].folder / "decisions").glob("*-evaluate.json"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IntegrityError, match=f"the replay of {CYCLE} differs: evaluate-1: ") as no:
        replay_cycle(CYCLE, False, pairs)
    assert "\n" not in str(no.value)
    assert "22 of 23" in capsys.readouterr().out
    (cycles[0].folder / "audit.jsonl").unlink()
    with pytest.raises(IntegrityError, match="there is no journal"):
        replay_cycle(CYCLE, True, pairs)


@pytest.mark.parametrize("name", ["../x", "si_2025_12_07_009", "[bold]", "\x1b[31m"])
def test_a_cycle_that_is_not_there(pairs: list[str], name: str) -> None:
    for command in (verify_audit, replay_cycle):
        with pytest.raises(InputError, match=r"there is no cycle|is not a cycle id"):
            command(name, False, pairs)


def test_no_cycles_are_no_fault(pairs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    verify_audit(None, False, pairs)
    assert "no cycles in" in capsys.readouterr().out
