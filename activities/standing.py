"""A booking as its workflow sees it: one frozen answer, read from Postgres after every step."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.accounts import books_of
from activities.records import Records, load
from models.books import Books
from models.keys import stray_id_for
from models.ledger import Account, JournalKind, LedgerEntry, Side
from models.payments import Dispute
from models.states import (
    MONEY_TAKEN,
    PAYOUT_OPEN,
    TERMINAL_BOOKING,
    DisputeStatus,
    PaymentStatus,
    PayoutStatus,
)
from workflows.contracts import Actor, BookingState, Claim

OVER: Final = frozenset(PayoutStatus) - PAYOUT_OPEN
"""Nothing is to come by itself: paid, taken back, or cancelled."""

ON_THE_WAY: Final = frozenset({PayoutStatus.PROCESSING, PayoutStatus.BLOCKED})


async def state(session: AsyncSession, booking_id: UUID, *, payment_refused: bool = False) -> BookingState:
    """The booking as it stands, with everything that the saga decides by."""
    rows = await load(session, booking_id)
    booking, payment, payout = rows.booking, rows.payment, rows.payout
    return BookingState(
        booking_id=booking.id,
        provider_id=booking.provider_id,
        service_id=booking.service_id,
        session_id=booking.session_id,
        status=booking.status,
        status_reason=booking.status_reason,
        session_status=rows.session.status,
        amount=booking.amount,
        currency=booking.currency,
        plan=booking.plan,
        starts_at=rows.session.starts_at,
        ends_at=rows.session.ends_at,
        expires_at=booking.expires_at,
        completion_due_at=booking.completion_due_at,
        reported_outcome=booking.reported_outcome,
        outcome_reason=booking.outcome_reason,
        payment_status=payment.status,
        payment_opened=payment.payment_intent_id is not None or payment.setup_intent_id is not None,
        payment_refused=payment_refused,
        unread=_is_unread(rows),
        payout_status=payout.status if payout else None,
        payout_amount=payout.amount if payout else None,
        payout_due_at=payout.due_at if payout else None,
        attention=booking.attention_step is not None,
        claim=_claim(rows),
        contradiction=_contradiction(rows),
        wants_approval=rows.policy.approval == "provider",
        approval_due_at=booking.approval_due_at,
        authorize_at=payment.authorize_at if payment.status is PaymentStatus.SAVED else None,
        fix_by=payment.fix_by if payment.status is PaymentStatus.SAVED else None,
        renew_at=payment.renew_at if payment.status is PaymentStatus.AUTHORIZED else None,
        replan=payment.replan,
        reschedule_cutoff_at=rows.session.starts_at - rows.policy.reschedule_cutoff,
        **await _money(session, rows),
    )


def _is_unread(rows: Records) -> bool:
    """Whether the booking was made of a payment that nobody has looked at for it yet."""
    intent = rows.payment.payment_intent_id
    taken_over = intent is not None and stray_id_for(intent) == rows.booking.id
    return taken_over and rows.payment.status is PaymentStatus.PENDING


async def _money(session: AsyncSession, rows: Records) -> dict[str, Any]:
    if rows.payment.status not in MONEY_TAKEN and rows.payout is None:
        return {}
    books, payout = await books_of(session, rows), rows.payout
    return {
        "refundable": max(books.kept, 0),
        "disputed": await has_open_dispute(session, rows.booking.id),
        "objected_at": payout.objected_at if payout else None,
        "objected": payout is not None and payout.objected_at is not None,
        "unbalanced": is_unbalanced(rows, books),
        "at_bank": payout is not None and payout.transfer_id is not None and payout.status in ON_THE_WAY,
        "escalate_at": _escalate_at(rows),
    }


def is_unbalanced(rows: Records, books: Books) -> bool:
    """Whether `rebalance` has something to do: nothing that is still to come will bring it in line.

    What waits, or is on its way to the bank, gets no more on top, but what was transferred may have
    to be taken back. A transfer whose answer is lost comes first.
    """
    payout = rows.payout
    if payout is None:
        return rows.booking.status in TERMINAL_BOOKING and books.held != 0
    if payout.status in OVER:
        return books.held != 0
    in_doubt = payout.status is PayoutStatus.PROCESSING and payout.transfer_id is None
    return books.transferred > 0 and books.due < 0 and not in_doubt


def _escalate_at(rows: Records) -> datetime | None:
    payout = rows.payout
    if payout is None or payout.status is not PayoutStatus.BLOCKED or payout.blocked_at is None:
        return None
    return payout.blocked_at + rows.policy.payout_patience


async def has_open_dispute(session: AsyncSession, booking_id: UUID) -> bool:
    """Whether the client's bank contests the charge, or has not yet given back what was won."""
    known = list(await session.scalars(select(Dispute.status).where(Dispute.booking_id == booking_id)))
    if DisputeStatus.OPEN in known:
        return True
    lost = known.count(DisputeStatus.LOST)
    return DisputeStatus.WON in known and await _with_the_bank(session, booking_id) > lost


async def _with_the_bank(session: AsyncSession, booking_id: UUID) -> int:
    """How many disputes have taken money and given none back, by the journals."""
    away = case((LedgerEntry.side == Side.CREDIT, 1), else_=-1)
    moved = select(func.coalesce(func.sum(away), 0)).where(
        LedgerEntry.booking_id == booking_id,
        LedgerEntry.kind == JournalKind.DISPUTE,
        LedgerEntry.account == Account.STRIPE_BALANCE,
    )
    return int((await session.execute(moved)).scalar_one())


def _claim(rows: Records) -> Claim | None:
    booking = rows.booking
    if booking.claimed_outcome is None or booking.claimed_by_role is None or booking.claimed_at is None:
        return None
    actor = Actor(role=booking.claimed_by_role, id=booking.claimed_by_id)
    return Claim(kind=booking.claimed_outcome, actor=actor, at=booking.claimed_at)


def _contradiction(rows: Records) -> Claim | None:
    kind, role = rows.booking.contradicted_outcome, rows.booking.contradicted_by_role
    if kind is None or role is None or rows.booking.contradicted_at is None:
        return None
    actor = Actor(role=role, id=rows.booking.contradicted_by_id)
    return Claim(kind=kind, actor=actor, at=rows.booking.contradicted_at)
