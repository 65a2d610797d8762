"""What happened to money, written down: payment status, ledger and the booking's end.

Every function runs inside the transaction that records a Stripe object, and is a no-op when the
fact is on the books already.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import refunding
from activities.accounts import books_of
from activities.records import Records, load, lock_payment
from activities.standing import has_open_dispute
from activities.stripe_objects import Intent, Setup
from models import clock, ledger
from models.bookings import Booking
from models.keys import row_id_for
from models.ledger import JournalKind
from models.outcomes import SESSION_ENDS
from models.payments import Dispute, Payment, Payout
from models.states import (
    MONEY_TAKEN,
    PAYMENT_OPEN,
    TERMINAL_BOOKING,
    DisputeStatus,
    PaymentStatus,
    PayoutStatus,
    StatusReason,
)
from models.transitions import Change, created, move
from workflows.contracts import Do

Then = Callable[[AsyncSession, Change], Awaitable[None]]

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
    PaymentStatus.PROCESSING: MONEY_TAKEN | {PaymentStatus.FAILED, PaymentStatus.SAVED},
    PaymentStatus.VOIDED: frozenset({PaymentStatus.EXPIRED, PaymentStatus.FAILED}),
    PaymentStatus.EXPIRED: frozenset(),
    PaymentStatus.FAILED: frozenset(),
}
"""Where a payment has to be for Stripe's word to tell it nothing new."""

PAYMENT_GONE: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.EXPIRED, PaymentStatus.FAILED})
"""There is no money, and none can be had of this payment."""


GIVEN_UP: Final = frozenset({StatusReason.PAYMENT_FAILED, StatusReason.AUTHORIZATION_REFUSED})
UNPAID: Final = frozenset({PaymentStatus.PENDING, PaymentStatus.SAVED})


async def nothing_more(session: AsyncSession, context: Change) -> None:
    """The step's record is all there is to write."""


async def record_intent(session: AsyncSession, payment_id: UUID, intent: Intent, context: Change) -> None:
    """Bring the payment to where Stripe says it is; news from the past change nothing (TRAPS 16)."""
    payment = await lock_payment(session, context.booking_id, payment_id)
    if payment.payment_intent_id != intent.id:
        return  # of a round that is over
    target = STRIPE_SAYS.get(intent.status)
    if target is PaymentStatus.VOIDED:
        target = _cancelled(payment, intent, await session.get_one(Booking, payment.booking_id))
    if target is None or payment.status in OLD_NEWS[target] or await _moot(session, payment, target):
        return
    if target is PaymentStatus.CAPTURED and payment.status is PaymentStatus.SAVED:
        await move(session, payment, PaymentStatus.AUTHORIZED, context, fix_by=None)
    moved = await move(session, payment, target, context, **_facts(payment, target, intent, context))
    if moved and target is PaymentStatus.CAPTURED:
        _post_capture(session, payment, intent)


async def record_setup(session: AsyncSession, payment_id: UUID, setup: Setup, context: Change) -> None:
    """The client's card is kept, and its day is set; or the SetupIntent is over."""
    payment = await lock_payment(session, context.booking_id, payment_id)
    if payment.setup_intent_id != setup.id or payment.status is not PaymentStatus.PENDING:
        return
    if setup.status == "canceled":
        await move(session, payment, PaymentStatus.VOIDED, context)
    elif setup.status == "succeeded":
        rows = await load(session, context.booking_id)
        due = clock.authorize_at(rows.policy, rows.session.starts_at, context.at)
        kept = {"payment_method_id": setup.payment_method, "authorize_at": due}
        await move(session, payment, PaymentStatus.SAVED, context, **kept)


def _facts(payment: Payment, target: PaymentStatus, intent: Intent, context: Change) -> dict[str, Any]:
    """The columns that change with the status."""
    charge = intent.charge
    facts: dict[str, Any] = {
        "charge_id": charge.id if charge else payment.charge_id,
        "capture_before": (charge and charge.capture_before) or payment.capture_before,
        "amount_captured": intent.amount_received,
    }
    if target is not PaymentStatus.AUTHORIZED:
        return facts
    ends = facts["capture_before"]
    return facts | {
        "renew_at": clock.renew_at(context.at, ends) if ends else None,
        "payment_method_id": _reusable(payment, intent),
        "fix_by": None,
    }


def _reusable(payment: Payment, intent: Intent) -> str | None:
    """The card, if it may be charged again: one that was not kept cannot be used twice."""
    known = intent.payment_method == payment.payment_method_id
    return intent.payment_method if known or intent.setup_future_usage == "off_session" else None


