"""The inbox: stored first, told when somebody can hear it, never lost (DESIGN 9, TRAPS 13 to 18)."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig, RPCError

from activities.inbox import Delivery, Inbox
from models.database import Database
from models.keys import aftercare_id_for
from models.records import StripeEvent
from models.states import PaymentStatus
from tests.activities.desk import Desk, abandoned, do, number
from tests.activities.letters import is_handled, let_pass, letter, listening, row, signals, stored
from tests.activities.money_steps import CAPTURE, GIVE_BACK_REFUND, PAY_OUT
from tests.activities.tampering import change_payment, payment_of, replan, sent_to_bank
from tests.activities.wire import wire_to

PAID = "payment_intent.amount_capturable_updated"


@pytest.fixture
def counter(desk: Desk, quiet: Database) -> Desk:
    return replace(desk, database=quiet)


@pytest.fixture
def inbox(counter: Desk) -> Inbox:
    return Inbox(counter.database, counter.temporal)


@pytest.mark.fault("W1")
async def test_an_event_is_new_until_it_was_handled(counter: Desk, inbox: Inbox) -> None:
    event = letter("customer.created", about="cus_1")
    assert await inbox.store(event)
    assert await inbox.store(event)
    await inbox.handled(event.id, Delivery.IGNORED)
    assert not await inbox.store(event)
    same = select(func.count()).select_from(StripeEvent).where(StripeEvent.id == event.id)
    assert await number(counter.database, same) == 1


@pytest.mark.fault("W1")
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


@pytest.mark.fault("W1")
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
    assert await inbox.deliver(event.id) is Delivery.UNKNOWN
    assert (await row(counter.database, event)).last_error == "nobody knows it yet"
    await counter.activities().payments.open_payment(do(booking_id))
    assert await inbox.deliver(event.id) is Delivery.SIGNALLED
    assert await signals(workflow) == ["payment_changed"]


@pytest.mark.fault("W1")
async def test_an_event_whose_workflow_lost_its_run_stays_until_it_has_another(
    counter: Desk, inbox: Inbox
) -> None:
    booking_id = await counter.paid(await counter.shop())
    event = await stored(inbox, letter(PAID, intent=await counter.intent_id(booking_id)))
    assert await inbox.deliver(event.id) is Delivery.PENDING
    assert not await is_handled(counter.database, event)
    assert (await row(counter.database, event)).last_error == "nobody to tell yet"


@pytest.mark.fault("W1")
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
    assert await signals(workflow) == ["money_changed"]


@pytest.mark.fault("W1")
async def test_a_refund_that_our_books_have_is_known_but_what_changes_about_it_goes_on(
    counter: Desk, inbox: Inbox
) -> None:
    booking_id = await GIVE_BACK_REFUND.prepare(counter)
    await counter.activities().payments.give_back(abandoned(booking_id))
    workflow = await listening(counter, booking_id)
    (refund,) = await counter.control.objects("refund")
    intent = await counter.intent_id(booking_id)
    for kind, ids, delivery in (
        ("refund.created", {"about": refund["id"]}, Delivery.KNOWN),
        ("charge.refunded", {"intent": intent, "about": refund["charge"]}, Delivery.KNOWN),
        ("refund.updated", {"about": refund["id"]}, Delivery.SIGNALLED),
        ("refund.failed", {"about": refund["id"], "intent": intent}, Delivery.SIGNALLED),
        ("charge.refund.updated", {"about": refund["id"]}, Delivery.SIGNALLED),
        ("refund.updated", {"about": "re_strange"}, Delivery.UNKNOWN),
    ):
        event = await stored(inbox, letter(kind, **ids))
        assert await inbox.deliver(event.id) is delivery, kind
    assert await signals(workflow) == ["money_changed"] * 3


@pytest.mark.parametrize("kind", ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"])
async def test_news_of_a_dispute_names_a_charge_and_always_goes_on(
    counter: Desk, inbox: Inbox, kind: str
) -> None:
    booking_id = await CAPTURE.prepare(counter)
    await CAPTURE.act(counter.activities(), booking_id)
    workflow = await listening(counter, booking_id)
    charge = (await payment_of(counter, booking_id)).charge_id
    letters = [letter(f"charge.dispute.{kind}", charge=charge, about="dp_1") for _ in range(2)]
    for event in letters:
        await stored(inbox, event)
        assert await inbox.deliver(event.id) is Delivery.SIGNALLED
    assert await signals(workflow) == ["money_changed"] * 2


async def ended(counter: Desk) -> UUID:
    """Paid out; its workflow is over."""
    booking_id = await PAY_OUT.prepare(counter)
    await PAY_OUT.act(counter.activities(), booking_id)
    return booking_id


async def heard_after(counter: Desk, booking_id: UUID) -> list[str]:
    aftercare = counter.temporal.get_workflow_handle(aftercare_id_for(booking_id))
    heard = await signals(aftercare)
    with suppress(RPCError):  # another test's worker may have played it to its end
        await aftercare.terminate("the test is over")
    return heard


async def test_money_that_moves_after_the_workflows_end_is_for_its_aftercare(
    counter: Desk, inbox: Inbox
) -> None:
    booking_id = await ended(counter)
    charge = (await payment_of(counter, booking_id)).charge_id
    for _ in range(2):
        event = await stored(inbox, letter("charge.dispute.created", charge=charge, about="dp_1"))
        assert await inbox.deliver(event.id) is Delivery.AFTERCARE
    assert await heard_after(counter, booking_id) == ["money_changed"] * 2


async def test_a_transfer_that_is_reversed_in_the_dashboard_finds_its_booking(
    counter: Desk, inbox: Inbox
) -> None:
    booking_id = await ended(counter)
    (transfer,) = await counter.control.objects("transfer")
    event = await stored(inbox, letter("transfer.reversed", about=transfer["id"]))
    assert await inbox.deliver(event.id) is Delivery.AFTERCARE
    assert await heard_after(counter, booking_id) == ["money_changed"]


async def test_a_bank_payout_finds_its_booking_by_its_id_on_its_account(counter: Desk, inbox: Inbox) -> None:
    booking_id = await ended(counter)
    payout_id = await sent_to_bank(counter, booking_id, "acct_bank")
    others = letter("payout.paid", about=payout_id, account="acct_other")
    platforms = letter("payout.paid", about=payout_id)
    ours = letter("payout.failed", about=payout_id, account="acct_bank")
    for event, delivery in (
        (others, Delivery.UNKNOWN),
        (platforms, Delivery.IGNORED),
        (ours, Delivery.AFTERCARE),
    ):
        await stored(inbox, event)
        assert await inbox.deliver(event.id) is delivery
    assert await heard_after(counter, booking_id) == ["money_changed"]


@pytest.mark.fault("W1")
async def test_an_intent_of_an_earlier_round_belongs_to_its_booking_and_is_no_news(
    counter: Desk, inbox: Inbox
) -> None:
    booking_id = await counter.confirmed(await counter.shop())
    workflow = await listening(counter, booking_id)
    intent = await counter.intent_id(booking_id)
    await replan(counter, booking_id)
    for kind, delivery in (
        ("payment_intent.canceled", Delivery.KNOWN),
        ("charge.expired", Delivery.KNOWN),
        ("payment_intent.payment_failed", Delivery.KNOWN),
        (PAID, Delivery.LATE),
    ):
        event = await stored(inbox, letter(kind, intent=intent))
        assert await inbox.deliver(event.id) is delivery, kind
    assert await signals(workflow) == []


async def test_a_saved_card_finds_its_booking_by_its_setup_intent(counter: Desk, inbox: Inbox) -> None:
    booking_id = await counter.reserved(await counter.shop())
    workflow = await listening(counter, booking_id)
    setup = f"seti_{booking_id.hex}"
    await change_payment(counter, booking_id, setup_intent_id=setup)
    event = await stored(inbox, letter("setup_intent.succeeded", about=setup))
    assert await inbox.deliver(event.id) is Delivery.SIGNALLED
    await change_payment(counter, booking_id, status=PaymentStatus.SAVED)
    again = await stored(inbox, letter("setup_intent.succeeded", about=setup))
    assert await inbox.deliver(again.id) is Delivery.KNOWN
    assert await signals(workflow) == ["payment_changed"]


@pytest.mark.fault("W2")
async def test_money_for_a_payment_that_is_over_is_left_to_be_read_at_stripe(
    counter: Desk, inbox: Inbox
) -> None:
    booking_id = await counter.opened(await counter.shop())
    intent = await counter.intent_id(booking_id)
    await counter.activities().payments.close_payment(do(booking_id))
    for kind, delivery in (
        (PAID, Delivery.LATE),
        ("payment_intent.succeeded", Delivery.LATE),
        ("charge.captured", Delivery.LATE),
        ("payment_intent.canceled", Delivery.KNOWN),
        ("charge.refunded", Delivery.KNOWN),
    ):
        event = await stored(inbox, letter(kind, intent=intent))
        assert await inbox.deliver(event.id) is delivery, kind


@pytest.mark.fault("T2")
async def test_an_event_waits_while_temporal_cannot_be_reached(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.telling.RPC_TIMEOUT", timedelta(seconds=0.2))
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
    wanted = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    # A busy machine may take its time between writing and looking.
    assert all(late in range(5) for late in (want - left for want, left in zip(wanted, delays, strict=True)))


async def test_an_event_that_was_never_stored_cannot_be_delivered(inbox: Inbox) -> None:
    with pytest.raises(Exception, match="No row was found"):
        await inbox.deliver(f"evt_{uuid4()}")
