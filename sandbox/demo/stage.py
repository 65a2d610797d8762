"""Where a scenario is played: a provider and services of its own, and somebody who says what is waited for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from sandbox.asking import Json, NotInTime, Refused
from sandbox.client import Outside
from sandbox.control import Control
from sandbox.person import GOOD_CARD, LOOK_EVERY, Condition, Person, has_status

PRICE: Final = 12_000
CURRENCY: Final = "eur"
SESSION: Final = timedelta(minutes=1)
ENDED: Final = frozenset({"COMPLETED", "CANCELLED", "FORFEIT", "NO_SHOW", "REJECTED"})
PAYOUT_ENDED: Final = frozenset({"PAID", "CANCELLED"})

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How long things take. Durations are a person's patience in small."""

    payment_window: timedelta = timedelta(seconds=60)
    """For whoever pays."""
    unpaid_window: timedelta = timedelta(seconds=4)
    """For whoever does not, and for a provider who does not answer."""
    completion_grace: timedelta = timedelta(seconds=2)
    payout_hold: timedelta = timedelta(seconds=3)
    long_hold: timedelta = timedelta(minutes=5)
    """For whoever has something to say during the hold; it is released when all is said."""
    silent_for: timedelta = timedelta(seconds=20)
    """How much of the silent session is still to come when it is booked; sessions last a minute, at least."""
    ahead: timedelta = timedelta(seconds=10)
    """How far off a session is that has to be in the future first, and to take place then."""
    short_authorization: timedelta = timedelta(seconds=32)
    """For whom the card network's patience ends."""
    patience: float = 60.0
    """Seconds that any one thing may take, beyond the windows above."""