async def _moot(session: AsyncSession, payment: Payment, target: PaymentStatus) -> bool:
    """Whether the network let go of what a re-planned payment is about to let go of by itself."""
    if target is not PaymentStatus.EXPIRED or not payment.replan:
        return False
    return (await session.get_one(Booking, payment.booking_id)).outcome_status is None


def _cancelled(payment: Payment, intent: Intent, booking: Booking) -> PaymentStatus:
    """What a cancelled intent means: let go by us, by the network, or refused by the bank before.

    A refused card is only a failure when nobody waits for another one (TRAPS 7): one that was kept and
    not repaired, or under a policy that takes the first refusal for an answer.
    """
    unrepaired = payment.status is PaymentStatus.SAVED and booking.outcome_reason is None
    given_up = unrepaired or booking.outcome_reason in GIVEN_UP
    refused = intent.refused_code is not None and payment.status in UNPAID
    if payment.status is PaymentStatus.PROCESSING or (given_up and refused):
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


async def surplus(session: AsyncSession, rows: Records, keep: int) -> int:
    """What has to go back, in minor units, so that just `keep` stays; less what a dispute has taken."""
    asked = refunding.surplus(rows.payment, keep)
    return min(asked, (await books_of(session, rows)).kept - keep) if asked > 0 else asked


async def settled(session: AsyncSession, rows: Records, keep: int) -> bool:
    """No more than `keep` minor units are with us, and nothing is authorized or on its way.

    Less may be left: a refund before the outcome, or a lost dispute, took it.
    """
    payment = rows.payment
    if payment.status in PAYMENT_OPEN or (keep and payment.status in PAYMENT_GONE):
        return False
    if await superseded(session, rows):
        return False
    if refunding.surplus(payment, keep) <= 0:
        return True
    decided = not await has_open_dispute(session, rows.booking.id)
    return decided and await surplus(session, rows, keep) <= 0


async def superseded(session: AsyncSession, rows: Records) -> list[Payment]:
    """Payments whose place a newer one has taken, and of which something is still to be let go.

    One that somebody captured all the same goes back whole, unless the client's bank has taken it.
    """
    lost = select(Dispute.id).where(Dispute.payment_id == Payment.id, Dispute.status == DisputeStatus.LOST)
    captured = (Payment.amount_captured > Payment.amount_refunded) & ~lost.exists()
    older = select(Payment).where(
        Payment.booking_id == rows.booking.id,
        Payment.number < rows.payment.number,
        (Payment.status == PaymentStatus.AUTHORIZED) | captured,
    )
    return list(await session.scalars(older))


async def end(session: AsyncSession, context: Change) -> None:
    """Write the terminal status that was decided, together with the settled money.

    Does nothing while the money is not where the decision wants it: the decision may have changed
    under a run that was slow, and an end is for ever.
    """
    rows = await load(session, context.booking_id, lock=True)
    booking = rows.booking
    if booking.status in TERMINAL_BOOKING or booking.outcome_status is None or booking.keep is None:
        return
    if not await settled(session, rows, booking.keep):
        return
    await move(session, booking, booking.outcome_status, context, status_reason=booking.outcome_reason)
    if rows.session.capacity == 1:
        await move(session, rows.session, SESSION_ENDS[booking.status], context)
    await _hold(session, rows, context)


async def _hold(session: AsyncSession, rows: Records, context: Change) -> None:
    """The provider's share of what was kept, held; frozen from the start while the client's bank contests."""
    booking, books = rows.booking, await books_of(session, rows)
    frozen = bool(booking.keep) and await has_open_dispute(session, booking.id)
    if books.kept <= 0 and not frozen:
        return
    hold = rows.policy.payout_hold
    payout = Payout(
        id=row_id_for(booking.id, "payout"),
        booking_id=booking.id,
        provider_id=booking.provider_id,
        status=PayoutStatus.FROZEN if frozen else PayoutStatus.HELD,
        amount=books.division.provider_share,
        platform_fee=books.division.platform_fee,
        currency=booking.currency,
        due_at=context.at + hold,
        frozen_seconds=int(hold.total_seconds()) if frozen else None,
    )
    created(session, payout, context)


async def grant_grace(session: AsyncSession, step: Do) -> None:
    """The payment is with the bank: wait a little longer, once (DESIGN 3.3)."""
    rows = await load(session, step.booking_id, lock=True)
    if not rows.booking.grace_used:
        rows.booking.grace_used = True
        rows.booking.expires_at = step.at + min(clock.PAYMENT_GRACE, rows.policy.payment_window)
