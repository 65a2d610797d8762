"""The relay: delivers what is left, and takes up news of providers' accounts (DESIGN 9)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from activities.errors import StripeFailure
from activities.inbox import Delivery, Inbox
from activities.relay import RelayActivities
from activities.telling import Telling
from models.catalogue import Provider
from models.database import Database
from models.keys import APP, aftercare_id_for, settlement_id_for, workflow_id_for
from models.records import StripeEvent
from models.states import BookingStatus, OperationState, PayoutStatus
from settings import ORPHAN_AFTER
from tests.activities.desk import Desk, do, now
from tests.activities.letters import is_handled, let_pass, letter, listening, row, signals, stored
from tests.activities.money_steps import RENEW
from tests.activities.tampering import change_operation, change_payment, change_payout
from tests.sandbox.stripe.conftest import until
from tests.support.shop import Shop
from workflows.booking import BookingWorkflow
from workflows.contracts import BOOKINGS_QUEUE, RELAY_WORKFLOW_ID
from workflows.policies import RELAY_LIFE

PAID = "payment_intent.amount_capturable_updated"
LONG_AGO = ORPHAN_AFTER + timedelta(seconds=1)


@dataclass(frozen=True)
class Post:
    """An inbox that no other relay looks at, and its relay."""

    desk: Desk
    inbox: Inbox
    relay: RelayActivities


@pytest.fixture
async def post(desk: Desk, quiet: Database) -> Post:
    async def empty(session: AsyncSession) -> None:
        await session.execute(delete(StripeEvent))

    await quiet.run(empty)
    inbox = Inbox(quiet, desk.temporal)
    return Post(replace(desk, database=quiet), inbox, RelayActivities(quiet, inbox, desk.gateway, now))


async def due(post: Post, kind: str, *, after: timedelta = timedelta(0), **ids: str | None) -> str:
    """An event that the webhook stored and could not deliver."""
    event = await stored(post.inbox, letter(kind, **ids))
    await let_pass(post.desk.database, event, after)
    return event.id


async def test_the_relay_leaves_an_event_to_the_webhook_that_is_just_delivering_it(post: Post) -> None:
    event = await stored(post.inbox, letter("customer.created", about="cus_1"))
    assert await post.relay.deliver_due() == 0
    await let_pass(post.desk.database, event)
    assert await post.relay.deliver_due() == 1
    assert await is_handled(post.desk.database, event)


@pytest.mark.fault("W1")
async def test_what_the_webhook_could_not_deliver_reaches_the_booking(post: Post) -> None:
    booking_id = await post.desk.paid(await post.desk.shop())
    workflow = await listening(post.desk, booking_id)
    await due(post, PAID, intent=await post.desk.intent_id(booking_id))
    assert await post.relay.deliver_due() == 1
    assert await signals(workflow) == ["payment_changed"]


@pytest.mark.fault("W1")
async def test_two_relays_share_the_work_and_deliver_each_event_once(post: Post) -> None:
    waiting = 20
    for number in range(waiting):
        await due(post, "customer.created", about=f"cus_{number}")
    delivered = await asyncio.gather(post.relay.deliver_due(), post.relay.deliver_due())
    assert sum(delivered) == waiting


@pytest.mark.fault("W2")
@pytest.mark.parametrize(
    ("metadata", "age", "result"),
    [
        ({}, LONG_AGO, Delivery.IGNORED),
        ({}, ORPHAN_AFTER - timedelta(minutes=1), None),
        ({"app": APP}, LONG_AGO, Delivery.SETTLING),
        ({"app": APP}, ORPHAN_AFTER - timedelta(minutes=1), None),
        ({"app": "another-shop"}, LONG_AGO, Delivery.IGNORED),
    ],
    ids=["strange and old", "strange and young", "ours and old", "ours and young", "of another app"],
)
async def test_ten_minutes_on_a_payment_of_ours_is_settled_and_a_strangers_left_alone(
    post: Post, metadata: dict[str, str], age: timedelta, result: Delivery | None
) -> None:
    intent = await post.desk.sdk.v1.payment_intents.create_async(
        {"amount": 5_000, "currency": "eur", "metadata": metadata}
    )
    event = await stored(post.inbox, letter(PAID, intent=intent.id))
    await let_pass(post.desk.database, event)
    later = RelayActivities(post.desk.database, post.inbox, post.desk.gateway, lambda: now() + age)
    await later.deliver_due()
    assert (await row(post.desk.database, event)).result == result
    assert await is_settled(post, intent.id) is (result is Delivery.SETTLING)


async def is_settled(post: Post, intent_id: str) -> bool:
    """Whether a settlement was started."""
    settlement = post.desk.temporal.get_workflow_handle(settlement_id_for(intent_id))
    try:
        await settlement.describe()
    except RPCError:
        return False
    return True


@pytest.mark.fault("W1")
async def test_an_intent_that_is_just_being_made_is_nobodys_stray(post: Post) -> None:
    booking_id = await post.desk.opened(await post.desk.shop())
    intent = await post.desk.intent_id(booking_id)
    await change_payment(post.desk, booking_id, payment_intent_id=None)
    (made,) = await post.desk.operations(booking_id, "intent")
    await change_operation(post.desk, made.key, state=OperationState.UNKNOWN, object_id=None)
    event = await stored(post.inbox, letter(PAID, intent=intent))
    await let_pass(post.desk.database, event, LONG_AGO)
    assert await post.relay.deliver_due() == 0
    assert not await is_settled(post, intent)
    await change_operation(post.desk, made.key, state=OperationState.FAILED)
    await let_pass(post.desk.database, event)
    assert await post.relay.deliver_due() == 1
    assert await is_settled(post, intent)


@pytest.mark.fault("W2")
async def test_money_for_a_payment_that_is_over_is_settled_when_stripe_has_it(post: Post) -> None:
    booking_id = await post.desk.paid(await post.desk.shop())
    intent = await post.desk.intent_id(booking_id)
    await change_payment(post.desk, booking_id, status="VOIDED")
    event_id = await due(post, PAID, intent=intent)
    assert await post.relay.deliver_due() == 1
    stored_event = await post.desk.database.run(lambda session: session.get_one(StripeEvent, event_id))
    assert stored_event.result == Delivery.SETTLING
    assert await is_settled(post, intent)


async def test_the_authorization_of_a_renewal_that_is_under_way_is_no_late_money(post: Post) -> None:
    booking_id = await RENEW.prepare(post.desk)
    await post.desk.control.fault("reset_after", RENEW.path)
    renew = post.desk.activities().authorizations.renew_authorization
    with pytest.raises(StripeFailure):
        await renew(do(booking_id))
    (made,) = await post.desk.operations(booking_id, "intent")
    event = await stored(post.inbox, letter(PAID, intent=made.object_id))
    await let_pass(post.desk.database, event)
    assert await post.relay.deliver_due() == 0
    assert not await is_settled(post, made.object_id or "")
    await renew(do(booking_id))
    await let_pass(post.desk.database, event)
    assert await post.relay.deliver_due() == 1
    assert (await row(post.desk.database, event)).result == Delivery.KNOWN


@pytest.mark.fault("W1")
async def test_old_news_of_a_payment_that_is_over_at_stripe_too_settles_nothing(post: Post) -> None:
    booking_id = await post.desk.opened(await post.desk.shop())
    intent = await post.desk.intent_id(booking_id)
    await post.desk.activities().payments.close_payment(do(booking_id))
    event_id = await due(post, PAID, intent=intent)
    assert await post.relay.deliver_due() == 1
    stored_event = await post.desk.database.run(lambda session: session.get_one(StripeEvent, event_id))
    assert stored_event.result == Delivery.KNOWN
    assert not await is_settled(post, intent)


@pytest.mark.parametrize("ids", [{"intent": "pi_unknown"}, {"about": "re_unknown"}], ids=["intent", "refund"])
async def test_what_stripe_itself_does_not_know_is_left_alone_too(post: Post, ids: dict[str, str]) -> None:
    event = await stored(post.inbox, letter("charge.refunded", **ids))
    await let_pass(post.desk.database, event, LONG_AGO)
    await post.relay.deliver_due()
    assert (await row(post.desk.database, event)).result == Delivery.IGNORED


async def provider(post: Post, shop: Shop) -> Provider:
    return await post.desk.database.run(lambda session: session.get_one(Provider, shop.provider_id))


@pytest.mark.parametrize("kind", ["account.updated", "capability.updated"])
async def test_news_of_an_account_is_read_at_stripe_and_kept_on_the_provider(post: Post, kind: str) -> None:
    shop = await post.desk.shop()
    for transfers, active in (("inactive", False), ("active", True)):
        path = f"/accounts/{shop.account_id}"
        await post.desk.control.ask("POST", path, transfers=transfers, payouts_enabled=active)
        await due(post, kind, about=shop.account_id, account=shop.account_id)
        assert await post.relay.deliver_due() == 1
        kept = await provider(post, shop)
        assert (kept.transfers_active, kept.payouts_enabled) == (active, active)


async def test_a_provider_that_took_its_leave_can_no_longer_be_paid(post: Post) -> None:
    shop = await post.desk.shop()
    await post.desk.control.ask("POST", f"/accounts/{shop.account_id}", deauthorized=True)
    await due(post, "account.application.deauthorized", about="ca_1", account=shop.account_id)
    assert await post.relay.deliver_due() == 1
    kept = await provider(post, shop)
    assert (kept.transfers_active, kept.payouts_enabled) == (False, False)


async def blocked(post: Post, shop: Shop) -> UUID:
    booking_id = await post.desk.earned(shop)
    await change_payout(post.desk, booking_id, status=PayoutStatus.BLOCKED)
    return booking_id


async def test_an_account_that_can_be_paid_wakes_the_payouts_that_wait_for_it(post: Post) -> None:
    shop = await post.desk.shop()
    open_one, closed_one = await blocked(post, shop), await blocked(post, shop)
    elsewhere = await blocked(post, await post.desk.shop())
    workflows = {one: await listening(post.desk, one) for one in (open_one, elsewhere)}
    await due(post, "account.updated", about=shop.account_id, account=shop.account_id)
    assert await post.relay.deliver_due() == 1
    assert await signals(workflows[open_one]) == ["account_changed"]
    assert await signals(workflows[elsewhere]) == []
    aftercare = post.desk.temporal.get_workflow_handle(aftercare_id_for(closed_one))
    assert await signals(aftercare) == ["account_changed"]
    with suppress(RPCError):  # another test's worker may have played it to its end
        await aftercare.terminate("the test is over")


async def test_an_account_that_cannot_be_paid_wakes_nobody(post: Post) -> None:
    shop = await post.desk.shop()
    workflow = await listening(post.desk, await blocked(post, shop))
    await post.desk.control.ask("POST", f"/accounts/{shop.account_id}", transfers="inactive")
    await due(post, "account.updated", about=shop.account_id, account=shop.account_id)
    assert await post.relay.deliver_due() == 1
    assert await signals(workflow) == []


async def test_news_of_an_account_that_nobody_has_is_ignored(post: Post) -> None:
    stranger = await post.desk.gateway.create_account(
        provider_id="x", email="x@test.example", country="DE", key="account:stranger"
    )
    event = await stored(post.inbox, letter("account.updated", about=stranger.id))
    await let_pass(post.desk.database, event)
    await post.relay.deliver_due()
    assert (await row(post.desk.database, event)).result == Delivery.IGNORED


async def test_news_that_stripe_cannot_confirm_now_is_asked_for_again(post: Post) -> None:
    shop = await post.desk.shop()
    event = await stored(post.inbox, letter("account.updated", about=shop.account_id))
    await let_pass(post.desk.database, event)
    await post.desk.control.fault("fail_before", f"/v1/accounts/{shop.account_id}", match={"method": "GET"})
    assert await post.relay.deliver_due() == 0
    assert (await row(post.desk.database, event)).attempts == 1
    await let_pass(post.desk.database, event)
    assert await post.relay.deliver_due() == 1


@pytest.mark.fault("W1")
async def test_one_event_that_cannot_be_delivered_does_not_hold_up_the_others(post: Post) -> None:
    shop = await post.desk.shop()
    first = await stored(post.inbox, letter("account.updated", about=shop.account_id))
    second = await stored(post.inbox, letter("customer.created", about="cus_1"))
    for event in (first, second):
        await let_pass(post.desk.database, event)
    await post.desk.control.fault("reset_before", f"/v1/accounts/{shop.account_id}", match={"method": "GET"})
    assert await post.relay.deliver_due() == 1
    assert not await is_handled(post.desk.database, first)
    assert await is_handled(post.desk.database, second)


class Beats:
    """The heartbeats of an activity that runs outside a worker."""

    def __init__(self) -> None:
        self.environment = ActivityEnvironment()
        self.environment.on_heartbeat = lambda *details: self.seen.append(details[0])
        self.seen: list[int] = []

    async def heard(self) -> bool:
        return bool(self.seen)


async def test_an_event_rings_for_the_relay_which_does_not_wait_for_its_next_look(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.relay.POLL", timedelta(minutes=5))
    monkeypatch.setattr("activities.inbox.FIRST_DELIVERY", timedelta(0))
    beats = Beats()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(beats.environment.run(post.relay.relay_inbox))
        await until(beats.heard)
        for about in ("first", "second"):
            event = await stored(post.inbox, letter("customer.created", about=about))
            await until(partial(is_handled, post.desk.database, event))
        beats.environment.worker_shutdown()
        await stored(post.inbox, letter("customer.created", about="the bell"))
    assert running.result().delivered >= 2


async def test_a_relay_ends_after_its_life_so_that_a_fresh_one_begins(post: Post) -> None:
    born = now()
    instants = iter([born, born, born + RELAY_LIFE])
    relay = RelayActivities(post.desk.database, post.inbox, post.desk.gateway, lambda: next(instants))
    beats = Beats()
    assert (await beats.environment.run(relay.relay_inbox)).delivered == 0
    assert beats.seen == [0]


@pytest.fixture
async def running_relay(temporal: Client, running_worker: None) -> AsyncIterator[None]:
    """The singleton, as `worker.py` starts it."""
    del running_worker
    await Telling(temporal).keep_relay()
    yield
    await temporal.get_workflow_handle(RELAY_WORKFLOW_ID).terminate("the test is over")


@pytest.mark.fault("W1")
async def test_a_booking_hears_of_its_payment_though_the_webhook_told_nobody(
    shop: Shop, database: Database, temporal: Client, sdk: StripeClient, running_relay: None
) -> None:
    del running_relay
    request = await shop.asked(shop.request())
    workflow = await temporal.start_workflow(
        BookingWorkflow.run, request, id=workflow_id_for(request.booking_id), task_queue=BOOKINGS_QUEUE
    )
    await workflow.execute_update("opened")
    intent = (await shop.payment(request.booking_id)).payment_intent_id or ""
    await sdk.v1.payment_intents.confirm_async(intent, {"payment_method": "pm_card_visa"})
    event = await stored(Inbox(database, temporal), letter(PAID, intent=intent))
    await let_pass(database, event)

    async def confirmed() -> bool:
        return (await shop.booking(request.booking_id)).status is BookingStatus.CONFIRMED

    await until(confirmed)
    assert await is_handled(database, event)
    await workflow.terminate("the test is over")
