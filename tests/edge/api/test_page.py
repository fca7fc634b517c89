"""The page of the admin API keeps up with its routes, and what it tells people to send works."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from predator.domain.governance import Role
from predator.edge.api.guard import OPERATIONS, PREFIX
from predator.policy.api import TABLE
from tests.documents import commands, text_of
from tests.edge.api.requests_of import cycle, ended, keep, override, rollback, routes, token_id
from tests.edge.api.served import Served
from tests.loop.operator_world import CYCLE, DAY

PAGE = text_of(Path(__file__).parents[3] / "docs/admin-api.md")


def test_the_page_names_every_route_and_no_other(tmp_path: Path) -> None:
    titles = re.findall(r"^## `(GET|POST|PUT|DELETE) (\S+)`$", PAGE, re.M)
    assert len(titles) == len(set(titles))
    shown = {(method, path.replace(":path", "")) for method, path in routes(Served(tmp_path).app)}
    assert set(titles) == shown


def test_each_section_shows_a_request_that_works(tmp_path: Path) -> None:
    served = Served(tmp_path)
    world = served.world
    world.leave_cycle()
    world.publish("v1.0", experiment=True)
    world.operator.set_flag("ab_testing", "local", True, actor="zoe", reason="x")
    until = datetime.fromtimestamp(world.now + DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    values = {
        "$HOST": "",
        "$API": PREFIX,
        "$AUTH": f"Authorization: Bearer {served.secret}",
        "$JSON": "Content-Type: application/json",
        "$UNTIL": until,
        "$CYCLE": CYCLE,
        "$RUNNING": cycle(world),
        "$ROLLBACK": rollback(world),
        "$HELD": ended(world),
        "$KEEPING": keep(world),
        "$APPROVAL": world.ask().id,
        "$OTHER_APPROVAL": world.ask().id,
        "$OVERRIDE": override(world).id,
        "$TOKEN_ID": token_id(world),
    }
    sent = set()
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        title = re.match(r"`(\S+) (\S+)`", section)
        calls = [list(words) for words in commands(section, "curl")]
        assert bool(calls) == bool(title)
        for words in calls:
            filled = [re.sub(r"\$[A-Z_]+", lambda m: values[m[0]], word) for word in words]
            url = next(word for word in filled if word.startswith(("/", PREFIX)))
            body = filled[filled.index("-d") + 1] if "-d" in filled else None
            method = "POST" if body else "GET"
            method = filled[filled.index("-X") + 1] if "-X" in filled else method
            pairs = [filled[at + 1] for at, word in enumerate(filled) if word == "-H"]
            headers = {name: value for name, _, value in (pair.partition(": ") for pair in pairs)}
            answer = served.client.request(method, url, content=body, headers=headers)
            assert answer.is_success, (words, answer.text)
            assert title is not None
            template = re.sub(r"\\\{\w+\\\}", ".+", re.escape(title[2]))
            assert re.fullmatch(f"({PREFIX})?{template}", url.partition("?")[0]), url
            assert method == title[1]
            sent.add(title[0])
    assert len(sent) == len(served.app.state.routes)


def test_the_page_names_every_metric(tmp_path: Path) -> None:
    served = Served(tmp_path)
    text = served.get("/metrics").text
    exposed = set(re.findall(r"^# TYPE (predator_\w+?)(?:_total|_created)? ", text, re.M))
    assert set(re.findall(r"^\| `(predator_\w+)` \|", PAGE, re.M)) == exposed


def test_the_page_names_every_role_and_every_operation_has_a_door() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| (?:read|everything)", PAGE, re.M)) == set(Role)
    assert set(OPERATIONS.values()) == set(TABLE)
