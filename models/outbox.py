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

    def told(self, policy: Policy | None) -> tuple[Announcement, ...]:
        """The mails that it calls for."""
        return told(self.entity, self.source, self.row.status, _circumstances(self.row, policy))


def tell_of_new(session: AsyncSession, new: Transition) -> None:
    """Write what a new row calls for. It is as new as the row: no conflict can come up that the row has not."""
    facts = Facts(**_own(new.row, new.at, None))
    for values in _rows(new.told(None), new.booking_id, new.name, new.at, facts):
        session.add(Notification(**values))


async def tell(session: AsyncSession, transition: Transition) -> None:
    """Write what a transition calls for."""
    row, source, at = transition.row, transition.source, transition.at
    if (transition.entity, row.status) not in TOLD:
        return
    common, policy = await _booking(session, transition.booking_id)
    invited = source is BookingStatus.CONFIRMED
    revision = common["sequence"] + invited
    facts = Facts(**{**common, **_own(row, at, policy), "invited": invited, "sequence": revision})
    wanted = transition.told(policy)
    await _write(session, _rows(wanted, transition.booking_id, transition.name, at, facts))


async def announce(session: AsyncSession, kind: Kind, booking_id: UUID, at: datetime, **known: Any) -> None:
    """Write a mail about something that changes no status, in the caller's transaction, once.

    Call it after the rows say what it is about. What tells two occurrences apart:

    - `RESCHEDULED`: `at`; give `previous_starts_at`. Writes the new reminders too.
    - `CARD_REFUSED`: give `until`, the payment's `fix_by`.
    - `OBJECTED`: give `since`, the payout's `objected_at`.
    """
    common, _ = await _booking(session, booking_id)
    sequence = common["sequence"] + 1 if kind is Kind.RESCHEDULED else common["sequence"]
    facts = Facts(**{**common, "sequence": sequence, **known})
    transition = f"{kind}@{at.isoformat()}"
    await _write(session, _rows(SAID[kind], booking_id, transition, at, facts))


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


def _circumstances(row: Any, policy: Policy | None) -> frozenset[Condition]:
    found = set()
    if isinstance(row, Payout) and row.objected_at is not None:
        found.add(Condition.OBJECTED)
    if policy is not None and policy.payout_schedule == "automatic":
        found.add(Condition.AUTOMATIC)
    return frozenset(found)


async def _booking(session: AsyncSession, booking_id: UUID) -> tuple[dict[str, Any], Policy]:
    """What every mail may want to say of the booking: columns, because a session answers with rows as it knew them."""
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
        )
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
    return facts, Policy.model_validate(row.policy)


# --- what the row itself says ---------------------------------------------------------------


def _own(row: Any, at: datetime, policy: Policy | None) -> dict[str, Any]:
    describe = _DESCRIBE.get(type(row))
    return describe(row, at, policy) if describe else {}


def _of_booking(row: Booking, _: datetime, __: Policy | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"currency": row.currency, "price": row.amount, "reason": row.status_reason}
    if row.status is BookingStatus.PENDING:
        return facts | {"amount": row.amount, "until": row.expires_at}
    if row.status is BookingStatus.AWAITING_APPROVAL:
        return facts | {"until": row.approval_due_at}
    return facts


def _of_payout(row: Payout, at: datetime, policy: Policy | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "currency": row.currency,
        "amount": row.amount,
        "platform_fee": row.platform_fee,
        "debt_netted": row.debt_netted or 0,  # a new row has its defaults only once it is written
        "transfer_id": row.transfer_id,
    }
    if row.status is PayoutStatus.FROZEN:
        facts["since"] = row.objected_at
    if row.status is PayoutStatus.BLOCKED:
        facts["since"] = since = row.blocked_at or at
        facts["remind_at"] = since + policy.payout_patience / 2 if policy else None
    return facts


def _of_money(row: Refund | BankPayout, _: datetime, __: Policy | None) -> dict[str, Any]:
    return {"currency": row.currency, "amount": row.amount}


def _of_dispute(row: Dispute, _: datetime, __: Policy | None) -> dict[str, Any]:
    return {"currency": row.currency, "amount": row.amount, "reason": row.reason, "outcome": row.status.value}


_DESCRIBE: Final[dict[type[Any], Callable[..., dict[str, Any]]]] = {
    Booking: _of_booking,
    Payout: _of_payout,
    Refund: _of_money,
    BankPayout: _of_money,
    Dispute: _of_dispute,
}
