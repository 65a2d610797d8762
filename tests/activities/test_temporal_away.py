"""Temporal goes away and comes back: what the inbox kept meanwhile arrives soon after."""

import asyncio

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.service import RPCError, RPCStatusCode

from activities.inbox import AWAY_PAUSE, Delivery, Inbox
from activities.relay import RelayActivities
from activities.telling import Telling
from models.database import Database
from models.records import StripeEvent
from tests.activities.desk import Desk, now
from tests.activities.letters import let_pass, letter, row, stored

pytestmark = pytest.mark.fault("T1")

PAID = "payment_intent.amount_capturable_updated"


@pytest.fixture
async def inbox(desk: Desk, quiet: Database) -> Inbox:
    """One that no other relay looks at."""

    async def empty(session: AsyncSession) -> None:
        await session.execute(delete(StripeEvent))

    await quiet.run(empty)
    return Inbox(quiet, desk.temporal)


async def test_a_relay_that_is_stopped_in_the_middle_leaves_the_rest_to_the_next_one(
    desk: Desk, quiet: Database, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [await stored(inbox, letter(PAID, intent=f"pi_{number}")) for number in range(3)]
    for event in events:
        await let_pass(quiet, event)
    relay = RelayActivities(quiet, inbox, desk.gateway, now)
    begun = asyncio.Event()
    delivered: list[str] = []

    async def hangs(_: str) -> Delivery:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def notes(event_id: str) -> Delivery:
        delivered.append(event_id)
        return Delivery.SIGNALLED

    monkeypatch.setattr(inbox, "deliver", hangs)
    stopped = asyncio.create_task(relay.deliver_due())
    await begun.wait()
    monkeypatch.setattr(inbox, "deliver", notes)
    assert await relay.deliver_due() == 0  # they are leased
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    assert await relay.deliver_due() == len(events)
    assert sorted(delivered) == sorted(event.id for event in events)


async def test_however_long_temporal_is_away_an_event_is_tried_again_soon(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(desk.database, desk.temporal)
    booking_id = await desk.paid(await desk.shop())
    event = await stored(inbox, letter(PAID, intent=await desk.intent_id(booking_id)))
    tried_for_hours = update(StripeEvent).where(StripeEvent.id == event.id).values(attempts=20)
    await desk.database.run(lambda session: session.execute(tried_for_hours))

    async def away(*_: object) -> bool:
        raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")

    monkeypatch.setattr(Telling, "tell", away)
    before = now()
    assert await inbox.deliver(event.id) is Delivery.PENDING
    kept = await row(desk.database, event)
    assert (kept.handled_at, kept.attempts, kept.last_error) == (None, 21, "Temporal: UNAVAILABLE")
    assert before < kept.next_attempt_at <= now() + AWAY_PAUSE
