"""What happened to money, written down: payment status, ledger and the booking's end.

Every function runs inside the transaction that records a Stripe object, and is a no-op when the
fact is on the books already.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from activities.records import load, lock_payment
from activities.refunding import surplus
from activities.stripe_objects import Intent
from models import ledger
from models.keys import row_id_for
from models.ledger import JournalKind
from models.money import split
from models.payments import Payment, Payout
from models.states import (
    MONEY_TAKEN,
    PAYMENT_OPEN,
    TERMINAL_BOOKING,
    BookingStatus,
    PaymentStatus,
    PayoutStatus,
    SessionStatus,
)
from models.transitions import Change, created, move
from workflows.contracts import Do

Then = Callable[[AsyncSession, Change], Awaitable[None]]

GRACE: Final = timedelta(minutes=10)
"""For a payment that is with the bank when the window ends, once."""

STRIPE_SAYS: Final[dict[str, PaymentStatus]] = {
    "requires_capture": PaymentStatus.AUTHORIZED,
    "succeeded": PaymentStatus.CAPTURED,
    "processing": PaymentStatus.PROCESSING,
    "canceled": PaymentStatus.VOIDED,
}
"""Every other status means that the client still has to act."""

OLD_NEWS: Final[dict[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.AUTHORIZED: MONEY_TAKEN,
    PaymentStatus.CAPTURED: MONEY_TAKEN,
    PaymentStatus.PROCESSING: MONEY_TAKEN | {PaymentStatus.FAILED},
    PaymentStatus.VOIDED: frozenset({PaymentStatus.EXPIRED, PaymentStatus.FAILED}),
    PaymentStatus.EXPIRED: frozenset(),
    PaymentStatus.FAILED: frozenset(),
}
"""Where a payment has to be for Stripe's word to tell it nothing new."""

SESSION_ENDS: Final[dict[BookingStatus, SessionStatus]] = {
    BookingStatus.COMPLETED: SessionStatus.COMPLETED,
    BookingStatus.CANCELLED: SessionStatus.CANCELLED,
    BookingStatus.FORFEIT: SessionStatus.CANCELLED,
}


async def nothing_more(session: AsyncSession, context: Change) -> None:
    """The step's record is all there is to write."""


async def record_intent(session: AsyncSession, payment_id: UUID, intent: Intent, context: Change) -> None:
    """Bring the payment to where Stripe says it is; news from the past change nothing (TRAPS 16)."""
    payment = await lock_payment(session, context.booking_id, payment_id)
    target = STRIPE_SAYS.get(intent.status)
    if target is PaymentStatus.VOIDED:
        target = _cancelled(payment, intent)
    if target is None or payment.status in OLD_NEWS[target]:
        return
    charge = intent.charge
    moved = await move(
        session,
        payment,
        target,
        context,
        charge_id=charge.id if charge else payment.charge_id,
        capture_before=(charge and charge.capture_before) or payment.capture_before,
        amount_captured=intent.amount_received,
    )
    if moved and target is PaymentStatus.CAPTURED:
        _post_capture(session, payment, intent)


def _cancelled(payment: Payment, intent: Intent) -> PaymentStatus:
    """What a cancelled intent means: let go by us, by the network, or refused by the bank before."""
    if payment.status is PaymentStatus.PROCESSING:
        return PaymentStatus.FAILED
    expired = payment.status is PaymentStatus.AUTHORIZED and intent.cancellation_reason == "automatic"
    return PaymentStatus.EXPIRED if expired else PaymentStatus.VOIDED


def _post_capture(session: AsyncSession, payment: Payment, intent: Intent) -> None:
    charge = intent.charge
    if charge is None:
        raise AssertionError(f"{intent.id} succeeded without a charge")
    post = _poster(session, payment.booking_id, payment.currency)
    post(JournalKind.CAPTURE, ledger.capture(intent.amount_received), charge.id)
    if charge.fee_transaction_id and charge.fee_currency:
        # Stripe takes its fee in the currency that the platform settles in.
        post = _poster(session, payment.booking_id, charge.fee_currency)
        post(JournalKind.STRIPE_FEE, ledger.stripe_fee(charge.fee), charge.fee_transaction_id)


def _poster(
    session: AsyncSession, booking_id: UUID, currency: str
) -> Callable[[JournalKind, tuple[ledger.Line, ...], str | None], None]:
    def post(kind: JournalKind, lines: tuple[ledger.Line, ...], object_id: str | None) -> None:
        session.add_all(ledger.entries(kind, booking_id, currency, lines, object_id))

    return post


def settled(payment: Payment, keep: int) -> bool:
    """Just `keep` minor units are with us, and nothing is authorized or on its way."""
    return payment.status not in PAYMENT_OPEN and surplus(payment, keep) == 0


async def end(session: AsyncSession, context: Change) -> None:
    """Write the terminal status that was decided, together with the settled money.

    Does nothing while the money is not where the decision wants it: the decision may have changed
    under a run that was slow, and an end is for ever.
    """
    rows = await load(session, context.booking_id, lock=True)
    booking, payment = rows.booking, rows.payment
    if booking.status in TERMINAL_BOOKING or booking.outcome_status is None or booking.keep is None:
        return
    if not settled(payment, booking.keep):
        return
    await move(session, booking, booking.outcome_status, context, status_reason=booking.outcome_reason)
    await move(session, rows.session, SESSION_ENDS[booking.status], context)
    kept = payment.amount_captured - payment.amount_refunded
    if kept:
        parts = split(kept, rows.policy.platform_fee_bps, booking.currency)
        payout = Payout(
            id=row_id_for(booking.id, "payout"),
            booking_id=booking.id,
            provider_id=booking.provider_id,
            status=PayoutStatus.HELD,
            amount=parts.provider_share,
            platform_fee=parts.platform_fee,
            currency=booking.currency,
            due_at=context.at + rows.policy.payout_hold,
        )
        created(session, payout, context)


async def grant_grace(session: AsyncSession, step: Do) -> None:
    """The payment is with the bank: wait a little longer, once (DESIGN 3.3)."""
    rows = await load(session, step.booking_id, lock=True)
    if not rows.booking.grace_used:
        rows.booking.grace_used = True
        rows.booking.expires_at = step.at + min(GRACE, rows.policy.payment_window)
