"""Where a scenario is played: a provider and a service of its own, and somebody who says what is waited for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sandbox.client import GOOD_CARD, Json, NotInTime, Outside, Person, has_status

PRICE: Final = 12_000
CURRENCY: Final = "eur"
MINUTES_PER_DAY: Final = 1440
AROUND_THE_CLOCK: Final = [
    {"weekday": day, "opens_minute": 0, "closes_minute": MINUTES_PER_DAY} for day in range(7)
]
ENDED: Final = frozenset({"COMPLETED", "CANCELLED", "FORFEIT", "NO_SHOW", "REJECTED"})
PAYOUT_ENDED: Final = frozenset({"PAID", "CANCELLED"})

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How long things take. Durations are a person's patience in small."""

    payment_window: timedelta = timedelta(seconds=60)
    """For whoever pays."""
    unpaid_window: timedelta = timedelta(seconds=4)
    """For whoever does not."""
    completion_grace: timedelta = timedelta(seconds=2)
    payout_hold: timedelta = timedelta(seconds=3)
    silent_for: timedelta = timedelta(seconds=8)
    """How much of the silent session is still to come when it is booked; sessions last a minute, at least."""
    patience: float = 30.0
    """Seconds that any one thing may take, beyond the windows above."""


class Stage:
    """One scenario's surroundings; every method says what it waits for while it waits."""

    def __init__(self, outside: Outside, client: Person, pace: Pace, say: Say) -> None:
        self.client = client
        self.pace = pace
        self._ops = outside.ops
        self._say = say

    async def book(self, starts_in: timedelta = timedelta(0), **policy: Any) -> Json:
        """Take a seat with a provider of this scenario's own, so that all scenarios can be now."""
        self._say("opening a provider's account and a service")
        provider = await self._ops.post("/api/providers", _provider())
        service = await self._ops.post("/api/services", self._service(provider["id"], policy))
        self._say("taking the slot")
        starts_at = datetime.now(UTC).replace(microsecond=0) + starts_in
        return await self.client.book(service["id"], starts_at)

    async def pay(self, booking: Json, card: str = GOOD_CARD) -> None:
        """Pay, and wait until the booking is confirmed."""
        self._say("the client pays")
        if not await self.client.pay(booking["id"], card):
            raise NotInTime(f"The card {card} was refused.")
        self._say("paid; waiting for Stripe's webhook to confirm the booking")
        await self.client.until(booking["id"], _past_pending, "its confirmation", self.pace.patience)

    async def be_refused(self, booking: Json, card: str) -> None:
        """Try to pay with a card that is refused; the slot stays."""
        self._say("the client pays with a card that is refused")
        if await self.client.pay(booking["id"], card):
            raise NotInTime(f"The card {card} was taken.")

    async def complete(self, booking: Json) -> None:
        """Say that the session has happened."""
        self._say("the client says the session has happened: the money is captured")
        await self.client.complete(booking["id"])

    async def cancel(self, booking: Json) -> None:
        """Let the client cancel."""
        self._say("the client cancels")
        await self.client.cancel(booking["id"])

    async def ended(self, booking: Json, what: str, within: timedelta = timedelta(0)) -> Json:
        """Wait until the booking has ended and its payout is settled; `within` is what the windows take."""
        self._say(f"waiting for {what}")
        patience = within.total_seconds() + self.pace.patience
        ended = await self.client.until(booking["id"], has_status(*ENDED), what, patience)
        if ended["payout"] is not None:
            self._say(f"{ended['status']}; the provider's share is held")
            patience = self.pace.payout_hold.total_seconds() + self.pace.patience
            ended = await self.client.until(booking["id"], _settled, "the provider's share", patience)
        self._say("done")
        return ended

    def _service(self, provider_id: str, policy: dict[str, Any]) -> Json:
        rules = {
            "payment_window": _iso(self.pace.payment_window),
            "completion_grace": _iso(self.pace.completion_grace),
            "payout_hold": _iso(self.pace.payout_hold),
        }
        return {
            "provider_id": provider_id,
            "name": "A minute of advice",
            "duration_minutes": 1,
            "amount": PRICE,
            "currency": CURRENCY,
            "policy": rules | {name: _plain(value) for name, value in policy.items()},
        }


def _provider() -> Json:
    return {
        "name": "Demo Provider",
        "email": "demo@sandbox.example",
        "time_zone": "Europe/Berlin",
        "country": "DE",
        "opening_hours": AROUND_THE_CLOCK,
    }


def _past_pending(booking: Json) -> bool:
    return bool(booking["status"] != "PENDING")


def _settled(booking: Json) -> bool:
    return bool(booking["payout"]["status"] in PAYOUT_ENDED)


def _plain(value: Any) -> Any:
    return _iso(value) if isinstance(value, timedelta) else value


def _iso(duration: timedelta) -> str:
    return f"PT{duration.total_seconds():g}S"
