"""What a person with a token and a browser can do, through HTTP and Stripe's SDK alone."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import stripe

from sandbox.asking import Api, Json, NotInTime, Refused

Condition = Callable[[Json], bool]

GOOD_CARD: Final = "pm_card_visa"
REFUSED_CARD: Final = "pm_card_chargeDeclined"
KEPT_THEN_REFUSED_CARD: Final = "pm_card_chargeCustomerFail"
"""Can be kept, and is refused whenever it is charged."""
FUNDS_AT_ONCE_CARD: Final = "pm_card_bypassPending"
"""Its money is available as soon as it is charged, instead of days later."""

LOOK_EVERY: Final = 0.3
"""Seconds between two looks at a booking."""


@dataclass(frozen=True)
class Person:
    """Whoever a token stands for, with a browser that knows Stripe's publishable key and nothing more."""

    api: Api
    browser: stripe.StripeClient
    token: str

    async def get(self, path: str) -> Json:
        """What is there."""
        return await self.api.ask(self.token, "GET", path)

    async def post(self, path: str, body: Json | None = None) -> Json:
        """Do something."""
        return await self.api.ask(self.token, "POST", path, body or {})

    async def tell(self, booking_id: str, action: str, /, **said: Any) -> Json:
        """Ask something of a booking: `cancel`, `approve`, `refund`, …; the booking after it."""
        body = {name: _plain(value) for name, value in said.items() if value is not None}
        return await self.post(f"/api/bookings/{booking_id}/{action}", body)

    # --- booking and paying -------------------------------------------------------------------

    async def book(self, service_id: str, starts_at: datetime) -> Json:
        """Take a slot; returns the booking once it can be paid."""
        return await self._book({"service_id": service_id, "starts_at": starts_at.isoformat()})

    async def join(self, session_id: str) -> Json:
        """Take a seat in a class; returns the booking once it can be paid."""
        return await self._book({"session_id": session_id})

    async def _book(self, wanted: Json) -> Json:
        accepted = await self.post("/api/bookings", wanted)
        return await self.until(accepted["id"], _can_be_paid, "the payment to be opened")

    async def pay(self, booking_id: str, card: str = GOOD_CARD) -> bool:
        """Pay, or leave the card, as Stripe.js does with a fresh client secret; False when the card is refused."""
        secret = (await self.get(f"/api/bookings/{booking_id}/checkout"))["client_secret"]
        intent_id = secret.partition("_secret_")[0]
        intents = (
            self.browser.v1.setup_intents if secret.startswith("seti_") else self.browser.v1.payment_intents
        )
        # Stripe.js sends the secret; the SDK's types know servers only.
        proof: Any = {"payment_method": card, "client_secret": secret}
        try:
            await intents.confirm_async(intent_id, proof)
        except stripe.CardError:
            return False
        return True

    # --- what becomes of it -------------------------------------------------------------------

    async def complete(self, booking_id: str) -> Json:
        """Say that the session has happened."""
        return await self.tell(booking_id, "complete")

    async def cancel(self, booking_id: str) -> Json:
        """Call the booking off."""
        return await self.tell(booking_id, "cancel")

    async def reschedule(self, booking_id: str, starts_at: datetime) -> Json:
        """Move the booking to another time, and see it there: the answer may be that it will be done."""
        await self.tell(booking_id, "reschedule", starts_at=starts_at)
        return await self.until(booking_id, lambda it: _starts(it) == starts_at, "its new time")

    async def refund(self, booking_id: str, reason: str, amount: int | None = None) -> Json:
        """Give captured money back: all that is left, or `amount` minor units of it."""
        return await self.tell(booking_id, "refund", reason=reason, amount=amount)

    async def hold(self, booking_id: str, action: str, reason: str, until: datetime | None = None) -> Json:
        """As ops: `extend` the payout hold, or `release` it."""
        return await self.tell(booking_id, "hold", action=action, reason=reason, until=until)

    async def resolve(
        self, booking_id: str, step: str, action: str, reason: str, amount: int | None = None
    ) -> Json:
        """As ops: decide about a parked step, or between people who disagree."""
        return await self.tell(booking_id, "resolve", step=step, action=action, reason=reason, amount=amount)

    # --- looking ------------------------------------------------------------------------------

    async def see(self, booking_id: str) -> Json:
        """The booking as it stands."""
        return await self.get(f"/api/bookings/{booking_id}")

    async def timeline(self, booking_id: str) -> Json:
        """What happened to it, and what it waits for."""
        return await self.get(f"/api/bookings/{booking_id}/timeline")

    async def until(self, booking_id: str, condition: Condition, what: str, within: float = 30.0) -> Json:
        """Look at the booking until it is as wanted.

        Raises:
            NotInTime: after `within` seconds it is still another way.
        """
        deadline = time.monotonic() + within
        booking: Json | None = None
        while time.monotonic() < deadline:
            try:
                booking = await self.see(booking_id)
            except Refused as refusal:
                if refusal.code != "booking_not_ready":
                    raise
            else:
                if condition(booking):
                    return booking
            await asyncio.sleep(LOOK_EVERY)
        raise NotInTime(f"Booking {booking_id} waited {within:g} s for {what}: {outline(booking)}.")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _starts(booking: Json) -> datetime:
    return datetime.fromisoformat(booking["session"]["starts_at"])


def _can_be_paid(booking: Json) -> bool:
    payment = booking["payment"]
    opened = payment["payment_intent_id"] or payment["setup_intent_id"]
    return opened is not None or booking["status"] != "PENDING"


def has_status(*wanted: str) -> Condition:
    """Whether a booking is in one of these states."""
    return lambda booking: booking["status"] in wanted


def has_payment(*wanted: str) -> Condition:
    """Whether a booking's payment is in one of these states."""
    return lambda booking: booking["payment"]["status"] in wanted


def has_payout(*wanted: str) -> Condition:
    """Whether a booking has a payout in one of these states."""
    return lambda booking: booking["payout"] is not None and booking["payout"]["status"] in wanted


def needs(step: str) -> Condition:
    """Whether ops have to look at this step of a booking."""
    return lambda booking: booking["attention"] is not None and booking["attention"]["step"] == step


def outline(booking: Json | None) -> str:
    """One line about how a booking stands."""
    if booking is None:
        return "it was never to be seen"
    payout, attention = booking["payout"], booking["attention"]
    parts = [
        f"it is {booking['status']}",
        f"its payment {booking['payment']['status']}",
        f"its payout {payout['status'] if payout else 'not there'}",
    ]
    if attention:
        parts.append(f"{attention['step']} is parked ({attention['message']})")
    return ", ".join(parts)
