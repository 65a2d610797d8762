"""The verdict has to notice harm of every kind, and a run that proves nothing."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from sandbox.demo.audit import AtStripe, Figures
from tests.chaos.plan import Kind, draw
from tests.chaos.verdict import Evidence, Row, judge
from tests.chaos.witness import different, wrong_with

PLAN = draw(1, 20, 0.5)
ROWS = tuple(Row(f"b{number}", "COMPLETED", "PAID") for number in range(PLAN.bookings))
WELL = Evidence(
    rows=ROWS,
    promised=frozenset(row.id for row in ROWS),
    injected=Counter(disaster.kind for disaster in PLAN.disasters),
    struck=len(PLAN.disasters),
)
PARKED = Row("parked", "CONFIRMED", attention="settle: StripeRejected: no")


def test_a_run_in_which_all_went_well_passes() -> None:
    assert judge(PLAN, WELL) == []


@pytest.mark.parametrize(
    ("harm", "noticed"),
    [
        ({"rows": (*ROWS, Row("x", "CONFIRMED"))}, "lost: x: CONFIRMED, payout none"),
        ({"rows": (*ROWS, Row("x", "COMPLETED", "HELD"))}, "lost: x: COMPLETED, payout HELD"),
        ({"rows": (*ROWS, PARKED)}, "lost: parked: CONFIRMED, payout none"),
        ({"promised": frozenset({"x"})}, "lost: x: promised, and not there"),
        ({"violations": ("I3 nobody is paid twice: x",)}, "violation: I3 nobody is paid twice: x"),
        ({"failed_workflows": ("booking-x",)}, "a workflow ended as it never should: booking-x"),
        ({"open_workflows": ("settlement-pi_1",)}, "a workflow is still open: settlement-pi_1"),
        ({"rows": ()}, "only 0 bookings were made, at least 10 should be"),
        ({"struck": 3}, f"only 3 disasters found bookings under way, at least {len(PLAN.disasters) / 2:.0f}"),
        (
            {"injected": {**WELL.injected, Kind.WORKER_KILLED: 0}},
            "never happened: worker killed",
        ),
        (
            {"rows": tuple(replace(row, status="CANCELLED", payout=None) for row in ROWS)},
            "only 0 payouts were made",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_harm_is_noticed(harm: dict[str, Any], noticed: str) -> None:
    assert [one for one in judge(PLAN, replace(WELL, **harm)) if one.startswith(noticed)] != []


def test_a_booking_that_asks_for_a_person_is_not_lost_but_one_in_a_thousand_may() -> None:
    asking = replace(WELL, rows=(*ROWS, PARKED), open_workflows=("booking-parked",))
    assert asking.lost == ()
    assert asking.in_attention == (PARKED,)
    assert judge(PLAN, asking) == ["only 20 of 21 bookings are over"]
    many = tuple(Row(f"m{number}", "COMPLETED", "PAID") for number in range(1000))
    assert judge(PLAN, replace(asking, rows=(*many, PARKED), promised=frozenset())) == []


def test_a_request_that_was_refused_after_all_is_not_lost() -> None:
    assert judge(PLAN, replace(WELL, promised=frozenset({"x"}), refused=frozenset({"x"}))) == []


def test_endings_are_counted() -> None:
    rows = (*ROWS, Row("x", "CANCELLED"), PARKED)
    assert replace(WELL, rows=rows).endings == {"COMPLETED, payout PAID": 20, "CANCELLED, payout none": 1}


def test_money_that_only_one_side_knows_is_noticed() -> None:
    both = {("capture", "ch_1"): 12_000}
    assert different(both, both) == []
    twice = both | {("transfer", "tr_2"): -9_600}
    assert different(both, twice) == ["Stripe has -9600 of transfer tr_2, the ledger 0"]
    assert different(twice, both) == ["Stripe has 0 of transfer tr_2, the ledger -9600"]
    assert different(both, {("capture", "ch_1"): 6_000}) == [
        "Stripe has 6000 of capture ch_1, the ledger 12000"
    ]


def test_a_second_transfer_of_one_booking_is_noticed() -> None:
    moved = {"transfer": {"tr_1": -9_600, "tr_2": -9_600}}
    stripe = AtStripe(moved=moved, destinations=("acct_1", "acct_1"), provider_account="acct_1")
    payment = dict.fromkeys(("amount_captured", "amount_refunded", "platform_fee", "provider_share"), 0)
    booking = {"id": "x", "payment": {**payment, "currency": "eur"}, "payout": None}
    assert "2 transfers stand at Stripe" in wrong_with(Figures(booking, (), stripe))
    taken_back = {**moved, "reversal": {"trr_1": 9_600}}
    again = Figures(booking, (), replace(stripe, moved=taken_back))
    assert "2 transfers stand at Stripe" not in wrong_with(again)
