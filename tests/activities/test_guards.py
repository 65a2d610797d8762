"""Guards of Postgres and of the code are taken away one by one: the harm happens, and audit or comparison say so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import comparing, operations, payouts, seats
from activities.comparing import Comparison
from activities.errors import StripeFailure
from activities.findings import Findings
from activities.inbox import Delivery, Inbox
from activities.operations import Operations, Task
from activities.payments import PaymentActivities
from activities.stripe_gateway import utc_now
from activities.stripe_writes import StripeWrites
from models import ledger
from models.bookings import Booking, Session
from models.ledger import JournalKind
from models.records import StripeEvent, StripeOperation
from models.states import SEAT_HOLDING
from tests.activities.desk import Desk, abandoned, do, number
from tests.activities.letters import letter, listening, signals
from tests.activities.money_steps import CAPTURE
from tests.activities.test_invariants import rules
from tests.activities.test_ledger import LOPSIDED, booked, capture, post
from tests.activities.test_negative_controls import CHEAP_TRANSFER
from tests.activities.test_reserve import TOMORROW, asked, reserve
from tests.activities.test_seats import another_client, put_up, seat
from tests.support.scratch import scratch_database

pytestmark = [pytest.mark.fault("N1"), pytest.mark.timeout(180)]

PAID: Final = "payment_intent.amount_capturable_updated"
CAPACITY: Final = 2
RIVALS: Final = 5

Weaken = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def without(database_url: str, desk: Desk) -> AsyncIterator[Weaken]:
    """Makes a desk whose database lacks something; everything else is the product's."""
    opened: list[Any] = []

    async def weaken(*statements: str) -> Desk:
        opened.append(scratch_database(database_url, *statements))
        return replace(desk, database=await opened[-1].__aenter__())

    yield weaken
    for each in opened:
        await each.__aexit__(None, None, None)


# --- time and seats ---------------------------------------------------------------------------------


async def test_without_the_exclusion_constraint_a_time_is_sold_twice_and_the_audit_says_so(
    without: Weaken,
) -> None:
    weak = await without("ALTER TABLE sessions DROP CONSTRAINT ex_sessions_provider_time")
    shop = await weak.shop()
    answers = [await reserve(weak, await asked(shop, TOMORROW)) for _ in range(2)]
    assert [answer.refusal for answer in answers] == [None, None]
    assert await rules(weak.database) == {"I5"}


class Unlocked:
    """A session that locks no row."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, *what: Any, **how: Any) -> Any:
        return await self._session.get(*what, **(how | {"with_for_update": False}))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


async def rush(desk: Desk) -> int:
    """More clients than there are seats, all at once; how many have one afterwards."""
    shop = await desk.shop()
    session_id = await put_up(desk, shop, capacity=CAPACITY)
    rivals = [await another_client(desk, shop) for _ in range(RIVALS)]
    await asyncio.gather(*(seat(desk, rival, session_id) for rival in rivals))
    holders = select(func.count()).where(Booking.session_id == session_id, Booking.status.in_(SEAT_HOLDING))
    return await number(desk.database, holders)


async def test_without_the_locks_on_a_class_more_seats_are_sold_than_there_are(
    without: Weaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, locked, all_have_looked = await without(), seats.seat_in, asyncio.Barrier(RIVALS)
    assert await rush(desk) == CAPACITY

    async def look(session: Any, *what: Any) -> Session:
        free = await locked(Unlocked(session), *what)  # type: ignore[arg-type] # as good as one, but for its locks
        await all_have_looked.wait()
        return free

    async def nobody_waits(*_: object) -> None:
        return None

    monkeypatch.setattr(seats, "seat_in", look)
    monkeypatch.setattr(seats, "queue_for", nobody_waits)
    assert await rush(desk) == RIVALS
    assert await rules(desk.database) == {"I5"}


# --- the books ----------------------------------------------------------------------------------------


async def test_without_its_trigger_a_journal_that_does_not_balance_is_posted_and_the_audit_says_so(
    without: Weaken,
) -> None:
    weak = await without("ALTER TABLE ledger_entries DISABLE TRIGGER USER")
    await weak.database.run(post(capture(await booked(weak), LOPSIDED)))
    assert "I1" in await rules(weak.database)


async def test_a_journal_whose_id_is_drawn_is_posted_twice_and_the_audit_says_so(
    without: Weaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await without()
    booking_id = await CAPTURE.prepare(desk)
    await CAPTURE.act(desk.activities(), booking_id)
    assert await rules(desk.database) == set()
    charge = (await desk.payment(booking_id)).charge_id
    monkeypatch.setattr(ledger, "uuid5", lambda *_: uuid4())
    again = ledger.entries(
        JournalKind.CAPTURE, booking_id, "eur", ledger.capture(CAPTURE.ends.captured), charge
    )
    await desk.database.run(post(again))
    assert {"I9", "I2", "I6"} <= await rules(desk.database)


# --- the inbox ------------------------------------------------------------------------------------------


async def told(desk: Desk) -> tuple[int, list[str]]:
    """One event of Stripe's that comes five times at once: its rows, and what its booking heard."""
    inbox = Inbox(desk.database, desk.temporal)
    booking_id = await desk.paid(await desk.shop())
    workflow = await listening(desk, booking_id)
    event = letter(PAID, intent=await desk.intent_id(booking_id))
    await asyncio.gather(*(inbox.store(event) for _ in range(5)))
    for _ in range(5):
        await inbox.deliver(event.id)
    rows = await number(desk.database, select(func.count()).where(StripeEvent.id == event.id))
    return rows, await signals(workflow)


