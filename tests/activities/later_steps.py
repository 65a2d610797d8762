"""The money steps after a capture: what comes before them, how they are done, where they leave the money."""

from dataclasses import replace
from typing import Final
from uuid import UUID

from tests.activities.afterwards import (
    MANUAL,
    decided,
    disputed,
    drain,
    earned,
    giving_back,
    mirrored,
    ordered,
    paid_out,
    rebalanced,
)
from tests.activities.desk import Desk, do
from tests.activities.money_steps import HALF, PAY_OUT, PRICE, SHARE, STRIPE_FEE, MoneyStep
from tests.support.shop import Shop

DISPUTE_FEE: Final = 1_500


async def _refunded(desk: Desk, shop: Shop) -> UUID:
    booking_id = await paid_out(desk, shop)
    await ordered(desk, booking_id, HALF)
    return booking_id


async def _short(desk: Desk, shop: Shop) -> UUID:
    booking_id = await paid_out(desk, shop)
    await drain(desk, shop, SHARE - 1_000)
    await ordered(desk, booking_id, HALF)
    return booking_id


async def _won(desk: Desk, shop: Shop) -> UUID:
    booking_id = await paid_out(desk, shop)
    dispute = await disputed(desk, booking_id)
    await mirrored(desk, booking_id)
    await rebalanced(desk, booking_id)
    await decided(desk, dispute, "won")
    await mirrored(desk, booking_id)
    return booking_id


async def _manual(desk: Desk, shop: Shop) -> UUID:
    await desk.control.ask("POST", "/settings", payout_delay="P30D")  # the bank answers another day
    return await paid_out(desk, shop)


_CAPTURED = PAY_OUT.ends
_ON_STRIPE = PRICE - STRIPE_FEE

ORDERED: Final = MoneyStep(
    "refund: ordered during the hold",
    kind="refund",
    path="/v1/refunds",
    before=earned,
    act=lambda activities, booking_id: activities.refunds.refund(giving_back(booking_id, HALF)),
    ends=replace(
        _CAPTURED,
        payment="PARTIALLY_REFUNDED",
        payout="HELD",
        books={"stripe_balance": _ON_STRIPE - HALF, "held": -HALF, "stripe_fees": STRIPE_FEE},
        journals={"capture": 1, "stripe_fee": 1, "refund": 1},
        refunds=(HALF,),
        transfers=(),
    ),
)
ORDERED_LATE: Final = MoneyStep(
    "refund: ordered after the transfer",
    kind="refund",
    path="/v1/refunds",
    before=paid_out,
    act=lambda activities, booking_id: activities.refunds.refund(giving_back(booking_id, HALF)),
    ends=replace(
        _CAPTURED,
        payment="PARTIALLY_REFUNDED",
        books={
            "stripe_balance": _ON_STRIPE - SHARE - HALF,
            "stripe_fees": STRIPE_FEE,
            "platform_revenue": -1_200,
            "provider_payable": SHARE // 2,
        },
        journals={**_CAPTURED.journals, "refund": 1},
        refunds=(HALF,),
    ),
)
REVERSE: Final = MoneyStep(
    "rebalance: reversal",
    kind="reversal",
    path="/v1/transfers/*/reversals",
    before=_refunded,
    act=lambda activities, booking_id: activities.payouts.rebalance(do(booking_id)),
    ends=replace(
        ORDERED_LATE.ends,
        payout="PARTIALLY_REVERSED",
        books={
            "stripe_balance": _ON_STRIPE - SHARE // 2 - HALF,
            "stripe_fees": STRIPE_FEE,
            "platform_revenue": -1_200,
        },
        journals={**ORDERED_LATE.ends.journals, "reversal": 1},
        reversals=(SHARE // 2,),
    ),
)
OWE: Final = replace(
    REVERSE,
    name="rebalance: reversal and debt",
    before=_short,
    ends=replace(
        REVERSE.ends,
        books={
            "stripe_balance": _ON_STRIPE - SHARE + 1_000 - HALF,
            "stripe_fees": STRIPE_FEE,
            "platform_revenue": -1_200,
            "provider_debt": SHARE // 2 - 1_000,
        },
        journals={**REVERSE.ends.journals, "debt": 1},
        reversals=(1_000,),
    ),
)
TRANSFER_AGAIN: Final = MoneyStep(
    "rebalance: further transfer",
    kind="transfer",
    path="/v1/transfers",
    before=_won,
    act=lambda activities, booking_id: activities.payouts.rebalance(do(booking_id)),
    ends=replace(
        _CAPTURED,
        books={
            "stripe_balance": _ON_STRIPE - SHARE - DISPUTE_FEE,
            "stripe_fees": STRIPE_FEE,
            "platform_revenue": -2_400,
            "dispute_losses": DISPUTE_FEE,
        },
        journals={
            **_CAPTURED.journals,
            "dispute": 2,
            "dispute_fee": 1,
            "reversal": 1,
            "transfer": 2,
        },
        transfers=(SHARE, SHARE),
        reversals=(SHARE,),
    ),
)
SEND_TO_BANK: Final = MoneyStep(
    "send_to_bank: payout",
    kind="bank_payout",
    path="/v1/payouts",
    policy=MANUAL,
    before=_manual,
    act=lambda activities, booking_id: activities.payouts.send_to_bank(do(booking_id)),
    ends=replace(_CAPTURED, payout="PROCESSING", bank=(SHARE,)),
)

LATER_STEPS: Final = (ORDERED, ORDERED_LATE, REVERSE, OWE, TRANSFER_AGAIN, SEND_TO_BANK)
