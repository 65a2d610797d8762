"""Is this payment the one that the booking asked for? A mismatch never confirms (TRAPS 19)."""

from activities.errors import PaymentMismatch
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
