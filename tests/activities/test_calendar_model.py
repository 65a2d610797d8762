"""Random reservations, moves and releases, some at once, on the real calendar and on a naive one (FAULTS M3).

What is done at once has to come out as if it had been done in some order. `M3_EXAMPLES=200` tries more.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Final, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from models.bookings import Session
from models.states import LIVE_SESSION, PaymentStatus
from tests.activities.desk import PROVIDER, Desk, abandoned, do, now
from tests.activities.tampering import change_payment
from tests.support.properties import costly, examples
from tests.support.shop import Shop
from workflows.contracts import Refusal, Reserve, StartBooking
from workflows.orders import Moving, Reschedule

pytestmark = pytest.mark.fault("M3")

TRIED: Final = examples("M3_EXAMPLES", usual=20, nightly=300)
HOUR: Final = timedelta(hours=1)
TICK: Final = timedelta(minutes=20)
"""A session lasts three of them, so that sessions overlap by parts."""
TICKS: Final = st.integers(0, 9)
AT_ONCE: Final = 3


@dataclass(frozen=True)
class Op:
    """Something that one client wants of the calendar; `tick` is when."""

    kind: Literal["reserve", "move", "release"]
    who: int
    tick: int


OPS: Final = st.builds(
    Op, st.sampled_from(["reserve", "reserve", "move", "release"]), st.integers(0, 4), TICKS
)
BATCHES: Final = st.lists(
    st.lists(OPS, min_size=1, max_size=AT_ONCE, unique_by=lambda op: op.who), min_size=1, max_size=8
)

Calendar = dict[int, int]
"""Who has a session, and since which tick: all there is to know."""


def naive(calendar: Calendar, op: Op) -> tuple[Calendar, bool]:
    """What has to come of it when nobody else is there; whether it was done."""
    others = {who: tick for who, tick in calendar.items() if who != op.who}
    free = all(abs(tick - op.tick) * TICK >= HOUR for tick in others.values())
    match op.kind:
        case "release":
            return others, op.who in calendar
        case "move" if op.who in calendar and free:
            return calendar | {op.who: op.tick}, True
        case "reserve" if op.who not in calendar and free:
            return calendar | {op.who: op.tick}, True
        case _:
            return calendar, False


def in_some_order(before: Calendar, ops: Sequence[Op], done: Sequence[bool]) -> list[Calendar]:
    """How the calendar may look after all of them, each done or not as it was."""
    wanted = dict(zip(ops, done, strict=True))
    ends = []
    for order in permutations(ops):
        after, fits = before, True
        for op in order:
            after, could = naive(after, op)
            fits = fits and could == wanted[op]
        ends += [after] if fits else []
    return ends


@dataclass
class Book:
    """The real calendar of one provider: everybody who wants something has at most one booking."""

    desk: Desk
    shop: Shop
    first: datetime
    bookings: dict[int, UUID] = field(default_factory=dict)

    async def do(self, op: Op) -> bool:
        if op.kind == "reserve":
            return op.who not in self.bookings and await self._reserve(op)
        if op.who not in self.bookings:
            return False
        return await (self._move(op) if op.kind == "move" else self._release(op))

    async def _reserve(self, op: Op) -> bool:
        request: StartBooking = self.shop.request().model_copy(update={"starts_at": self._at(op)})
        activities = self.desk.activities()
        reserved = await activities.bookings.reserve(
            Reserve(request=await self.shop.asked(request), at=now())
        )
        assert reserved.refusal in (None, Refusal.SLOT_TAKEN)
        if reserved.booking is None:
            return False
        booking_id = request.booking_id
        paid = {"status": PaymentStatus.AUTHORIZED, "payment_intent_id": f"pi_{booking_id.hex}"}
        await change_payment(self.desk, booking_id, **paid)
        await activities.bookings.confirm(do(booking_id))
        self.bookings[op.who] = booking_id
        return True

    async def _move(self, op: Op) -> bool:
        order = Reschedule(actor=PROVIDER, starts_at=self._at(op))
        moving = Moving(booking_id=self.bookings[op.who], at=now(), order=order)
        moved = await self.desk.activities().bookings.reschedule(moving)
        assert moved.refusal in (None, Refusal.SLOT_TAKEN)
        return moved.refusal is None

    async def _release(self, op: Op) -> bool:
        booking_id = self.bookings.pop(op.who)
        await change_payment(self.desk, booking_id, status=PaymentStatus.VOIDED)
        await self.desk.activities().bookings.release(abandoned(booking_id))
        return True

    def _at(self, op: Op) -> datetime:
        return self.first + op.tick * TICK

    async def stands(self) -> Calendar:
        """What Postgres has."""
        mine = select(Session.id, Session.starts_at).where(
            Session.provider_id == self.shop.provider_id, Session.status.in_(LIVE_SESSION)
        )
        rows = await self.desk.database.run(lambda session: session.execute(mine))
        live = {row.id: row.starts_at for row in rows}
        found = {}
        for who, booking_id in self.bookings.items():
            starts_at = live.pop((await self.shop.booking(booking_id)).session_id)
            found[who] = round((starts_at - self.first) / TICK)
        assert live == {}, "a session that nobody has"
        return found


@pytest.mark.timeout(60 + 5 * TRIED)
@costly(TRIED)
@given(batches=BATCHES)
async def test_the_calendar_is_what_a_naive_one_would_be_in_some_order(
    busy_desk: Desk, batches: list[list[Op]]
) -> None:
    book = Book(busy_desk, await busy_desk.shop(), now().replace(microsecond=0) + timedelta(hours=26))
    calendar: Calendar = {}
    for ops in batches:
        done = await asyncio.gather(*(book.do(op) for op in ops))
        calendar_now = await book.stands()
        assert calendar_now in in_some_order(calendar, ops, done)
        calendar = calendar_now


def test_a_calendar_that_sells_a_time_twice_is_none_in_any_order() -> None:
    both = [Op("reserve", 0, 0), Op("reserve", 1, 2)]
    assert in_some_order({}, both, [True, True]) == []
    assert in_some_order({}, both, [False, True]) == [{1: 2}]
    assert {1: 3, 0: 0} in in_some_order({}, [replace(both[1], tick=3), both[0]], [True, True])
    assert in_some_order({0: 0}, [Op("release", 0, 9), both[1]], [True, True]) == [{1: 2}]
    assert in_some_order({0: 0}, [Op("move", 0, 2)], [False]) == []
