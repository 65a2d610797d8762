"""Is this payment the one that the booking asked for, and is it still? TRAPS 19 and 24."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from activities.errors import PaymentMismatch
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent, Setup, StripeObject
from models.bookings import Booking
from models.payments import Payment
from models.states import MONEY_TAKEN, TERMINAL_BOOKING


def verify(intent: Intent, payment: Payment, *, livemode: bool, former: str | None = None) -> None:
    """Compare what Stripe has with our row; `former` is the ended booking that the payment was made for.

    Raises:
        PaymentMismatch: naming every field that differs.
    """
    named = intent.metadata.get("booking_id")
    _compare(
        intent,
        amount=(intent.amount, payment.amount),
        currency=(intent.currency, payment.currency),
        livemode=(intent.livemode, livemode),
        booking=(named, former if former is not None and named == former else str(payment.booking_id)),
    )


def verify_captured(intent: Intent, booking: Booking, payment: Payment) -> None:
    """Refuse a part that somebody captured in Stripe's dashboard: the rest of the price is gone with it.

    Once an outcome says how much is kept, a part may be what was decided; what is on our books is on them.

    Raises:
        PaymentMismatch: naming both amounts.
    """
    if intent.status == "succeeded" and booking.keep is None and payment.status not in MONEY_TAKEN:
        _compare(intent, **{"captured amount": (intent.amount_received, payment.amount)})


def verify_setup(setup: Setup, payment: Payment, customer: str, *, livemode: bool) -> None:
    """Compare a kept card with our row: it must be this client's, and kept for this booking.

    Raises:
        PaymentMismatch: naming every field that differs.
    """
    _compare(
        setup,
        customer=(setup.customer, customer),
        livemode=(setup.livemode, livemode),
        booking=(setup.metadata.get("booking_id"), str(payment.booking_id)),
    )


async def former_booking(session: AsyncSession, booking: Booking, intent: Intent) -> str | None:
    """The ended booking of the same client that a payment was made for, when it is another one."""
    named = intent.metadata.get("booking_id")
    if named is None or named == str(booking.id):
        return None
    try:
        former = await session.get(Booking, UUID(named))
    except ValueError:
        return None
    if former is None or former.client_id != booking.client_id:
        return None
    return named if former.status in TERMINAL_BOOKING else None


def _compare(found: StripeObject, **compared: tuple[object, object]) -> None:
    wrong = [f"{field} is {has}, not {wanted}" for field, (has, wanted) in compared.items() if has != wanted]
    if wrong:
        raise PaymentMismatch(f"payment {found.id} does not match its booking: {'; '.join(wrong)}")


async def verify_refunds(gateway: StripeGateway, payment: Payment) -> None:
    """Refuse to settle or pay out from books that Stripe has overtaken.

    A refund made in Stripe's dashboard leaves money that is gone on our books; paying the provider
    from it would be paying from somebody else's.

    Raises:
        PaymentMismatch: Stripe gave back more, or less, than our books say.
    """
    if payment.payment_intent_id is None:
        return
    found = await gateway.refunds_of(payment.payment_intent_id)
    refunded = sum(refund.amount for refund in found if not refund.failed)
    if refunded != payment.amount_refunded:
        raise PaymentMismatch(
            f"Stripe refunded {refunded} of {payment.payment_intent_id}, our books say {payment.amount_refunded}"
        )