async def test_without_its_key_and_its_mark_the_inbox_keeps_and_tells_an_event_as_often_as_it_comes(
    without: Weaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await told(await without()) == (1, ["payment_changed"])
    weak = await without("ALTER TABLE stripe_events DROP CONSTRAINT pk_stripe_events")

    async def never(_inbox: Inbox, _event_id: str, _delivery: Delivery) -> None:
        return None

    monkeypatch.setattr(Inbox, "handled", never)
    assert await told(weak) == (5, ["payment_changed"] * 5)


# --- writes to Stripe ---------------------------------------------------------------------------------


class Forgetful(Operations):
    """Calls Stripe before the row of an intent is committed: of a call that is lost, nothing is left."""

    async def _begin(self, task: Task[Any, Any]) -> StripeOperation | None:
        if task.write.kind != "intent":
            return await super()._begin(task)
        async with AsyncSession(self._database.engine, expire_on_commit=False) as session:
            request = await task.freeze(session)
            operation = await operations._start(session, task, request, attempt=1)
            session.expunge(operation)
            await session.rollback()
            return operation

    async def _note(self, key: str, **learnt: Any) -> None:
        if ":intent:" not in key:
            await super()._note(key, **learnt)


@pytest.mark.parametrize(("kept", "left"), [(Operations, "canceled"), (Forgetful, "requires_payment_method")])
async def test_without_its_row_before_the_call_an_undo_does_not_know_what_was_made(
    desk: Desk, kept: type[Operations], left: str
) -> None:
    booking_id = await desk.reserved(await desk.shop())
    payments = PaymentActivities(
        desk.database, desk.gateway, StripeWrites(desk.gateway), kept(desk.database, utc_now)
    )
    await desk.control.fault("reset_after", "/v1/payment_intents")
    with pytest.raises(StripeFailure):
        await payments.open_payment(do(booking_id))
    await payments.give_back(abandoned(booking_id))
    assert (await desk.picture(booking_id)).intents == (left,)


async def test_a_transfer_whose_row_is_drawn_is_made_twice_and_the_comparison_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await CHEAP_TRANSFER.prepare(desk)

    async def drawn(*_: object) -> UUID:
        return uuid4()

    monkeypatch.setattr(payouts, "next_transfer_id", drawn)
    await desk.control.fault("reset_after", CHEAP_TRANSFER.path)
    with pytest.raises(StripeFailure):
        await CHEAP_TRANSFER.act(desk.activities(), booking_id)
    await CHEAP_TRANSFER.act(desk.activities(), booking_id)
    assert len((await desk.picture(booking_id)).transfers) == 2
    assert await compared(desk, booking_id) == {comparing.PAID_TWICE}


async def compared(desk: Desk, booking_id: UUID) -> set[str]:
    """What the comparison with Stripe says of the booking."""
    look = Comparison(desk.database, desk.gateway, Findings(desk.database), utc_now, grace=timedelta(0))
    return {one.rule for one in await look.look() if one.booking_id == booking_id}
