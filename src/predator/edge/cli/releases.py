"""``predator releases``: what was live."""

from __future__ import annotations

from collections.abc import Sequence

from predator.bootstrap.operator import check_platform
from predator.edge.cli.desk import at_desk, now
from predator.edge.cli.shown import print_json, print_table
from predator.edge.cli.times import moment


def list_releases(contour: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """Every release that was live, newest first, by the commits of git."""
    with at_desk(pairs) as office:
        check_platform(office.settings)
        found = office.operator.releases(contour or office.settings.contour)
        if as_json:
            print_json(found)
            return
        at = now(office)
        rows = []
        for one in found:
            marks = [
                name
                for name, has in (("live", one.live), ("stable", one.stable), ("Gold", one.gold))
                if has
            ]
            rows.append(
                (one.version, one.digest[:12], one.cycle_id, moment(one.at, at),
                 ", ".join(marks), one.subject)
            )  # fmt: skip
        titles = ("version", "release", "made by", "live since", "", "commit")
        print_table(titles, rows, "nothing was live here yet")
