"""Keys that are in use at Stripe and in histories: changing how they are made pays twice."""

from uuid import UUID

from models.keys import (
    APP,
    booking_id_for,
    operation_key,
    row_id_for,
    transfer_group_for,
    workflow_id_for,
)
from models.ledger import JournalKind, capture, entries

BOOKING = UUID("11111111-2222-4333-8444-555555555555")


def test_the_known_keys_have_not_changed() -> None:
    payment = row_id_for(BOOKING, "payment")
    assert str(booking_id_for("alice", "key-1")) == "7535d23a-bd9b-5277-bc21-6f710e917ec6"
    assert str(payment) == "db53ba48-c62c-5ebb-a614-489a7785e2f4"
    assert str(row_id_for(payment, "refund", 2)) == "2767cd7f-607f-5042-a4e9-0f292cab4523"
    assert str(row_id_for("alice", "customer")) == "43e13bea-a41d-5474-85e1-cebf93a83c11"
    assert operation_key(BOOKING, "intent", payment, 1) == f"booking:{BOOKING}:intent:{payment}:1"
    assert workflow_id_for(BOOKING) == f"booking-{BOOKING}"
    assert transfer_group_for(BOOKING) == f"booking_{BOOKING}"
    assert APP == "durable-bookings"


def test_the_known_journals_have_not_changed() -> None:
    (debit, _) = entries(JournalKind.CAPTURE, BOOKING, "eur", capture(1), "ch_1")
    assert str(debit.journal_id) == "be807874-673e-552a-a58d-3fe6892a119c"


def test_whoever_and_whatever_differs_gets_another_key() -> None:
    made = [
        booking_id_for("alice", "1"),
        booking_id_for("alice", "2"),
        booking_id_for("bob", "1"),
        booking_id_for("alice1", ""),
        row_id_for("alice", "1"),
        row_id_for(BOOKING, "refund", 1),
        row_id_for(BOOKING, "refund", 2),
        row_id_for(BOOKING, "payout", 1),
    ]
    assert len({*made}) == len(made)


def test_a_separator_keeps_the_parts_of_a_key_apart() -> None:
    assert booking_id_for("ab", "c") != booking_id_for("a", "bc")
    assert row_id_for("ab", "c") != row_id_for("a", "bc")


def test_every_attempt_has_its_own_key() -> None:
    keys = {operation_key(BOOKING, "transfer", BOOKING, attempt) for attempt in range(1, 6)}
    assert len(keys) == 5
    assert all(len(key) <= 255 for key in keys)  # Stripe's limit
