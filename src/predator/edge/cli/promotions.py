"""``predator release promote``: asked for here, done by a worker of the contour it comes to."""

from __future__ import annotations

from collections.abc import Sequence

from predator.bootstrap.operator import check_platform
from predator.edge.cli.asked import WAITING, check_ended_well, wait_for
from predator.edge.cli.desk import at_desk, who
from predator.edge.cli.shown import plain, print_json, say
from predator.loop.operator.service import Operator


def promote(
    version: str,
    source: str,
    target: str,
    reason: str,
    actor: str | None,
    wait_s: float,
    dry_run: bool,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Ask for the release on the next contour, and wait a while for what comes of it.

    ``PredatorError`` where its evidence does not let it come, or where it failed. ``dry_run``: the
    exit code says whether it may come.
    """
    with at_desk(pairs) as office:
        check_platform(office.settings)
        operator = office.operator
        if dry_run:
            if not _say_whether(operator, version, source, target, as_json):
                raise SystemExit(1)
            return
        flow_id = operator.promote_release(version, source, target, actor=who(actor), reason=reason)
        found = wait_for(operator.promotion_status, flow_id, wait_s)
        if as_json:
            print_json({**plain(found), "version": version, "from": source, "to": target})
        else:
            say(f"{version} from {source} to {target}: {found.state}", f"its id is {flow_id}")
            if found.state in WAITING:
                say(
                    f"a worker of {target} takes it in turn; it may wait for users of the contour, "
                    "for a person (`predator approvals --pending`), and for its watch"
                )
        check_ended_well("the promotion", found)


def _say_whether(operator: Operator, version: str, source: str, target: str, as_json: bool) -> bool:
    found = operator.promotable(version, source, target)
    if as_json:
        print_json(found)
        return found.allowed
    word = "is there already" if found.done else "may come" if found.allowed else "cannot come"
    say(f"{version} {word} to {target}: {found.reason}")
    if found.allowed and found.returned and not found.done:
        say(f"{target} had it before and went back from it: it does not come by itself")
    return found.allowed
