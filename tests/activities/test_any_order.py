"""Webhooks doubled, shuffled, late and lost: every booking ends as if each had come once and in order (FAULTS W1, M5).

`M5_EXAMPLES=100` plays more lives; `HYPOTHESIS_PROFILE=nightly` draws others every time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from models.payments import Dispute, Refund
from models.records import StripeEvent
from models.states import BookingStatus
from tests.activities.desk import Picture, number
from tests.activities.money_steps import HALF, PAY_OUT, SHARE
from tests.activities.stall import Stall
from tests.support.properties import costly, examples
from tests.workflows.real import RealSaga, until

pytestmark = pytest.mark.timeout(180)

Event = dict[str, Any]
LIVES: Final = examples("M5_EXAMPLES", usual=5, nightly=100)
AT_MOST: Final = 3
"""Copies of one event in a life that is drawn."""
THREE_DAYS: Final = 3 * 86_400


# --- who brings the webhooks ------------------------------------------------------------------------


@dataclass
class Post:
    """Each webhook once, in order, and the next only when everybody has done what follows from the last ones."""

    stall: Stall
    waiting: list[Event] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)

    async def comes(self, ended: UUID | None = None, *, last: bool = False) -> None:
        """Something happened at Stripe, to a booking that may have `ended`; for the `last` time."""
        await self._look()
        await self.brings(last=last)
        if ended is not None:
            await self.settles(ended)

    async def brings(self, *, last: bool) -> None:
        del last
        while self.waiting:
            await self.stall.deliver(self.waiting.pop(0))

    async def settles(self, booking_id: UUID) -> None:
        await until(partial(self.stall.rests, booking_id))

    async def _look(self) -> None:
        news = [event for event in await self.stall.events() if event["id"] not in self._known]
        self._known |= {event["id"] for event in news}
        self.waiting += news


@dataclass
class Hurried(Post):
    """Nobody waits for anybody."""

    async def settles(self, booking_id: UUID) -> None:
        del booking_id


@dataclass
class Doubled(Hurried):
    """Each so many times at once."""

    copies: int = 1

    async def brings(self, *, last: bool) -> None:
        del last
        while self.waiting:
            event = self.waiting.pop(0)
            await asyncio.gather(*(self.stall.deliver(event) for _ in range(self.copies)))


@dataclass
class Late(Hurried):
    """Nothing while the booking lives; then everything, three days old and the last first."""

    async def brings(self, *, last: bool) -> None:
        while last and self.waiting:
            event = self.waiting.pop()
            await self.stall.deliver(event | {"created": event["created"] - THREE_DAYS})


@dataclass
class Shuffled(Hurried):
    """Some now and some later, in any order, some again, several at once."""

    chance: Random = field(default_factory=Random)
    _brought: list[Event] = field(default_factory=list)

    async def brings(self, *, last: bool) -> None:
        self.chance.shuffle(self.waiting)
        now = len(self.waiting) if last else self.chance.randint(0, len(self.waiting))
        fresh, self.waiting = self.waiting[:now], self.waiting[now:]
        self._brought += fresh
        again = [event for event in self._brought for _ in range(self.chance.randint(0, AT_MOST - 1))]
        letters = fresh + again
        self.chance.shuffle(letters)
        while letters:
            size = self.chance.randint(1, AT_MOST)
            batch, letters = letters[:size], letters[size:]
            await asyncio.gather(*(self.stall.deliver(event) for event in batch))


# --- lives --------------------------------------------------------------------------------------------


async def a_dispute_is_lost(stall: Stall, saga: RealSaga, post: Post) -> None:
    charge = (await saga.shop.payment(saga.booking_id)).charge_id
    dispute = await stall.desk.control.ask("POST", f"/charges/{charge}/dispute")
    await post.comes(saga.booking_id)
    await stall.desk.control.ask("POST", f"/disputes/{dispute['id']}", status="lost")


async def half_is_refunded_by_hand(_stall: Stall, saga: RealSaga, _post: Post) -> None:
    await saga.sdk.v1.refunds.create_async({"payment_intent": await saga.intent_id(), "amount": HALF})


async def nothing_more_happens(_stall: Stall, _saga: RealSaga, _post: Post) -> None:
    """Paid, completed, paid out."""


Turn = Callable[[Stall, RealSaga, Post], Awaitable[None]]
TURNS: Final = (nothing_more_happens, a_dispute_is_lost, half_is_refunded_by_hand)
each_turn = pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.__name__)


@dataclass(frozen=True)
class Ended:
    """What is left of a life: the money, and what our rows say of what was contested and given back."""

    picture: Picture
    disputes: tuple[str, ...] = ()
    refunds: tuple[str, ...] = ()


async def ended(stall: Stall, saga: RealSaga) -> Ended:
    async def statuses(table: type[Dispute | Refund]) -> tuple[str, ...]:
        mine = select(table.status).where(table.booking_id == saga.booking_id)
        return tuple(await stall.database.run(lambda session: session.scalars(mine)))

    return Ended(await stall.picture(saga), await statuses(Dispute), await statuses(Refund))


async def life(stall: Stall, turn: Turn, brought_by: Callable[[Stall], Post]) -> Ended:
    """A whole booking and what comes after it; the client's page and the provider's ask Stripe as well."""
    await stall.desk.control.ask("POST", "/reset", webhook_endpoints=True)
    post, saga = brought_by(stall), await stall.opened(await stall.shop())
    await saga.pays()
    await post.comes()
    assert (await saga.confirm()).status is BookingStatus.CONFIRMED
    await saga.complete()
    await saga.ends()
    await post.comes(saga.booking_id)
    await turn(stall, saga, post)
    await post.comes(saga.booking_id, last=True)
    await until(partial(stall.rests, saga.booking_id))
    assert await stall.violations(saga.booking_id) == []
    return await ended(stall, saga)


@pytest.fixture(scope="module")
async def in_order(busy_stall: Stall) -> Mapping[str, Ended]:
    """How each life ends when every webhook comes once and in order."""
    return {turn.__name__: await life(busy_stall, turn, Post) for turn in TURNS}


# --- W1 -------------------------------------------------------------------------------------------------


async def test_in_order_every_life_ends_as_it_should(in_order: Mapping[str, Ended]) -> None:
    """Lives in which no webhook mattered would prove nothing."""
    plain, lost, refunded = (in_order[turn.__name__] for turn in TURNS)
    assert plain == Ended(PAY_OUT.ends)
    assert (lost.picture.payout, lost.picture.reversals, lost.disputes) == ("REVERSED", (SHARE,), ("LOST",))
    assert (refunded.picture.refunds, refunded.picture.reversals) == ((HALF,), (SHARE // 2,))
    assert refunded.refunds == ("SUCCEEDED",)


@pytest.mark.fault("W1")
@pytest.mark.parametrize(("copies", "turn"), [(2, a_dispute_is_lost), (50, nothing_more_happens)])
async def test_webhooks_that_come_many_times_at_once_change_nothing(
    stall: Stall,
    in_order: Mapping[str, Ended],
    copies: int,
    turn: Turn,
    record_property: Callable[[str, object], None],
) -> None:
    assert await life(stall, turn, partial(Doubled, copies=copies)) == in_order[turn.__name__]
    record_property("injected", copies * len(await stall.events()))


@pytest.mark.fault("W1")
@each_turn
async def test_webhooks_that_are_three_days_late_and_backwards_change_nothing(
    stall: Stall, in_order: Mapping[str, Ended], turn: Turn
) -> None:
    assert await life(stall, turn, Late) == in_order[turn.__name__]


@pytest.mark.fault("W1")
async def test_a_payment_that_no_webhook_ever_tells_of_is_found_by_the_reconciler(
    stall: Stall, in_order: Mapping[str, Ended]
) -> None:
    shop = await stall.shop()
    saga = await stall.opened(shop)
    await saga.pays()
    found = await stall.desk.activities().oversight.reconcile()
    assert found.repaired["events"] > 0

    async def confirmed() -> bool:
        await stall.rests(saga.booking_id)
        return (await shop.booking(saga.booking_id)).status is BookingStatus.CONFIRMED

    await until(confirmed)
    await saga.complete()
    await saga.ends()
    await stall.desk.activities().oversight.reconcile()
    await until(partial(stall.rests, saga.booking_id))
    assert await ended(stall, saga) == in_order[nothing_more_happens.__name__]


@pytest.mark.fault("W1")
@pytest.mark.parametrize("copies", [1, 50])
async def test_one_event_is_one_row_however_often_it_comes_at_once(stall: Stall, copies: int) -> None:
    await stall.shop()
    (event, *_) = await stall.events()
    await asyncio.gather(*(stall.deliver(event) for _ in range(copies)))
    rows = select(func.count()).where(StripeEvent.id == event["id"])
    assert await number(stall.database, rows) == 1


# --- M5 -------------------------------------------------------------------------------------------------


@pytest.mark.fault("M5")
@pytest.mark.timeout(180 + 20 * LIVES)
@costly(LIVES)
@given(turn=st.sampled_from(TURNS), chance=st.randoms())
async def test_any_order_and_any_repetition_of_the_same_webhooks_end_the_same(
    busy_stall: Stall, in_order: Mapping[str, Ended], turn: Turn, chance: Random
) -> None:
    assert await life(busy_stall, turn, partial(Shuffled, chance=chance)) == in_order[turn.__name__]
