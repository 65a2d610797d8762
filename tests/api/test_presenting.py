"""A booking's rows as its resource."""

from datetime import timedelta

import pytest

from api.presenting import held_because, present
from api.schemas import HeldBecause
from models.payments import Payout
from models.states import BookingStatus, PaymentStatus, PayoutStatus, ReportedOutcome, Role
from tests.api.rows import NOW, caller, payout, record


def test_a_payout_tells_what_is_moved_and_what_pays_debts() -> None:
    paid = payout(PayoutStatus.PAID, debt_netted=600, transfer_id="tr_1")
    shown = present(record(BookingStatus.COMPLETED, PaymentStatus.CAPTURED, paid), caller(Role.PROVIDER))
    assert shown.payout is not None
    moved = (shown.payout.amount, shown.payout.debt_netted, shown.payout.transfer_amount)
    assert moved == (9_600, 600, 9_000)
    assert (shown.payout.transfer_id, shown.payout.held_because) == ("tr_1", None)
    assert (shown.payment.platform_fee, shown.payment.provider_share) == (2_400, 9_600)


@pytest.mark.parametrize(
    ("paid", "because"),
    [
        (payout(), HeldBecause.HOLD),
        (payout(PayoutStatus.FROZEN), HeldBecause.DISPUTE),
        (payout(PayoutStatus.FROZEN, objected_at=NOW), HeldBecause.OBJECTION),
        (payout(PayoutStatus.BLOCKED), HeldBecause.ACCOUNT),
        (payout(PayoutStatus.PROCESSING), HeldBecause.TRANSFER),
        (payout(PayoutStatus.PROCESSING, transfer_id="tr_1"), HeldBecause.BANK),
        (payout(PayoutStatus.PAID), None),
        (payout(PayoutStatus.PARTIALLY_REVERSED), None),
        (payout(PayoutStatus.REVERSED), None),
        (payout(PayoutStatus.CANCELLED), None),
    ],
    ids=range(10),
)
def test_a_payout_that_is_not_made_says_why(paid: Payout, because: HeldBecause | None) -> None:
    assert held_because(paid) is because


def test_a_claim_is_shown_before_it_is_decided() -> None:
    claimed = record(claimed_outcome=ReportedOutcome.PROVIDER_NO_SHOW)
    assert present(claimed, caller(Role.CLIENT)).reported_outcome is ReportedOutcome.PROVIDER_NO_SHOW
    decided = record(
        claimed_outcome=ReportedOutcome.PROVIDER_NO_SHOW, reported_outcome=ReportedOutcome.COMPLETED
    )
    assert present(decided, caller(Role.CLIENT)).reported_outcome is ReportedOutcome.COMPLETED


def test_a_payment_has_all_its_deadlines() -> None:
    saved = record(
        payment_status=PaymentStatus.SAVED,
        payment={
            "setup_intent_id": "seti_1",
            "authorize_at": NOW + timedelta(hours=1),
            "fix_by": NOW + timedelta(hours=2),
        },
    )
    shown = present(saved, caller(Role.CLIENT)).payment
    assert (shown.setup_intent_id, shown.payment_intent_id) == ("seti_1", None)
    assert (shown.authorize_at, shown.fix_by) == (NOW + timedelta(hours=1), NOW + timedelta(hours=2))
