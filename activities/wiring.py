"""Builds the activities: the part of the composition that worker and tests share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from activities.authorizations import AuthorizationActivities
from activities.bookings import BookingActivities
from activities.classes import ClassActivities
from activities.comparing import Comparison
from activities.findings import Findings
from activities.holds import HoldActivities
from activities.inbox import Inbox
from activities.lost_runs import LostRuns
from activities.notifications import Postman
from activities.operations import Operations
from activities.oversight import OversightActivities, Watch
from activities.payments import PaymentActivities
from activities.payouts import PayoutActivities
from activities.refunds import RefundActivities
from activities.relay import RelayActivities
from activities.settlements import SettlementActivities
from activities.stripe_gateway import StripeGateway, utc_now
from activities.stripe_writes import StripeWrites
from activities.sweeping import Sweep
from models.database import Database
from settings import MailSettings, PolicyDefaults


@dataclass(frozen=True)
class Activities:
    """Every activity of the product, built once per process."""

    bookings: BookingActivities
    payments: PaymentActivities
    authorizations: AuthorizationActivities
    refunds: RefundActivities
    holds: HoldActivities
    payouts: PayoutActivities
    relay: RelayActivities
    settlements: SettlementActivities
    classes: ClassActivities
    oversight: OversightActivities

    @property
    def on_bookings_queue(self) -> list[Callable[..., Any]]:
        """Steps that never call Stripe under its rate limit."""
        return [
            self.bookings.ask_approval,
            self.bookings.confirm,
            self.bookings.report,
            self.bookings.reschedule,
            self.bookings.release,
            self.bookings.record_attention,
            self.holds.contest,
            self.holds.change_hold,
            self.holds.judge,
            self.relay.relay_inbox,
            self.classes.close_class,
        ]

    @property
    def on_stripe_queue(self) -> list[Callable[..., Any]]:
        """Steps that call Stripe."""
        return [
            self.bookings.reserve,
            self.payments.open_payment,
            self.payments.read_payment,
            self.payments.close_payment,
            self.payments.give_back,
            self.payments.settle,
            self.authorizations.authorize,
            self.authorizations.renew_authorization,
            self.authorizations.replan_payment,
            self.refunds.mirror,
            self.refunds.refund,
            self.payouts.pay_out,
            self.payouts.send_to_bank,
            self.payouts.rebalance,
            self.settlements.judge_stray,
            self.settlements.give_back_stray,
            self.oversight.reconcile,
            self.oversight.audit,
        ]


def build(
    database: Database,
    gateway: StripeGateway,
    temporal: Client,
    defaults: PolicyDefaults,
    mail: MailSettings | None = None,
) -> Activities:
    """Give every activity what it needs; without `mail` nobody looks after the outbox."""
    operations = Operations(database, utc_now)
    writes = StripeWrites(gateway)
    inbox = Inbox(database, temporal)
    return Activities(
        bookings=BookingActivities(database, gateway, defaults),
        payments=PaymentActivities(database, gateway, writes, operations),
        authorizations=AuthorizationActivities(database, gateway, writes, operations),
        refunds=RefundActivities(database, gateway, writes, operations),
        holds=HoldActivities(database),
        payouts=PayoutActivities(database, gateway, writes, operations),
        relay=RelayActivities(
            database,
            inbox,
            gateway,
            utc_now,
            orphan_after=defaults.orphan_after,
            postman=Postman.hire(database, mail, utc_now) if mail else None,
        ),
        settlements=SettlementActivities(database, gateway, writes, operations, now=utc_now),
        classes=ClassActivities(database, utc_now),
        oversight=_oversight(database, gateway, inbox),
    )


def _oversight(database: Database, gateway: StripeGateway, inbox: Inbox) -> OversightActivities:
    findings = Findings(database)
    watch = Watch(
        sweep=Sweep(database, inbox, gateway, utc_now),
        lost_runs=LostRuns(database, inbox.telling),
        comparison=Comparison(database, gateway, findings, utc_now),
        findings=findings,
    )
    return OversightActivities(database, inbox.telling, watch, utc_now)
