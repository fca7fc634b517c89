"""``predator notices``: the news, also where no webhook takes it."""

from __future__ import annotations

from collections.abc import Sequence

from predator.bootstrap.operator import check_home
from predator.edge.cli.desk import at_desk
from predator.edge.cli.shown import print_json, print_table


def list_notices(as_json: bool, pairs: Sequence[str]) -> None:
    """The newest hundred notices, those that wait for their receiver first."""
    with at_desk(pairs) as office:
        check_home(office.settings)
        notifier = office.stores.notifier
        waiting, told = list(notifier.pending(100))[::-1], notifier.sent(100)
        if as_json:
            print_json({"waiting": waiting, "told": told})
            return
        rows = [
            (state, one.severity, one.contour, one.title, one.text)
            for state, notices in (("waits", waiting), ("", told))
            for one in notices
        ]
        titles = ("", "severity", "contour", "what", "why")
        print_table(titles, rows, "nobody was told anything yet")
