"""What a booking waits for, in every state that it can be in."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.awaiting import TOLD, Standing, awaiting, why_held
from api.queries import BookingRecord
from api.schemas import HeldBecause
from api.timeline_schemas import Awaiting, What
from models.payments import Payout
from models.states import BookingStatus, PaymentStatus, PayoutStatus, ReportedOutcome, Role
from tests.api.rows import NOW, PROVIDER_ID, payout, record

HOURS = timedelta(hours=1)
PENDING, CONFIRMED, COMPLETED = BookingStatus.PENDING, BookingStatus.CONFIRMED, BookingStatus.COMPLETED
CAPTURED, SAVED = PaymentStatus.CAPTURED, PaymentStatus.SAVED


def waits(found: BookingRecord, **known: Any) -> Awaiting:
    waiting = awaiting(Standing(found, NOW, **known))
    assert waiting is not None
    return waiting


def held(paid: Payout, **values: Any) -> BookingRecord:
    return record(COMPLETED, CAPTURED, paid, starts_in=-2 * HOURS, **values)


def acts(waiting: Awaiting) -> set[tuple[Role, str]]:
    return {(can.role, can.path.rsplit("/", 1)[-1]) for can in waiting.can_act}


STATES: list[tuple[BookingRecord, What | None, datetime | None]] = [
    (record(PENDING, PaymentStatus.PENDING), What.PAYMENT, NOW + HOURS / 2),
    (record(PENDING, PaymentStatus.PROCESSING), What.PAYMENT_PROCESSING, NOW + HOURS / 2),
    (record(PENDING, PaymentStatus.AUTHORIZED), What.CONFIRMATION, None),
    (record(PENDING, SAVED), What.CONFIRMATION, None),
    (record(PENDING, PaymentStatus.VOIDED), What.SETTLEMENT, None),
    (record(BookingStatus.AWAITING_APPROVAL, approval_due_at=NOW + HOURS), What.APPROVAL, NOW + HOURS),
    (record(CONFIRMED), What.OUTCOME, NOW + 73 * HOURS),
    (record(CONFIRMED, CAPTURED), What.OUTCOME, NOW + 73 * HOURS),
    (record(CONFIRMED, SAVED, payment={"authorize_at": NOW + HOURS}), What.AUTHORIZATION, NOW + HOURS),
    (record(CONFIRMED, SAVED, payment={"fix_by": NOW + HOURS}), What.CARD_REPAIR, NOW + HOURS),
    (record(CONFIRMED, reported_outcome=ReportedOutcome.COMPLETED), What.SETTLEMENT, None),
    (record(CONFIRMED, outcome_status=BookingStatus.CANCELLED), What.SETTLEMENT, None),
    (
        record(CONFIRMED, starts_in=-HOURS, claimed_outcome=ReportedOutcome.PROVIDER_NO_SHOW),
        What.OUTCOME,
        NOW + 24 * HOURS,
    ),
    (record(CONFIRMED, contradicted_outcome=ReportedOutcome.COMPLETED), What.CONTRADICTION, None),
    (held(payout()), What.HOLD, NOW + 72 * HOURS),
    (held(payout(PayoutStatus.FROZEN)), What.DISPUTE, None),
    (held(payout(PayoutStatus.FROZEN, objected_at=NOW)), What.OBJECTION, None),
    (held(payout(PayoutStatus.BLOCKED, blocked_at=NOW)), What.PROVIDER_ACCOUNT, NOW + 72 * HOURS),
    (held(payout(PayoutStatus.PROCESSING)), What.TRANSFER, None),
    (held(payout(PayoutStatus.PROCESSING, transfer_id="tr_1")), What.BANK, None),
    (held(payout(PayoutStatus.PAID)), None, None),
    (held(payout(PayoutStatus.PARTIALLY_REVERSED)), None, None),
    (held(payout(PayoutStatus.REVERSED)), None, None),
    (held(payout(PayoutStatus.CANCELLED)), None, None),
    (record(BookingStatus.NO_SHOW, CAPTURED, payout()), What.HOLD, NOW + 72 * HOURS),
    (record(BookingStatus.FORFEIT, CAPTURED, payout()), What.HOLD, NOW + 72 * HOURS),
    (record(BookingStatus.CANCELLED, CAPTURED, payout()), What.HOLD, NOW + 72 * HOURS),
    (record(BookingStatus.CANCELLED, PaymentStatus.VOIDED), None, None),
    (record(BookingStatus.REJECTED, PaymentStatus.VOIDED), None, None),
]


@pytest.mark.parametrize(("found", "what", "until"), STATES, ids=range(len(STATES)))
def test_every_state_waits_for_something_or_is_over(
    found: BookingRecord, what: What | None, until: datetime | None
) -> None:
    waiting = awaiting(Standing(found, NOW))
    assert (waiting and waiting.what, waiting and waiting.until) == (what, until)
    assert waiting is None or waiting.told == TOLD[waiting.what]


def test_every_state_is_looked_at() -> None:
    assert {found.booking.status for found, _, _ in STATES} == set(BookingStatus)
    assert {found.payout.status for found, _, _ in STATES if found.payout} == set(PayoutStatus)
    seen = {what for _, what, _ in STATES}
    assert seen | {What.DECISION, What.REFUND} == {*What, None}
    assert set(TOLD) == set(What)


def test_a_parked_step_waits_for_ops() -> None:
    waiting = waits(record(CONFIRMED, attention_step="settle"))
    assert (waiting.what, acts(waiting)) == (What.DECISION, {(Role.OPS, "resolve")})


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (
            record(attention_step="reports", contradicted_outcome=ReportedOutcome.COMPLETED),
            What.CONTRADICTION,
        ),
        (
            held(payout(PayoutStatus.FROZEN, objected_at=NOW), attention_step="objection"),
            What.OBJECTION,
        ),
        (
            held(payout(PayoutStatus.BLOCKED, blocked_at=NOW), attention_step="pay_out"),
            What.PROVIDER_ACCOUNT,
        ),
        (held(payout(PayoutStatus.PROCESSING), attention_step="pay_out"), What.DECISION),
    ],
    ids=["reports", "objection", "blocked", "transfer"],
)
def test_what_ops_are_asked_has_a_name_of_its_own(found: BookingRecord, what: What) -> None:
    waiting = waits(found)
    assert waiting.what is what
    assert (Role.OPS, "resolve") in acts(waiting)


def test_the_client_pays_and_anybody_lets_go() -> None:
    everybody = {(role, "cancel") for role in (Role.CLIENT, Role.PROVIDER, Role.OPS)}
    paying = {(Role.CLIENT, "checkout"), (Role.CLIENT, "confirm")}
    assert acts(waits(record(PENDING, PaymentStatus.PENDING))) == everybody | paying


def test_only_the_provider_approves() -> None:
    waiting = waits(record(BookingStatus.AWAITING_APPROVAL, approval_due_at=NOW + HOURS))
    deciding = {(role, what) for role, what in acts(waiting) if what != "cancel"}
    assert deciding == {(Role.PROVIDER, "approve"), (Role.PROVIDER, "reject")}


def test_before_the_start_it_is_moved_or_cancelled() -> None:
    waiting = waits(record())
    assert {what for _, what in acts(waiting)} == {"cancel", "reschedule"}
    until = {(can.role, can.path.rsplit("/", 1)[-1]): can.until for can in waiting.can_act}
    assert until[Role.CLIENT, "cancel"] == NOW + 48 * HOURS
    assert until[Role.CLIENT, "reschedule"] == NOW + 24 * HOURS
    assert until[Role.PROVIDER, "reschedule"] == NOW + 48 * HOURS


def test_past_the_cutoff_the_client_does_not_move_it() -> None:
    found = acts(waits(record(starts_in=2 * HOURS)))
    assert (Role.CLIENT, "reschedule") not in found
    assert (Role.PROVIDER, "reschedule") in found


def test_from_the_start_on_it_has_an_outcome() -> None:
    found = acts(waits(record(starts_in=timedelta(0))))
    assert {(Role.CLIENT, "complete"), (Role.PROVIDER, "no-show"), (Role.OPS, "cancel")} <= found
    assert (Role.CLIENT, "cancel") not in found
    assert not {role for role, what in found if what == "reschedule"}


def test_what_is_claimed_is_not_moved_any_more() -> None:
    found = acts(waits(record(claimed_outcome=ReportedOutcome.PROVIDER_NO_SHOW)))
    assert not {role for role, what in found if what == "reschedule"}


def test_a_hold_is_contested_refunded_or_changed() -> None:
    assert acts(waits(held(payout()))) == {
        (Role.CLIENT, "object"),
        (Role.PROVIDER, "refund"),
        (Role.OPS, "refund"),
        (Role.OPS, "hold"),
    }


def test_a_disputed_payment_is_not_refunded() -> None:
    contested = held(payout(PayoutStatus.FROZEN, objected_at=NOW))
    assert acts(waits(contested, disputed=True)) == {(Role.OPS, "resolve")}


def test_a_provider_that_cannot_be_paid_goes_on_at_stripe() -> None:
    waiting = waits(held(payout(PayoutStatus.BLOCKED, blocked_at=NOW)))
    assert f"/api/providers/{PROVIDER_ID}/onboarding" in {can.path for can in waiting.can_act}


def test_money_moves_after_the_end() -> None:
    over = held(payout(PayoutStatus.PAID))
    assert waits(over, disputed=True).what is What.DISPUTE
    assert waits(over, refunding=True).what is What.REFUND


@pytest.mark.parametrize(
    ("paid", "known", "because"),
    [
        (None, {}, []),
        (payout(), {}, [HeldBecause.HOLD]),
        (payout(PayoutStatus.FROZEN), {"disputed": True}, [HeldBecause.DISPUTE]),
        (payout(PayoutStatus.FROZEN, objected_at=NOW), {}, [HeldBecause.OBJECTION]),
        (
            payout(PayoutStatus.FROZEN, objected_at=NOW),
            {"disputed": True},
            [HeldBecause.OBJECTION, HeldBecause.DISPUTE],
        ),
        (payout(PayoutStatus.BLOCKED), {}, [HeldBecause.ACCOUNT]),
        (payout(PayoutStatus.PROCESSING), {}, [HeldBecause.TRANSFER]),
        (payout(PayoutStatus.PROCESSING, transfer_id="tr_1"), {}, [HeldBecause.BANK]),
        (payout(PayoutStatus.PAID), {}, []),
        (payout(PayoutStatus.CANCELLED), {}, []),
    ],
    ids=range(10),
)
def test_why_the_provider_waits(
    paid: Payout | None, known: dict[str, bool], because: list[HeldBecause]
) -> None:
    assert why_held(Standing(record(COMPLETED, CAPTURED, paid), NOW, **known)) == because


def test_paths_name_the_booking() -> None:
    assert all(str(UUID(int=1)) in can.path for can in waits(record()).can_act)