class Stage:
    """One scenario's surroundings; every method says what it waits for while it waits."""

    def __init__(self, outside: Outside, client: Person, pace: Pace, say: Say) -> None:
        self.outside = outside
        self.client = client
        self.other_client = outside.client2 if client is outside.client else outside.client
        self.provider = outside.provider(f"provider-{uuid4()}")
        self.ops = outside.ops
        self.pace = pace
        self._provider: Json | None = None
        self._say = say

    @property
    def control(self) -> Control:
        """The sandbox's Stripe.

        Raises:
            NotInTime: Stripe is the real one, which nobody plays with.
        """
        if self.outside.control is None:
            raise NotInTime("This needs the sandbox's Stripe.")
        return self.outside.control

    def say(self, news: str) -> None:
        """Tell what is waited for, or done, now."""
        self._say(news)

    # --- setting up ---------------------------------------------------------------------------

    async def account(self) -> str:
        """The provider's account at Stripe."""
        return str((await self.opened())["stripe_account_id"])

    async def opened(self, **details: Any) -> Json:
        """This scenario's own provider, registered the first time, so that all scenarios can be now."""
        if self._provider is None:
            self._say("opening a provider's account")
            self._provider = await self.provider.post("/api/providers", _provider() | details)
        return self._provider

    async def offer(self, capacity: int = 1, **policy: Any) -> Json:
        """Offer a minute of the provider's time, under these rules."""
        provider = await self.opened()
        rules = {
            "payment_window": self.pace.payment_window,
            "completion_grace": self.pace.completion_grace,
            "payout_hold": self.pace.payout_hold,
        }
        service = {
            "name": "A minute of advice",
            "duration_minutes": int(SESSION / timedelta(minutes=1)),
            "capacity": capacity,
            "amount": PRICE,
            "currency": CURRENCY,
            "policy": {name: _plain(value) for name, value in (rules | policy).items()},
        }
        # The hold is the platform's to set.
        return await self.ops.post("/api/services", service | {"provider_id": provider["id"]})

    async def put_up(self, starts_in: timedelta, seats: int, **policy: Any) -> Json:
        """Put up a class."""
        service = await self.offer(capacity=seats, **policy)
        self._say("putting up a class")
        wanted = {"service_id": service["id"], "starts_at": at(starts_in).isoformat()}
        return await self.provider.post("/api/sessions", wanted)

    # --- booking and paying -------------------------------------------------------------------

    async def book(self, starts_in: timedelta = timedelta(0), **policy: Any) -> Json:
        """Take a slot of a service with these rules."""
        service = await self.offer(**policy)
        self._say("taking the slot")
        return await self.client.book(service["id"], at(starts_in))

    async def pay(self, booking: Json, card: str = GOOD_CARD, who: Person | None = None) -> Json:
        """Pay, or leave a card, and wait until that is known."""
        self._say("the client pays")
        # Somebody else may need to be the only one who is authorized at this moment.
        pause = self.outside.control.authorizing.among_others() if self.outside.control else nullcontext()
        async with pause:
            taken = await (who or self.client).pay(booking["id"], card)
        if not taken:
            raise NotInTime(f"The card {card} was refused.")
        return await self.until(booking, _past_pending, "Stripe's webhook to confirm the booking")

    async def be_refused(self, booking: Json, card: str) -> None:
        """Try to pay with a card that is refused; the slot stays."""
        self._say("the client pays with a card that is refused")
        if await self.client.pay(booking["id"], card):
            raise NotInTime(f"The card {card} was taken.")

    async def booked(self, starts_in: timedelta = timedelta(0), card: str = GOOD_CARD, **policy: Any) -> Json:
        """Booked and paid."""
        return await self.pay(await self.book(starts_in, **policy), card)

    # --- the session and after ----------------------------------------------------------------

    async def complete(self, booking: Json) -> Json:
        """Say that the session has happened."""
        self._say("the client says the session has happened: the money is captured")
        return await self.client.complete(booking["id"])

    async def starts(self, booking: Json) -> None:
        """Wait for the session's start."""
        starts_at = datetime.fromisoformat(booking["session"]["starts_at"])
        within = 3 * self.pace.ahead
        await self.until(booking, lambda _: datetime.now(UTC) > starts_at, "the session to start", within)

    async def take_place(self, booking: Json) -> Json:
        """Wait for the session's start, then say that it has happened."""
        await self.starts(booking)
        return await self.complete(booking)

    async def cancel(self, booking: Json) -> None:
        """Let the client cancel."""
        self._say("the client cancels")
        await self.client.cancel(booking["id"])

    async def held(self, card: str = GOOD_CARD, **policy: Any) -> Json:
        """Completed, and the money is on hold for as long as it takes to say something about it."""
        booking = await self.booked(card=card, payout_hold=self.pace.long_hold, **policy)
        await self.complete(booking)
        return await self.until(booking, has_status("COMPLETED"), "the money to be captured")

    async def paid_out(self, card: str = GOOD_CARD, **policy: Any) -> Json:
        """Completed, held, and the provider has its share."""
        booking = await self.booked(card=card, **policy)
        await self.complete(booking)
        return await self.ended(booking, "the provider's share")

    async def release(self, booking: Json) -> None:
        """Let ops end the hold."""

        async def released() -> bool:
            try:
                await self.ops.hold(booking["id"], "release", "all has been said")
            except Refused as refusal:
                # A workflow hears of what its step has done a moment after everybody else can see it.
                if refusal.code != "dispute_open":
                    raise
                return False
            return True

        await self.look(released, "ops to end the hold")

    async def charge_of(self, booking: Json) -> str:
        """The booking's charge, as Stripe's dashboard shows it."""
        intent = booking["payment"]["payment_intent_id"]
        found = await self.outside.stripe.v1.payment_intents.retrieve_async(intent)
        return str(found.latest_charge)

    # --- waiting ------------------------------------------------------------------------------

    async def until(
        self, booking: Json, condition: Condition, what: str, within: timedelta = timedelta(0)
    ) -> Json:
        """Wait until the booking is as wanted; `within` is what the windows take."""
        self._say(f"waiting for {what}")
        patience = within.total_seconds() + self.pace.patience
        return await self.ops.until(booking["id"], condition, what, patience)

    async def look(self, ask: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for something that the booking does not show.

        Raises:
            NotInTime: it did not come.
        """
        self._say(f"waiting for {what}")
        deadline = time.monotonic() + self.pace.patience
        while not await ask():
            if time.monotonic() > deadline:
                raise NotInTime(f"Waited {self.pace.patience:g} s for {what}.")
            await asyncio.sleep(LOOK_EVERY)

    async def ended(self, booking: Json, what: str, within: timedelta = timedelta(0)) -> Json:
        """Wait until the booking has ended and its payout is settled."""
        ended = await self.until(booking, has_status(*ENDED), what, within)
        if ended["payout"] is not None:
            ended = await self.until(booking, _settled, "the provider's share", self.pace.payout_hold)
        self._say("done")
        return ended

    async def becomes(self, booking: Json, condition: Condition, what: str) -> Json:
        """Wait for the last thing that happens to a booking that has ended before."""
        found = await self.until(booking, condition, what)
        self._say("done")
        return found


def at(starts_in: timedelta) -> datetime:
    """An instant from now, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) + starts_in


def _provider() -> Json:
    return {
        "name": "Demo Provider",
        "email": "demo@sandbox.example",
        "time_zone": "Europe/Berlin",
        "country": "DE",
    }


def _past_pending(booking: Json) -> bool:
    return bool(booking["status"] != "PENDING")


def _settled(booking: Json) -> bool:
    return bool(booking["payout"]["status"] in PAYOUT_ENDED)


def _plain(value: Any) -> Any:
    return f"PT{value.total_seconds():g}S" if isinstance(value, timedelta) else value
