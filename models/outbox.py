"""Writing the mails of a transition into its own transaction: all of it happens, or none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models.announcements import (
    SAID,
    TOLD,
    Announcement,
    Condition,
    Facts,
    Kind,
    due_at,
    notification_id,
    told,
)
from models.bookings import Booking, Session
from models.catalogue import PayoutSchedule, Provider
from models.notifications import Notification
from models.payments import BankPayout, Dispute, Payment, Payout, Refund
from models.policy import Policy
from models.records import AuditEvent
from models.states import MONEY_TAKEN, BookingStatus, PaymentStatus, PayoutStatus, Role

LET_GO: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.EXPIRED}) | MONEY_TAKEN


@dataclass(frozen=True)
class Transition:
    """`row` has gone from `source`, None for a new one, to where it is; `at` is the saga's instant."""

    entity: str
    row: Any
    source: StrEnum | None
    booking_id: UUID
    at: datetime

    @property
    def name(self) -> str:
        """A state may be left and reached again: the instant tells the two apart."""
        return f"{self.entity}:{self.row.id}:{self.source}>{self.row.status}@{self.at.isoformat()}"

    def told(self, *, manual: bool) -> tuple[Announcement, ...]:
        """The mails that it calls for; `manual`: we send the provider's money to its bank ourselves."""
        return told(self.entity, self.source, self.row.status, _circumstances(self.row, manual=manual))


def tell_of_new(session: AsyncSession, new: Transition) -> None:
    """Write what a new row calls for. It is as new as the row: no conflict can come up that the row has not."""
    wanted = new.told(manual=False)
    for values in _rows(wanted, new.booking_id, new.name, new.at, Facts(**_own(new.row))):
        session.add(Notification(**values))


async def tell(session: AsyncSession, transition: Transition) -> None:
    """Write what a transition calls for."""
    row, booking_id = transition.row, transition.booking_id
    if (transition.entity, row.status) not in TOLD:
        return
    known = await _booking(session, booking_id)
    invited = transition.source is BookingStatus.CONFIRMED
    revised = {"invited": invited, "sequence": known.facts["sequence"] + invited}
    blocked = await _blocked(session, row, known.policy)
    facts = Facts(**{**known.facts, **_own(row), **revised, **blocked})
    wanted = transition.told(manual=known.manual)
    await _write(session, _rows(wanted, booking_id, transition.name, transition.at, facts))


async def announce(session: AsyncSession, kind: Kind, booking_id: UUID, at: datetime, **known: Any) -> None:
    """Write a mail about something that changes no status, in the caller's transaction, once.

    Call it after the rows say what it is about. What tells two occurrences apart:

    - `RESCHEDULED`: `at`; give `previous_starts_at`. Writes the new reminders too.
    - `CARD_REFUSED`: give `until`, the payment's `fix_by`.
    - `OBJECTED`: give `since`, the payout's `objected_at`.
    """
    facts = {**(await _booking(session, booking_id)).facts, **known}
    facts["sequence"] += kind is Kind.RESCHEDULED
    transition = f"{kind}@{at.isoformat()}"
    await _write(session, _rows(SAID[kind], booking_id, transition, at, Facts(**facts)))


