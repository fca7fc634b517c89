"""What may say no, from settings: the stores, the loop's governance, and the operator's desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from predator.adapters.clock import SystemClock
from predator.bootstrap.home import Home
from predator.config import Settings, load_contour
from predator.contours.load import packaged
from predator.contours.meaning import policy_defaults, receiver
from predator.contours.model import NAMES, Contour
from predator.contours.secret_reference import resolve
from predator.loop.governance import DEGRADATION, Governance, Rules

if TYPE_CHECKING:
    from predator.adapters.database.engine import Database
    from predator.domain.governance import Notice
    from predator.ports.approvals import Approvals
    from predator.ports.cycles import Cycles
    from predator.ports.fence import Fence
    from predator.ports.flags import Flags
    from predator.ports.ledger import GoldLedger
    from predator.ports.limits import Limits
    from predator.ports.notifier import Notifier
    from predator.ports.overrides import Overrides
    from predator.ports.replies import Replies
    from predator.ports.slots import Slots
    from predator.ports.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Stores:
    """Every store of the loop, on one database."""

    database: Database
    flags: Flags
    approvals: Approvals
    overrides: Overrides
    limits: Limits
    slots: Slots
    cycles: Cycles
    tokens: Tokens
    replies: Replies
    notifier: Notifier
    fence: Fence
    ledger: GoldLedger


def stores_of(settings: Settings) -> Stores:
    """Open the database (made and migrated where needed) and the stores on it."""
    from predator.adapters.approvals.sql import SqlApprovals
    from predator.adapters.cycles.sql import SqlCycles
    from predator.adapters.database.engine import open_database
    from predator.adapters.fence.file import FileFence
    from predator.adapters.fence.postgres import PostgresFence
    from predator.adapters.flags.sql import SqlFlags
    from predator.adapters.ledger.sql import SqlLedger
    from predator.adapters.limits.sql import SqlLimits
    from predator.adapters.overrides.sql import SqlOverrides
    from predator.adapters.replies.sql import SqlReplies
    from predator.adapters.slots.sql import SqlSlots
    from predator.adapters.tokens.sql import SqlTokens

    home = Home(settings)
    database = open_database(home.database_url)
    artifacts = home.artifacts
    return Stores(
        database,
        SqlFlags(database),
        SqlApprovals(database),
        SqlOverrides(database),
        SqlLimits(database),
        SqlSlots(database),
        SqlCycles(database, taken=lambda name: (artifacts / name).exists()),
        SqlTokens(database),
        SqlReplies(database),
        _notifier(settings, database),
        FileFence(home.root / "effects.lock") if database.sqlite else PostgresFence(database),
        SqlLedger(database),
    )


def governance_of(settings: Settings, stores: Stores) -> Governance:
    """The rules of the contour, over its stores."""
    return Governance(
        rules_of(settings),
        stores.flags,
        stores.approvals,
        stores.overrides,
        stores.limits,
        stores.slots,
        stores.cycles,
        stores.notifier,
        stores.fence,
        stores.ledger,
        SystemClock(),
    )


def contour_of(settings: Settings, name: str) -> Contour:
    """What a contour's file says: ours as it was loaded, another one as it is packaged."""
    return load_contour(settings) if name == settings.contour else packaged(name)


def rules_of(settings: Settings) -> Rules:
    """The numbers and default flags of the contour."""
    contour = load_contour(settings)
    defaults = dict(policy_defaults(contour))
    return Rules(
        settings.contour,
        defaults,
        contour.self_improvement.max_cycles_per_day,
        settings.budget_usd,
        settings.cycle_cost_usd,
        settings.max_experiments,
        settings.approval_expires_s,
    )


def _notifier(settings: Settings, database: Database) -> Notifier:
    """People's news: kept in the outbox, and sent to the webhook where one is named."""
    from predator.adapters.notifier.outbox import Outbox
    from predator.adapters.notifier.slack import SlackWebhook

    def send(notice: Notice) -> None:
        degradation = notice.key.endswith(DEGRADATION)
        # What is about all contours goes to our own: the others' secrets are not here.
        name = notice.contour if notice.contour in NAMES else settings.contour
        reference = receiver(contour_of(settings, name), degradation=degradation)
        # A secret that is missing holds up the news, which wait in the outbox, and nothing else.
        if reference is not None:
            SlackWebhook(resolve(reference))(notice)

    return Outbox(database, send)
