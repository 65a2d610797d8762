"""Which transition is told to whom: the table, the rows' ids, when a mail is due and while it is true."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from activities.letters.rendering import TEMPLATES
from models.announcements import (
    INVITES,
    SAID,
    TAKES_BACK,
    TOLD,
    TRUE_WHILE,
    Announcement,
    Condition,
    Facts,
    Kind,
    Standing,
    due_at,
    notification_id,
    still_true,
    told,
)
from models.states import BookingStatus, PaymentStatus, PayoutStatus, Role
from models.transitions import MACHINES

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
START = NOW + timedelta(days=3)
BOOKING = UUID(int=1)
NONE: frozenset[Condition] = frozenset()

CALLED_FOR = {one for announcements in (*TOLD.values(), *SAID.values()) for one in announcements}


def kinds(source: BookingStatus | None, target: BookingStatus) -> set[tuple[str, str]]:
    return {(one.kind.value, one.recipient.value) for one in told("booking", source, target, NONE)}


def test_every_kind_is_called_for_and_has_words() -> None:
    assert {one.kind for one in CALLED_FOR} == set(Kind)
    assert {path.stem for path in TEMPLATES.glob("*.txt")} >= {kind.value for kind in Kind}


def test_every_transition_in_the_table_is_one_that_a_machine_can_make() -> None:
    machines = dict(MACHINES.values())
    for (entity, target), announcements in TOLD.items():
        moves = machines[entity]
        assert target in moves
        for one in announcements:
            assert all(target in moves[source] for source in one.coming_from or ())


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (None, BookingStatus.PENDING, {("pay_soon", "client")}),
        (
            BookingStatus.PENDING,
            BookingStatus.AWAITING_APPROVAL,
            {("requested", "client"), ("approval_asked", "provider")},
        ),
        (
            BookingStatus.PENDING,
            BookingStatus.CONFIRMED,
            {
                ("confirmed", "client"),
                ("booked", "provider"),
                ("reminder", "client"),
                ("reminder", "provider"),
            },
        ),
        (
            BookingStatus.AWAITING_APPROVAL,
            BookingStatus.CONFIRMED,
            {
                ("approved", "client"),
                ("booked", "provider"),
                ("reminder", "client"),
                ("reminder", "provider"),
            },
        ),
        (BookingStatus.AWAITING_APPROVAL, BookingStatus.REJECTED, {("rejected", "client")}),
        (BookingStatus.PENDING, BookingStatus.CANCELLED, {("cancelled", "client")}),
        (
            BookingStatus.CONFIRMED,
            BookingStatus.CANCELLED,
            {("cancelled", "client"), ("cancelled", "provider")},
        ),
        (BookingStatus.CONFIRMED, BookingStatus.COMPLETED, {("receipt", "client")}),
    ],
)
def test_a_transition_of_a_booking_is_told_to_those_whom_it_concerns(
    source: BookingStatus | None, target: BookingStatus, expected: set[tuple[str, str]]
) -> None:
    assert kinds(source, target) == expected


@pytest.mark.parametrize(
    ("target", "circumstances", "expected"),
    [
        (PayoutStatus.PAID, {Condition.NO_BANK}, ["payout_sent"]),
        (PayoutStatus.PAID, set(), []),
        (PayoutStatus.FROZEN, set(), []),
        (PayoutStatus.FROZEN, {Condition.OBJECTED}, ["objected", "objected"]),
        (PayoutStatus.HELD, {Condition.NO_BANK}, []),
    ],
    ids=["transferred", "sent to the bank", "disputed", "objected", "unfrozen"],
)
def test_a_payouts_transition_is_told_by_what_lies_behind_it(
    target: PayoutStatus, circumstances: set[Condition], expected: list[str]
) -> None:
    announced = told("payout", PayoutStatus.PROCESSING, target, frozenset(circumstances))
    assert [one.kind.value for one in announced] == expected


def row_id(kind: Kind, transition: str, **facts: Any) -> UUID:
    return notification_id(BOOKING, Announcement(kind, Role.CLIENT), transition, Facts(**facts))


def test_the_same_transition_is_one_row_and_a_second_one_another() -> None:
    assert row_id(Kind.CONFIRMED, "at noon") == row_id(Kind.CONFIRMED, "at noon")
    ids = {row_id(kind, at) for kind in (Kind.CONFIRMED, Kind.CANCELLED) for at in ("at noon", "later")}
    assert len(ids) == 4


def test_a_booking_that_moves_away_and_back_is_reminded_once() -> None:
    first = row_id(Kind.REMINDER, "confirmed", starts_at=START)
    assert first == row_id(Kind.REMINDER, "moved back", starts_at=START)
    assert first != row_id(Kind.REMINDER, "moved", starts_at=START + timedelta(hours=1))


def test_a_payout_that_is_tried_again_while_it_is_blocked_says_so_once() -> None:
    assert row_id(Kind.PAYOUT_BLOCKED, "first", since=NOW) == row_id(Kind.PAYOUT_BLOCKED, "again", since=NOW)


def test_a_person_who_is_just_paying_is_not_hurried() -> None:
    half = due_at(Kind.PAY_SOON, NOW, Facts(until=NOW + timedelta(minutes=30)))
    assert half == NOW + timedelta(minutes=15)


@pytest.mark.parametrize(
    ("ahead", "lead"),
    [(timedelta(days=3), timedelta(hours=24)), (timedelta(hours=24), None), (timedelta(hours=2), None)],
)
def test_a_reminder_goes_out_a_day_before_and_never_to_who_has_just_booked(
    ahead: timedelta, lead: timedelta | None
) -> None:
    start = NOW + ahead
    assert due_at(Kind.REMINDER, NOW, Facts(starts_at=start)) == (start - lead if lead else None)


def test_what_has_happened_is_told_at_once() -> None:
    assert due_at(Kind.RECEIPT, NOW, Facts()) == NOW


def standing(**changed: Any) -> Standing:
    usual: dict[str, Any] = {
        "booking": BookingStatus.CONFIRMED,
        "starts_at": START,
        "expires_at": NOW + timedelta(minutes=30),
        "payment": PaymentStatus.AUTHORIZED,
    }
    return Standing(**usual | changed)


PENDING = {"booking": BookingStatus.PENDING, "payment": PaymentStatus.PENDING}
SAVED = {"payment": PaymentStatus.SAVED, "fix_by": START}
MOVED = {"starts_at": START + timedelta(days=1)}


@pytest.mark.parametrize(
    ("kind", "changed", "true"),
    [
        (Kind.PAY_SOON, PENDING, True),
        (Kind.PAY_SOON, PENDING | {"payment": PaymentStatus.PROCESSING}, False),
        (Kind.PAY_SOON, PENDING | {"payment": PaymentStatus.AUTHORIZED}, False),
        (Kind.PAY_SOON, PENDING | {"expires_at": NOW}, False),
        (Kind.PAY_SOON, PENDING | {"booking": BookingStatus.CANCELLED}, False),
        (Kind.REMINDER, {}, True),
        (Kind.REMINDER, MOVED, False),
        (Kind.REMINDER, {"decided": True}, False),
        (Kind.REMINDER, {"booking": BookingStatus.CANCELLED}, False),
        (Kind.CONFIRMED, {}, True),
        (Kind.CONFIRMED, {"booking": BookingStatus.COMPLETED}, True),
        (Kind.CONFIRMED, {"booking": BookingStatus.CANCELLED}, False),
        (Kind.BOOKED, MOVED, False),
        (Kind.APPROVAL_ASKED, {"booking": BookingStatus.AWAITING_APPROVAL}, True),
        (Kind.APPROVAL_ASKED, {}, False),
        (Kind.CARD_REFUSED, SAVED, True),
        (Kind.CARD_REFUSED, {}, False),
        (Kind.CARD_REFUSED, SAVED | {"fix_by": NOW}, False),
        (Kind.PAYOUT_STILL_BLOCKED, {"payout": PayoutStatus.BLOCKED}, True),
        (Kind.PAYOUT_STILL_BLOCKED, {"payout": PayoutStatus.PROCESSING}, True),
        (Kind.PAYOUT_STILL_BLOCKED, {"payout": PayoutStatus.PAID}, False),
        (Kind.CANCELLED, {"booking": BookingStatus.CANCELLED}, True),
        (Kind.RECEIPT, MOVED, True),
    ],
)
def test_a_mail_is_sent_only_while_it_is_true(kind: Kind, changed: dict[str, Any], *, true: bool) -> None:
    facts = Facts(starts_at=START, until=START)
    assert still_true(kind, facts, standing(**changed), NOW) is true


def test_a_reminder_that_comes_after_the_start_reminds_nobody() -> None:
    assert not still_true(Kind.REMINDER, Facts(starts_at=START), standing(), START)


def test_every_invitation_is_only_sent_while_it_stands() -> None:
    assert set(TRUE_WHILE) >= INVITES
    assert not TAKES_BACK & set(TRUE_WHILE)
