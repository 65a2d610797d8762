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
    """The way to pay, to have a card kept, or to repair one that was refused; while there is one.

    Raises:
        StripeFailure: Stripe does not say.
    """
    payment = record.payment
    if repairable(record) and payment.payment_intent_id is not None:
        return await _payment(deps, payment.payment_intent_id)
    if record.booking.status is not BookingStatus.PENDING or payment.status is not PaymentStatus.PENDING:
        return None
    if payment.payment_intent_id is not None:
        return await _payment(deps, payment.payment_intent_id)
    if payment.setup_intent_id is not None:
        return await _setup(deps, payment.setup_intent_id)
    return None


def repairable(record: BookingRecord) -> bool:
    """Whether a saved card was refused, and the booking waits for its client to put that right."""
    payment = record.payment
    waiting = payment.status is PaymentStatus.SAVED and payment.fix_by is not None
    return waiting and record.booking.status is BookingStatus.CONFIRMED


async def _payment(deps: Dependencies, intent_id: str) -> CheckoutPart | None:
    intent = await deps.gateway.retrieve_intent(intent_id)
    if intent.status not in PAYABLE:
        return None
    return CheckoutPart(client_secret=intent.client_secret, publishable_key=deps.publishable_key)


async def _setup(deps: Dependencies, setup_id: str) -> CheckoutPart | None:
    setup = await deps.gateway.retrieve_setup(setup_id)
    if setup.status not in PAYABLE:
        return None
    return CheckoutPart(
        kind="setup_intent", client_secret=setup.client_secret, publishable_key=deps.publishable_key
    )


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
