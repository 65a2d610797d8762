"""Temporal goes away and comes back: what the inbox kept meanwhile arrives soon after."""

import asyncio

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.service import RPCError, RPCStatusCode

from activities.inbox import AWAY_PAUSE, Delivery, Inbox
from activities.relay import LEASE, RelayActivities
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


async def test_a_relay_that_is_stopped_in_the_middle_keeps_from_the_next_one_only_what_it_was_at(
    desk: Desk, quiet: Database, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [await stored(inbox, letter(PAID, intent=f"pi_{number}")) for number in range(3)]
    for event in events:
        await let_pass(quiet, event)
    relay = RelayActivities(quiet, inbox, desk.gateway, now)
    begun: asyncio.Queue[str] = asyncio.Queue()
    delivered: list[str] = []

    async def hangs(event_id: str) -> Delivery:
        begun.put_nowait(event_id)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def notes(event_id: str) -> Delivery:
        delivered.append(event_id)
        await inbox.handled(event_id, Delivery.SIGNALLED)
        return Delivery.SIGNALLED

    monkeypatch.setattr(inbox, "deliver", hangs)
    stopped = asyncio.create_task(relay.deliver_due())
    at_work = await begun.get()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    monkeypatch.setattr(inbox, "deliver", notes)
    assert await relay.deliver_due() == 2
    assert sorted([*delivered, at_work]) == sorted(event.id for event in events)
    (left,) = [event for event in events if event.id == at_work]
    assert (await row(quiet, left)).next_attempt_at - now() <= LEASE
    await let_pass(quiet, left)
    assert await relay.deliver_due() == 1


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