async def _write(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    if rows:
        await session.execute(insert(Notification).values(rows).on_conflict_do_nothing())


def _rows(
    wanted: Iterable[Announcement], booking_id: UUID, transition: str, at: datetime, facts: Facts
) -> list[dict[str, Any]]:
    stored = facts.model_dump(mode="json", exclude_none=True)
    return [
        {
            "id": notification_id(booking_id, one, transition, facts),
            "booking_id": booking_id,
            "kind": one.kind.value,
            "recipient": one.recipient,
            "facts": stored,
            "next_attempt_at": due,
        }
        for one in wanted
        if (due := due_at(one.kind, at, facts)) is not None
    ]


def _circumstances(row: Any, *, manual: bool) -> frozenset[Condition]:
    if not isinstance(row, Payout):
        return frozenset()
    nothing_moves = row.amount == (row.debt_netted or 0)
    found = {
        Condition.OBJECTED: row.objected_at is not None,
        Condition.NO_BANK: nothing_moves or not manual,
    }
    return frozenset(condition for condition, holds in found.items() if holds)


@dataclass(frozen=True)
class Known:
    """What every mail may want to say of a booking, and what decides which are written."""

    facts: dict[str, Any]
    policy: Policy
    manual: bool


async def _booking(session: AsyncSession, booking_id: UUID) -> Known:
    """The booking as the database has it: columns, because a session answers with rows as it knew them."""
    moved = (
        select(func.count())
        .where(
            Notification.booking_id == booking_id,
            Notification.kind == Kind.RESCHEDULED,
            Notification.recipient == Role.CLIENT,
        )
        .scalar_subquery()
    )
    authorized = exists().where(
        AuditEvent.booking_id == booking_id,
        AuditEvent.entity == "payment",
        AuditEvent.to_status == PaymentStatus.AUTHORIZED,
    )
    query = (
        select(
            Booking.currency,
            Booking.amount,
            Booking.policy,
            Session.starts_at,
            Session.ends_at,
            Payment.status,
            Payment.amount_captured,
            Payment.amount_refunded,
            Payment.authorize_at,
            moved.label("revision"),
            authorized.label("was_authorized"),
            Provider.payout_schedule,
        )
        .join(Provider, Provider.id == Booking.provider_id)
        .join(Session, Session.id == Booking.session_id)
        .join(Payment, Payment.booking_id == Booking.id)
        .where(Booking.id == booking_id)
        .order_by(Payment.number.desc())
        .limit(1)
    )
    row = (await session.execute(query)).one()
    let_go = row.was_authorized and row.status in LET_GO
    facts = {
        "currency": row.currency,
        "price": row.amount,
        "captured": row.amount_captured,
        "refunded": row.amount_refunded,
        "released": row.amount - row.amount_captured if let_go else 0,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "charge_at": row.authorize_at if row.status is PaymentStatus.SAVED else None,
        "sequence": row.revision,
    }
    policy = Policy.model_validate(row.policy)
    return Known(facts, policy, PayoutSchedule.MANUAL in (row.payout_schedule, policy.payout_schedule))


async def _blocked(session: AsyncSession, row: Any, policy: Policy) -> dict[str, Any]:
    """Since when a payout has been blocked: trying it again and again does not begin it anew."""
    if not isinstance(row, Payout) or row.status is not PayoutStatus.BLOCKED:
        return {}
    mine = AuditEvent.entity_id == row.id
    stuck = (PayoutStatus.BLOCKED, PayoutStatus.PROCESSING)
    otherwise = select(func.max(AuditEvent.id)).where(mine, AuditEvent.to_status.not_in(stuck))
    first = select(func.min(AuditEvent.at)).where(
        mine,
        AuditEvent.to_status == PayoutStatus.BLOCKED,
        AuditEvent.id > func.coalesce(otherwise.scalar_subquery(), 0),
    )
    since = (await session.execute(first)).scalar_one()
    return {"since": since, "remind_at": since + policy.payout_patience / 2}


# --- what the row itself says ---------------------------------------------------------------


def _own(row: Any) -> dict[str, Any]:
    describe = _DESCRIBE.get(type(row))
    return describe(row) if describe else {}


def _of_booking(row: Booking) -> dict[str, Any]:
    facts: dict[str, Any] = {"currency": row.currency, "price": row.amount, "reason": row.status_reason}
    if row.status is BookingStatus.PENDING:
        return facts | {"amount": row.amount, "until": row.expires_at}
    if row.status is BookingStatus.AWAITING_APPROVAL:
        return facts | {"until": row.approval_due_at}
    return facts


def _of_payout(row: Payout) -> dict[str, Any]:
    return {
        "currency": row.currency,
        "amount": row.amount,
        "platform_fee": row.platform_fee,
        "debt_netted": row.debt_netted or 0,  # a new row has its defaults only once it is written
        "transfer_id": row.transfer_id,
        "since": row.objected_at if row.status is PayoutStatus.FROZEN else None,
    }


def _of_money(row: Refund | BankPayout) -> dict[str, Any]:
    return {"currency": row.currency, "amount": row.amount}


def _of_dispute(row: Dispute) -> dict[str, Any]:
    return {"currency": row.currency, "amount": row.amount, "reason": row.reason, "outcome": row.status.value}


_DESCRIBE: Final[dict[type[Any], Callable[..., dict[str, Any]]]] = {
    Booking: _of_booking,
    Payout: _of_payout,
    Refund: _of_money,
    BankPayout: _of_money,
    Dispute: _of_dispute,
}
