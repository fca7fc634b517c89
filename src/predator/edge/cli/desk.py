"""The operator's desk as commands use it: one line where there is none, and who is at it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from predator.bootstrap.operator import Office, check_home, operating
from predator.domain.errors import InputError
from predator.edge.cli.options import settings_from


@contextmanager
def at_desk(pairs: Sequence[str]) -> Iterator[Office]:
    """The Operator by the settings; ``InputError`` where nothing ever ran in the home folder."""
    settings = settings_from(pairs)
    check_home(settings)
    with operating(settings) as office:
        yield office


def who(actor: str | None) -> str:
    """Who acts: ``--actor``, or the user of this machine."""
    if actor is not None:
        return actor
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise InputError(
            "nobody knows who you are: this user has no name", cure="say so with --actor NAME"
        ) from None


def now(office: Office) -> float:
    """The present by the clock of the desk, in unix s."""
    return office.operator.desk.clock.now()
