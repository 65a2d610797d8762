"""With a guard taken away, the harm that it prevents does happen: so the tests that pass mean something."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from activities.errors import PaymentMismatch, StripeFailure
from activities.operations import Write
from activities.stripe_writes import StripeWrites
from tests.activities.desk import Desk, Picture
from tests.activities.money_steps import OPEN_CUSTOMER, OPEN_INTENT, PAY_OUT, REFUND, MoneyStep

pytestmark = pytest.mark.fault("N1")

AnyWrite = Write[Any, Any]


def never_finding(write: AnyWrite) -> AnyWrite:
    async def find(_request: object, _key: str, _since: datetime) -> None:
        return None

    return replace(write, find=find)


def drawing_keys(write: AnyWrite) -> AnyWrite:
    async def send(request: Any, _key: str) -> Any:
        return await write.send(request, f"drawn:{uuid4()}")

    return replace(write, send=send)


async def lose_an_answer(desk: Desk, step: MoneyStep, weaken: Callable[[AnyWrite], AnyWrite]) -> Picture:
    """Stripe acts, the answer and the key are lost, and the weakened step runs again."""
    booking_id = await step.prepare(desk)
    writes = StripeWrites(desk.gateway)
    setattr(writes, step.kind, weaken(getattr(writes, step.kind)))
    payments, payouts = desk.with_parts(writes=writes)
    weak = replace(desk.activities(), payments=payments, payouts=payouts)
    await desk.control.fault("reset_after", step.path)
    with pytest.raises(StripeFailure):
        await step.act(weak, booking_id)
    await desk.control.ask("POST", "/idempotency/forget")
    with suppress(PaymentMismatch):  # the harm may be noticed once it is done
        await step.act(weak, booking_id)
    return await desk.picture(booking_id)


def objects(picture: Picture) -> int:
    return picture.customers + len(picture.intents) + len(picture.refunds) + len(picture.transfers)


# Stripe itself refuses to move more than the charge; a share of 40 % can be moved twice.
CHEAP_TRANSFER = replace(PAY_OUT, policy={"platform_fee_bps": 6000})
CREATING = (OPEN_CUSTOMER, OPEN_INTENT, REFUND, CHEAP_TRANSFER)


@pytest.mark.parametrize("step", CREATING, ids=lambda step: step.name)
async def test_without_the_look_up_a_forgotten_key_makes_a_second_object(desk: Desk, step: MoneyStep) -> None:
    harmed = await lose_an_answer(desk, step, never_finding)
    assert objects(harmed) == objects(step.ends) + 1


# A refund under a drawn key is seen and mirrored before the next one is made.
UNSEEN = [step for step in CREATING if step is not REFUND]


@pytest.mark.parametrize("step", UNSEEN, ids=lambda step: step.name)
async def test_a_key_that_is_drawn_and_not_derived_makes_a_second_object(desk: Desk, step: MoneyStep) -> None:
    harmed = await lose_an_answer(desk, step, drawing_keys)
    assert objects(harmed) == objects(step.ends) + 1
