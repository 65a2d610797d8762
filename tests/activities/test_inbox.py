"""The inbox: stored first, told when somebody can hear it, never lost (DESIGN 9, TRAPS 13 to 18)."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig

from activities.inbox import Delivery, Inbox
from models.database import Database
from models.records import StripeEvent
from tests.activities.desk import Desk, abandoned, do, number
from tests.activities.letters import is_handled, let_pass, letter, listening, row, signals, stored
from tests.activities.money_steps import CAPTURE, GIVE_BACK_REFUND
from tests.activities.wire import wire_to

PAID = "payment_intent.amount_capturable_updated"


@pytest.fixture
def counter(desk: Desk, quiet: Database) -> Desk:
    return replace(desk, database=quiet)


@pytest.fixture
def inbox(counter: Desk) -> Inbox:
    return Inbox(counter.database, counter.temporal)


async def test_an_event_is_new_until_it_was_handled(counter: Desk, inbox: Inbox) -> None:
    event = letter("customer.created", about="cus_1")
    assert await inbox.store(event)
    assert await inbox.store(event)
    await inbox.handled(event.id, Delivery.IGNORED)
    assert not await inbox.store(event)
    same = select(func.count()).select_from(StripeEvent).where(StripeEvent.id == event.id)
    assert await number(counter.database, same) == 1


async def test_an_event_reaches_its_booking_once_however_often_it_comes(counter: Desk, inbox: Inbox) -> None:
    booking_id = await counter.paid(await counter.shop())
    workflow = await listening(counter, booking_id)
    event = await stored(inbox, letter(PAID, intent=await counter.intent_id(booking_id)))
    deliveries = [await inbox.deliver(event.id) for _ in range(3)]
    assert deliveries == [Delivery.SIGNALLED, Delivery.KNOWN, Delivery.KNOWN]
    assert await signals(workflow) == ["payment_changed"]
    assert (await row(counter.database, event)).result == Delivery.SIGNALLED


@pytest.mark.parametrize("kind", ["customer.created", "invoice.paid", "a.type.nobody.knows"])
async def test_an_event_of_a_type_that_means_nothing_to_us_is_stored_and_ignored(
    counter: Desk, inbox: Inbox, kind: str
) -> None:
    event = await stored(inbox, letter(kind, about="x_1"))
    assert await inbox.deliver(event.id) is Delivery.IGNORED
    assert await is_handled(counter.database, event)


async def test_a_payment_on_somebody_elses_account_is_not_ours(counter: Desk, inbox: Inbox) -> None:
    booking_id = await counter.paid(await counter.shop())
    workflow = await listening(counter, booking_id)
    intent = await counter.intent_id(booking_id)
    event = await stored(inbox, letter(PAID, intent=intent, account="acct_connected"))
    assert await inbox.deliver(event.id) is Delivery.IGNORED
    assert await signals(workflow) == []


async def test_an_event_that_comes_before_our_row_is_delivered_when_the_row_is_there(
    counter: Desk, inbox: Inbox
) -> None:
    booking_id = await counter.reserved(await counter.shop())
    workflow = await listening(counter, booking_id)
    await counter.control.fault("reset_after", "/v1/payment_intents")
    with pytest.raises(Exception, match="Stripe"):
        await counter.activities().payments.open_payment(do(booking_id))
    (intent,) = await counter.control.objects("payment_intent")
    event = await stored(inbox, letter(PAID, intent=intent["id"]))
    assert await inbox.deliver(event.id) is Delivery.PENDING
    assert (await row(counter.database, event)).last_error == "nobody to tell yet"
    await counter.activities().payments.open_payment(do(booking_id))
    assert await inbox.deliver(event.id) is Delivery.SIGNALLED
    assert await signals(workflow) == ["payment_changed"]


async def test_an_event_whose_workflow_is_gone_stays_for_later(counter: Desk, inbox: Inbox) -> None:
    booking_id = await counter.paid(await counter.shop())
    event = await stored(inbox, letter(PAID, intent=await counter.intent_id(booking_id)))
    assert await inbox.deliver(event.id) is Delivery.PENDING
    assert not await is_handled(counter.database, event)


async def test_what_our_books_already_say_is_not_told_again(counter: Desk, inbox: Inbox) -> None:
    booking_id = await CAPTURE.prepare(counter)
    await CAPTURE.act(counter.activities(), booking_id)
    workflow = await listening(counter, booking_id)
    intent = await counter.intent_id(booking_id)
    for kind in (PAID, "payment_intent.succeeded", "charge.captured", "payment_intent.processing"):
        event = await stored(inbox, letter(kind, intent=intent))
        assert await inbox.deliver(event.id) is Delivery.KNOWN
    assert await signals(workflow) == []
    refund = await stored(inbox, letter("charge.refunded", intent=intent))
    assert await inbox.deliver(refund.id) is Delivery.SIGNALLED


async def test_a_refund_that_names_no_intent_finds_its_payment_by_its_own_id(
    counter: Desk, inbox: Inbox
) -> None:
    booking_id = await GIVE_BACK_REFUND.prepare(counter)
    await counter.activities().payments.give_back(abandoned(booking_id))
    (refund,) = await counter.control.objects("refund")
    ours = await stored(inbox, letter("refund.updated", about=refund["id"]))
    strange = await stored(inbox, letter("refund.updated", about="re_strange"))
    assert await inbox.deliver(ours.id) is Delivery.KNOWN
    assert await inbox.deliver(strange.id) is Delivery.PENDING


async def test_an_event_waits_while_temporal_cannot_be_reached(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.inbox.SIGNAL_TIMEOUT", timedelta(seconds=0.2))
    booking_id = await counter.paid(await counter.shop())
    workflow = await listening(counter, booking_id)
    async with wire_to(counter.temporal.service_client.config.target_host) as wire:
        temporal = await Client.connect(
            wire.address, data_converter=pydantic_data_converter, retry_config=RetryConfig(max_retries=1)
        )
        inbox = Inbox(counter.database, temporal)
        event = await stored(inbox, letter(PAID, intent=await counter.intent_id(booking_id)))
        wire.cut()
        assert await inbox.deliver(event.id) is Delivery.PENDING
    assert ((await row(counter.database, event)).last_error or "").startswith("Temporal: ")
    assert await signals(workflow) == []


async def test_attempts_back_off_from_a_second_to_ten_minutes(counter: Desk, inbox: Inbox) -> None:
    event = await stored(inbox, letter(PAID, intent="pi_back_off"))
    delays = []
    for _ in range(12):
        await let_pass(counter.database, event)
        await inbox.postpone(event.id, "again")
        due = func.extract("epoch", StripeEvent.next_attempt_at - func.clock_timestamp())
        left = select(func.round(due)).where(StripeEvent.id == event.id)
        delays.append(await number(counter.database, left))
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


async def test_an_event_that_was_never_stored_cannot_be_delivered(inbox: Inbox) -> None:
    with pytest.raises(Exception, match="No row was found"):
        await inbox.deliver(f"evt_{uuid4()}")
