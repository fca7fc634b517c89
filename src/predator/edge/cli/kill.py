"""``predator kill``: the stop that needs nothing but the flags."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from predator.domain.governance import EVERYWHERE
from predator.edge.cli.desk import at_desk, now, who
from predator.edge.cli.people import acts_of
from predator.edge.cli.shown import print_json, print_table, say
from predator.edge.cli.times import moment, stamp
from predator.loop.operator.desk import text
from predator.loop.operator.service import Switched


def switch_on(
    contour: str, reason: str, actor: str | None, as_json: bool, pairs: Sequence[str]
) -> None:
    """Engage the kill switch; says so once the row is durable and was read back."""
    text(reason, "reason")
    with at_desk(pairs) as office:
        switched = office.operator.stop(contour, actor=who(actor), reason=reason)
        if as_json:
            print_json(switched)
        else:
            say(
                f"stopped {_where(contour)} at {stamp(now(office))}",
                _stopped(switched),
                f"written to {office.stores.database.url}",
            )
            if not switched.drained:
                say("one effect that was allowed before it is still under way; it is the last")
            if not switched.recorded:
                say("the stop holds, but the journal of operators could not be written")
        # Said before the news goes out: a receiver that hangs must not hold up the answer.
        sys.stdout.flush()


def switch_off(
    contour: str, reason: str, actor: str | None, as_json: bool, pairs: Sequence[str]
) -> None:
    """Disengage the kill switch of a contour, or the row for all."""
    with at_desk(pairs) as office:
        switched = office.operator.start(contour, actor=who(actor), reason=reason)
        if as_json:
            print_json(switched)
            return
        if contour in switched.stopped:
            say(
                f"the row of {contour} is off since {stamp(now(office))}, but {contour} stays "
                "stopped by the row for all: `predator kill off` takes that off"
            )
        else:
            say(f"started {_where(contour)} at {stamp(now(office))}")
        say(_stopped(switched))


def show_switch(contour: str, as_json: bool, pairs: Sequence[str]) -> None:
    """Which contours are stopped, by which row, and who set it last."""
    with at_desk(pairs) as office:
        operator = office.operator
        names = list(operator.desk.contours) if contour == EVERYWHERE else [contour]
        states = [operator.state(name) for name in names]
        if as_json:
            print_json(
                [
                    {
                        "contour": state.contour,
                        "stopped": state.stopped,
                        "rows": state.kill_switch,
                        "unknown": state.unknown.get("flags", ""),
                    }
                    for state in states
                ]
            )
            return
        rows = []
        for state in states:
            unknown = state.unknown.get("flags")
            held = [f"{name}: {'on' if on else 'off'}" for name, on in state.kill_switch.items()]
            why = f"the flags cannot be read: {unknown}" if unknown else ", ".join(held)
            answer = "STOPPED" if state.stopped else "not stopped"
            rows.append((state.contour, answer, why or "no row"))
        print_table(("contour", "the loop", "rows of the kill switch"), rows, "no contours")
        acts = [act for act in acts_of(office.home.operators) if act["verb"] in {"stop", "start"}]
        for act in acts[-1:]:
            given = act["arguments"]
            done = "stopped" if act["verb"] == "stop" else "started"
            say(
                f"last {done} {_where(str(given.get('contour')))} by {act['actor']} "
                f"{moment(act['at'], now(office))}: {given.get('reason')}"
            )


def _where(contour: str) -> str:
    return "everywhere" if contour == EVERYWHERE else f"on {contour}"


def _stopped(switched: Switched) -> str:
    return f"stopped now: {', '.join(switched.stopped) or 'no contour'}"
