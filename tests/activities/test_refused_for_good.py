"""Stripe says no, and will go on saying it: real bookings are compensated, or ask for a person (FAULTS S5)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from models.states import BookingStatus, ReportedOutcome, Role
from tests.activities.desk import CHARGE_NOW, Picture
from tests.activities.money_steps import CAPTURE, GIVE_BACK_REFUND, PAY_OUT, VOID
from tests.activities.stall import Stall
from tests.workflows.real import RealSaga, until
from workflows.parking import Action, Step

pytestmark = [pytest.mark.fault("S5"), pytest.mark.timeout(180)]

BEYOND_AUTHORIZATION: Final = 8 * 86_400
PART: Final = 100
Happens = Callable[[Stall, RealSaga], Awaitable[object]]


@dataclass(frozen=True)
class Refused:
    """What happens behind our back once the booking is confirmed, and what comes of it."""

    name: str
    happens: Happens
    ends: Picture
    outcome: ReportedOutcome = ReportedOutcome.COMPLETED
    parks: Step | None = None
    """Where it asks for a person, who answers with `decides`."""
    decides: Action = Action.RETRY
    blocks: bool = False
    """The payout waits for news of the provider's account."""
    policy: dict[str, Any] = field(default_factory=dict)


def refusing(path: str, code: str | None = None, times: int = 1) -> Happens:
    async def happens(stall: Stall, saga: RealSaga) -> None:
        del saga
        await stall.desk.control.fault("fail_before", path, status=400, code=code, times=times)

    return happens


async def it_expires(stall: Stall, saga: RealSaga) -> None:
    del saga
    await stall.desk.control.ask("POST", "/clock", advance_seconds=BEYOND_AUTHORIZATION)


async def is_cancelled_by_hand(_stall: Stall, saga: RealSaga) -> None:
    await saga.sdk.v1.payment_intents.cancel_async(await saga.intent_id())


async def is_captured_by_hand(_stall: Stall, saga: RealSaga) -> None:
    await saga.sdk.v1.payment_intents.capture_async(await saga.intent_id())


async def is_captured_in_part(_stall: Stall, saga: RealSaga) -> None:
    await saga.sdk.v1.payment_intents.capture_async(await saga.intent_id(), {"amount_to_capture": PART})


async def is_refunded_by_hand(_stall: Stall, saga: RealSaga) -> None:
    await saga.sdk.v1.refunds.create_async({"payment_intent": await saga.intent_id()})


GIVEN_BACK: Final = replace(
    GIVE_BACK_REFUND.ends,
    booking="CANCELLED",
    books={"stripe_balance": -33, "stripe_fees": 33},
    captured=PART,
    refunds=(PART,),
)
CASES: Final = (
    Refused("expired", it_expires, Picture(booking="CANCELLED", payment="EXPIRED", intents=("canceled",))),
    Refused("cancelled by hand", is_cancelled_by_hand, VOID.ends),
    Refused("captured by hand", is_captured_by_hand, PAY_OUT.ends),
    Refused("captured in part", is_captured_in_part, GIVEN_BACK, parks=Step.SETTLE, decides=Action.ABORT),
    Refused("capture refused", refusing(CAPTURE.path), PAY_OUT.ends, parks=Step.SETTLE),
    Refused(
        "capture refused as expired",
        refusing(CAPTURE.path, "charge_expired_for_capture"),
        PAY_OUT.ends,
        parks=Step.SETTLE,
    ),
    Refused("no balance", refusing(PAY_OUT.path, "balance_insufficient", times=2), PAY_OUT.ends),
    Refused(
        "account restricted",
        refusing(PAY_OUT.path, "insufficient_capabilities_for_transfer", times=2),
        PAY_OUT.ends,
        blocks=True,
    ),
    Refused("transfer refused", refusing(PAY_OUT.path), PAY_OUT.ends, parks=Step.PAY_OUT),
    Refused(
        "refunded by hand",
        is_refunded_by_hand,
        replace(GIVE_BACK_REFUND.ends, booking="CANCELLED"),
        outcome=ReportedOutcome.CANCELLED,
        policy=CHARGE_NOW,
    ),
    Refused(
        "refund refused",
        refusing("/v1/refunds"),
        replace(GIVE_BACK_REFUND.ends, booking="CANCELLED"),
        outcome=ReportedOutcome.CANCELLED,
        parks=Step.SETTLE,
        policy=CHARGE_NOW,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_stripe_refuses_for_good_is_compensated_or_asks_for_a_person(
    stall: Stall, case: Refused
) -> None:
    shop = await stall.shop(**case.policy)
    saga = await stall.opened(shop)
    await saga.pays()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED  # and nobody reads the payment any more
    await case.happens(stall, saga)
    await report(saga, case.outcome)

    async def parked() -> bool:
        return (await shop.booking(saga.booking_id)).attention_step == case.parks

    async def blocked() -> bool:
        return (await stall.picture(saga)).payout == "BLOCKED"

    if case.parks:
        await until(parked)
        await saga.resolve(case.parks, case.decides)
    if case.blocks:
        await until(blocked)
        await saga.account_changes()
    await saga.ends()
    assert await stall.picture(saga) == case.ends
    assert await stall.violations(saga.booking_id) == []
    assert (await shop.booking(saga.booking_id)).attention_step is None


async def report(saga: RealSaga, outcome: ReportedOutcome) -> None:
    """Somebody says how it went; an answer may be a refusal, which the workflow's end will show."""
    if outcome is ReportedOutcome.CANCELLED:
        await saga.asks_to_cancel(Role.PROVIDER)
    else:
        await saga.asks_to_complete()
