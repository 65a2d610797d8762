"""Ids and keys: derived, never drawn (DESIGN section 4).

A key made from a run id or an activity id would change on a reset and pay twice.
"""

from uuid import UUID, uuid5

_BOOKINGS = UUID("6f1d7c1e-6d57-4c0b-9a54-4f2f6ad1b7a1")
_ROWS = UUID("f2a2b1ce-52c9-4a58-a0d7-94be6b9ac1d3")
APP = "durable-bookings"


def booking_id_for(client_id: str, idempotency_key: str) -> UUID:
    """The booking that this client's request with this `Idempotency-Key` makes, every time."""
    return uuid5(_BOOKINGS, f"{client_id}\x00{idempotency_key}")


def row_id_for(owner: UUID | str, kind: str, number: int = 1) -> UUID:
    """The id of a booking's n-th payment, refund, payout or session, or of a client's customer."""
    return uuid5(_ROWS, f"{owner}\x00{kind}\x00{number}")


def workflow_id_for(booking_id: UUID) -> str:
    """The workflow that is this booking."""
    return f"booking-{booking_id}"


def transfer_group_for(booking_id: UUID) -> str:
    """Ties a booking's charge and transfers together at Stripe."""
    return f"booking_{booking_id}"


def operation_key(booking_id: UUID | str, kind: str, row_id: UUID | str, attempt: int) -> str:
    """Stripe's idempotency key for one attempt at one money operation on one row."""
    return f"booking:{booking_id}:{kind}:{row_id}:{attempt}"


def aftercare_id_for(booking_id: UUID) -> str:
    """The workflow that sees to a booking's money after the booking's own workflow has ended."""
    return f"aftercare-{booking_id}"


def settlement_id_for(payment_intent_id: str) -> str:
    """The workflow that finds out what a payment without a live booking is good for."""
    return f"settlement-{payment_intent_id}"


def stray_id_for(payment_intent_id: str) -> UUID:
    """The booking that a payment without one may make; also the owner of its operations."""
    return uuid5(_BOOKINGS, f"stray\x00{payment_intent_id}")


def class_workflow_id_for(session_id: UUID) -> str:
    """The workflow that tells every booking of a class what became of it."""
    return f"class-{session_id}"
