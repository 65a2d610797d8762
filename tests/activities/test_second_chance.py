"""A late payment from end to end: its own workflow gives it the slot, or gives it back (DESIGN 9, TRAPS 13)."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient
from temporalio.client import Client

from activities.telling import Telling
from models.catalogue import Service
from models.database import Database
from models.keys import APP, settlement_id_for, stray_id_for, workflow_id_for
from models.states import BookingStatus, PaymentStatus
from tests.activities.money_steps import GIVE_BACK_REFUND, VOID
from tests.activities.stall import Stall
from tests.activities.test_settlements import MANUAL
from tests.sandbox.stripe.conftest import until
from tests.support.shop import Shop, open_shop
from workflows.booking import BookingWorkflow
from workflows.contracts import BOOKINGS_QUEUE
from workflows.followups import Settlement, Stray

pytestmark = [pytest.mark.fault("W2"), pytest.mark.timeout(180)]

SHORT = {"payment_window": "PT1S"}


async def timed_out(shop: Shop, temporal: Client) -> UUID:
    """A booking that nobody paid in time."""
    request = await shop.asked(shop.request(timedelta(hours=3)))
    ended = await temporal.execute_workflow(
        BookingWorkflow.run, request, id=workflow_id_for(request.booking_id), task_queue=BOOKINGS_QUEUE
    )
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, "payment_timeout")
    return request.booking_id


async def with_time_to_pay(database: Database, shop: Shop) -> None:
    """From now on the service's bookings have their usual payment window."""
    usual = update(Service).where(Service.id == shop.service_id).values(policy={})

    async def work(session: AsyncSession) -> None:
        await session.execute(usual)

    await database.run(work)


async def paid_late(shop: Shop, sdk: StripeClient, booking_id: UUID, capture: str = MANUAL) -> str:
    first = (await shop.payment(booking_id)).payment_intent_id or ""
    customer = (await sdk.v1.payment_intents.retrieve_async(first)).customer
    params: Any = {
        "amount": shop.amount,
        "currency": "eur",
        "customer": customer,
        "capture_method": capture,
        "payment_method": "pm_card_visa",
        "confirm": True,
        "metadata": {"app": APP, "booking_id": str(booking_id)},
    }
    return (await sdk.v1.payment_intents.create_async(params)).id


async def settled(temporal: Client, intent_id: str) -> Settlement:
    await Telling(temporal).settle(Stray(payment_intent_id=intent_id))
    handle = temporal.get_workflow_handle(settlement_id_for(intent_id), result_type=Settlement)
    result: Settlement = await handle.result()
    return result


@pytest.mark.usefixtures("running_worker")
async def test_late_money_takes_the_slot_that_is_still_free(
    database: Database, gateway: Any, temporal: Client, sdk: StripeClient
) -> None:
    shop = await open_shop(database, gateway, policy=SHORT)
    intent = await paid_late(shop, sdk, await timed_out(shop, temporal))
    await with_time_to_pay(database, shop)  # nobody waits for its end: what stands is read at once
    result = await settled(temporal, intent)
    assert not result.given_back
    again = stray_id_for(intent)

    async def confirmed() -> bool:
        return (await shop.booking(again)).status is BookingStatus.CONFIRMED

    await until(confirmed)
    payment = await shop.payment(again)
    assert (payment.status, payment.payment_intent_id) == (PaymentStatus.AUTHORIZED, intent)
    await temporal.get_workflow_handle(workflow_id_for(again)).terminate("the test is over")


@pytest.mark.usefixtures("running_worker")
async def test_late_money_that_the_policy_gives_back_is_let_go_once(
    database: Database, gateway: Any, temporal: Client, sdk: StripeClient
) -> None:
    shop = await open_shop(database, gateway, policy=SHORT | {"late_payment": "refund"})
    intent = await paid_late(shop, sdk, await timed_out(shop, temporal))
    result = await settled(temporal, intent)
    assert result.given_back
    assert (await sdk.v1.payment_intents.retrieve_async(intent)).status == "canceled"
    assert not (await settled(temporal, intent)).given_back


GOES_BACK = {MANUAL: VOID.ends, "automatic": GIVE_BACK_REFUND.ends}


@pytest.mark.parametrize("capture", GOES_BACK)
async def test_late_money_that_was_only_authorized_is_voided_and_captured_money_refunded(
    stall: Stall, capture: str
) -> None:
    shop, desk = await stall.shop(**SHORT, late_payment="refund"), stall.desk
    booking_id = await timed_out(shop, desk.temporal)
    assert (await settled(desk.temporal, await paid_late(shop, desk.sdk, booking_id, capture))).given_back
    ends, picture = GOES_BACK[capture], await desk.picture(booking_id)
    assert (picture.booking, picture.payment, picture.books) == ("CANCELLED", ends.payment, ends.books)
    assert (picture.intents[-1:], picture.refunds, picture.transfers) == (ends.intents, ends.refunds, ())
    assert await stall.violations(booking_id) == []
