"""The same commands on PostgreSQL, whose password no output repeats."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import make_url

from predator.adapters.runtime.dbos_client import DbosFlows
from predator.bootstrap.governed import stores_of
from predator.config import load_settings
from predator.domain.governance import Approval
from tests.edge.conftest import Commands
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

SECRET = "geheim-4711"
BECAUSE = ("--reason", "because")


def test_commands_need_no_folder_there_and_tell_no_password(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    url = make_url(postgres_url).set(drivername="postgresql", password=SECRET)
    monkeypatch.setenv("PREDATOR_DATABASE_URL", url.render_as_string(hide_password=False))
    told = commands.does("kill", "on", *BECAUSE)
    assert "***" in told
    assert all(row["stopped"] for row in commands.json("kill", "status"))
    commands.does("kill", "off", *BECAUSE)
    cycle_id = commands.json("cycle", "request", *BECAUSE, "--contour", "edge-oracle")["cycle_id"]
    told += commands.does("cycle", "show", cycle_id)
    assert commands.json("cycle", "show", cycle_id)["flow"] == "queued"
    now = time.time()
    approval = Approval(
        f"{cycle_id}:promote", "edge-oracle", cycle_id, "promote", "Promote v2.0", "d" * 64,
        "approval-required", now, now + 3600,
    )  # fmt: skip
    stores = stores_of(load_settings())
    stores.approvals.request(approval)
    stores.database.close()
    answered = commands.json("approve", approval.id, *BECAUSE, "--actor", "bob")
    assert (answered["delivered"], answered["approval"]["state"]) == (True, "approved")
    told += commands.does("state", "--contour", "edge-oracle")
    told += commands.does("token", "issue", "--actor", "bob", "--role", "viewer")
    told += commands.does("audit", "operators") + commands.does("settings")
    assert SECRET not in told
    flows = DbosFlows(url.render_as_string(hide_password=False))
    assert [flow.id for flow in flows.list()].count(cycle_id) == 1
    flows.close()
    monkeypatch.setenv("PREDATOR_DATABASE_URL", f"postgresql://u:{SECRET}@127.0.0.1:1/none")
    line = commands.refuses("kill", "on", *BECAUSE, code=1)
    assert SECRET not in line
