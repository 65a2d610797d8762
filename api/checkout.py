"""What the client's browser needs in order to pay, read from Stripe when it is asked for."""

from typing import Final

from activities.errors import StripeFailure
from api.dependencies import Dependencies
from api.errors import Code, Problem
from api.queries import BookingRecord
from api.schemas import CheckoutPart
from models.states import BookingStatus, PaymentStatus

PAYABLE: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
"""Stripe's statuses of an intent that still waits for its client."""


async def checkout_for(deps: Dependencies, record: BookingRecord) -> CheckoutPart | None:
    """The way to pay, while there is one.

    Raises:
        StripeFailure: Stripe does not say.
    """
    intent_id = record.payment.payment_intent_id
    waiting = (
        record.booking.status is BookingStatus.PENDING and record.payment.status is PaymentStatus.PENDING
    )
    if intent_id is None or not waiting:
        return None
    intent = await deps.gateway.retrieve_intent(intent_id)
    if intent.status not in PAYABLE:
        return None
    return CheckoutPart(client_secret=intent.client_secret, publishable_key=deps.publishable_key)


async def checkout_if_any(deps: Dependencies, record: BookingRecord) -> CheckoutPart | None:
    """The same beside a booking that is made whether or not Stripe answers now; it can be asked again."""
    try:
        return await checkout_for(deps, record)
    except StripeFailure:
        return None


async def fresh_checkout(deps: Dependencies, record: BookingRecord) -> CheckoutPart:
    """The way to pay.

    Raises:
        Problem: there is none any more, or not yet.
    """
    checkout = await checkout_for(deps, record)
    if checkout is None:
        detail = f"The booking is {record.booking.status} and its payment {record.payment.status}."
        raise Problem(Code.INVALID_STATE, detail, booking_id=record.booking.id)
    return checkout
