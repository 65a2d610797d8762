"""Is this payment the one that the booking asked for, and is it still? TRAPS 19 and 24."""

from activities.errors import PaymentMismatch
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent
from models.payments import Payment


def verify(intent: Intent, payment: Payment, *, livemode: bool) -> None:
    """Compare what Stripe has with our row.

    Raises:
        PaymentMismatch: naming every field that differs.
    """
    compared = {
        "amount": (intent.amount, payment.amount),
        "currency": (intent.currency, payment.currency),
        "livemode": (intent.livemode, livemode),
        "booking": (intent.metadata.get("booking_id"), str(payment.booking_id)),
    }
    wrong = [
        f"{field} is {found}, not {wanted}" for field, (found, wanted) in compared.items() if found != wanted
    ]
    if wrong:
        raise PaymentMismatch(f"payment {intent.id} does not match its booking: {'; '.join(wrong)}")


async def verify_refunds(gateway: StripeGateway, payment: Payment) -> None:
    """Refuse to settle or pay out from books that Stripe has overtaken.

    A refund made in Stripe's dashboard leaves money that is gone on our books; paying the provider
    from it would be paying from somebody else's.

    Raises:
        PaymentMismatch: Stripe gave back more, or less, than our books say.
    """
    if payment.payment_intent_id is None:
        return
    refunded = await gateway.refunded(payment.payment_intent_id)
    if refunded != payment.amount_refunded:
        raise PaymentMismatch(
            f"Stripe refunded {refunded} of {payment.payment_intent_id}, our books say {payment.amount_refunded}"
        )
