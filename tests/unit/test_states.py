"""The states and their moves are DESIGN section 2 and ADR 0009, no edge more and no edge less."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from models.states import (
    BANK_PAYOUT_MOVES,
    BOOKING_MOVES,
    DISPUTE_MOVES,
    LIVE_SESSION,
    MONEY_TAKEN,
    PAYMENT_MOVES,
    PAYMENT_OPEN,
    PAYMENT_STANDS,
    PAYOUT_MOVES,
    PAYOUT_OPEN,
    REFUND_MOVES,
    SEAT_HOLDING,
    SESSION_MOVES,
    TERMINAL_BOOKING,
    BankPayoutStatus,
    BookingStatus,
    DisputeStatus,
    Moves,
    PaymentStatus,
    PayoutStatus,
    RefundStatus,
    SessionStatus,
    StatusReason,
    ends_as,
    sources,
)

Machine = tuple[Moves[Any], type[StrEnum], Mapping[str, str], frozenset[str]]

MACHINES: dict[str, Machine] = {
    "session": (
        SESSION_MOVES,
        SessionStatus,
        {"DRAFT": "SCHEDULED CANCELLED", "SCHEDULED": "COMPLETED CANCELLED"},
        frozenset({"COMPLETED", "CANCELLED"}),
    ),
    "booking": (
        BOOKING_MOVES,
        BookingStatus,
        {
            "PENDING": "AWAITING_APPROVAL CONFIRMED CANCELLED",
            "AWAITING_APPROVAL": "CONFIRMED REJECTED CANCELLED",
            "CONFIRMED": "COMPLETED NO_SHOW FORFEIT CANCELLED",
        },
        frozenset({"COMPLETED", "NO_SHOW", "FORFEIT", "CANCELLED", "REJECTED"}),
    ),
    "payment": (
        PAYMENT_MOVES,
        PaymentStatus,
        {
            "PENDING": "AUTHORIZED SAVED PROCESSING CAPTURED FAILED VOIDED",
            "SAVED": "AUTHORIZED FAILED VOIDED",
            "PROCESSING": "AUTHORIZED CAPTURED FAILED",
            "AUTHORIZED": "CAPTURED VOIDED EXPIRED SAVED",
            "CAPTURED": "PARTIALLY_REFUNDED REFUNDED",
            "PARTIALLY_REFUNDED": "REFUNDED CAPTURED",
            "REFUNDED": "PARTIALLY_REFUNDED CAPTURED",
        },
        frozenset({"VOIDED", "EXPIRED", "FAILED"}),
    ),
    "payout": (
        PAYOUT_MOVES,
        PayoutStatus,
        {
            "HELD": "PROCESSING FROZEN BLOCKED CANCELLED",
            "FROZEN": "HELD BLOCKED CANCELLED",
            "BLOCKED": "PROCESSING FROZEN CANCELLED",
            "PROCESSING": "PAID BLOCKED",
            "PAID": "PROCESSING PARTIALLY_REVERSED REVERSED",
            "PARTIALLY_REVERSED": "REVERSED PROCESSING",
            "REVERSED": "PROCESSING",
        },
        frozenset({"CANCELLED"}),
    ),
    "dispute": (
        DISPUTE_MOVES,
        DisputeStatus,
        {"OPEN": "WON LOST"},
        frozenset({"WON", "LOST"}),
    ),
    "bank_payout": (
        BANK_PAYOUT_MOVES,
        BankPayoutStatus,
        {"PENDING": "PAID FAILED", "PAID": "FAILED"},
        frozenset({"FAILED"}),
    ),
    "refund": (
        REFUND_MOVES,
        RefundStatus,
        {"PENDING": "SUCCEEDED FAILED", "SUCCEEDED": "FAILED"},
        frozenset({"FAILED"}),
    ),
}

each_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)


@each_machine
def test_the_moves_are_those_of_the_design(machine: Machine) -> None:
    moves, _, design, _ = machine
    listed = {(source, target) for source, targets in design.items() for target in targets.split()}
    coded = {(source, target) for source, targets in moves.items() for target in targets}
    assert coded == listed


@each_machine
def test_every_state_has_its_row_and_no_move_leads_nowhere(machine: Machine) -> None:
    moves, states, _, _ = machine
    assert set(moves) == set(states)
    assert all(source not in targets for source, targets in moves.items())


@each_machine
def test_terminal_states_are_those_that_the_design_calls_so(machine: Machine) -> None:
    moves, _, _, terminal = machine
    assert {state for state, targets in moves.items() if not targets} == terminal


@each_machine
def test_sources_are_the_moves_read_backwards(machine: Machine) -> None:
    moves, states, _, _ = machine
    for target in states:
        assert sources(moves, target) == {state for state in states if target in moves[state]}


def test_a_seat_is_held_exactly_until_the_booking_ends() -> None:
    assert {BookingStatus.PENDING, BookingStatus.AWAITING_APPROVAL, BookingStatus.CONFIRMED} == SEAT_HOLDING
    assert set(BookingStatus) == SEAT_HOLDING | TERMINAL_BOOKING
    assert SEAT_HOLDING.isdisjoint(TERMINAL_BOOKING)


def test_a_session_blocks_its_time_exactly_until_it_ends() -> None:
    assert {SessionStatus.DRAFT, SessionStatus.SCHEDULED} == LIVE_SESSION


def test_a_payment_stands_when_a_card_is_kept_or_money_is_reserved_or_taken() -> None:
    assert {
        PaymentStatus.CAPTURED,
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
    } == MONEY_TAKEN
    assert MONEY_TAKEN | {PaymentStatus.AUTHORIZED, PaymentStatus.SAVED} == PAYMENT_STANDS


def test_a_payment_is_open_while_its_money_may_still_come_or_go() -> None:
    over = {PaymentStatus.VOIDED, PaymentStatus.EXPIRED, PaymentStatus.FAILED}
    assert PAYMENT_OPEN | MONEY_TAKEN | over == set(PaymentStatus)
    assert PAYMENT_OPEN.isdisjoint(MONEY_TAKEN | over)


def test_money_that_was_taken_never_counts_as_never_taken() -> None:
    for state in MONEY_TAKEN:
        assert PAYMENT_MOVES[state] <= MONEY_TAKEN


def test_a_payout_is_open_until_the_provider_has_its_share_or_there_is_none() -> None:
    seen_to = {
        PayoutStatus.PAID,
        PayoutStatus.PARTIALLY_REVERSED,
        PayoutStatus.REVERSED,
        PayoutStatus.CANCELLED,
    }
    assert PAYOUT_OPEN | seen_to == set(PayoutStatus)
    assert PAYOUT_OPEN.isdisjoint(seen_to)


def test_only_a_rejection_by_the_provider_ends_as_rejected() -> None:
    ends = {reason: ends_as(reason) for reason in [*StatusReason, None]}
    assert ends.pop(StatusReason.REJECTED_BY_PROVIDER) is BookingStatus.REJECTED
    assert set(ends.values()) == {BookingStatus.CANCELLED}
