"""What the demo plays, and how each scenario has to end; amounts are minor units of `stage.CURRENCY`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sandbox.client import REFUSED_CARD, Json
from sandbox.demo.stage import PRICE, Stage

SESSION: Final = timedelta(minutes=1)
HALF: Final = PRICE // 2


@dataclass(frozen=True)
class Ending:
    """Where a booking has to end: its states, and the client's money."""

    status: str
    payment: str
    payout: str | None = None
    reason: str | None = None
    captured: int = 0
    refunded: int = 0

    def departures(self, booking: Json) -> list[str]:
        """What is not as it should be, as sentences."""
        payment, payout = booking["payment"], booking["payout"]
        seen = {
            "status": (self.status, booking["status"]),
            "reason": (self.reason, booking["status_reason"]),
            "payment": (self.payment, payment["status"]),
            "payout": (self.payout, payout["status"] if payout else None),
            "amount captured": (self.captured, payment["amount_captured"]),
            "amount refunded": (self.refunded, payment["amount_refunded"]),
            "attention": (None, booking["attention"]),
        }
        return [f"its {name} is {is_}, not {should}" for name, (should, is_) in seen.items() if should != is_]


@dataclass(frozen=True)
class Scenario:
    """A story with a name; `play` returns the booking as it ended."""

    name: str
    play: Callable[[Stage], Awaitable[Json]]
    ending: Ending


async def happy_path(stage: Stage) -> Json:
    """Booked, paid, held, paid out."""
    booking = await stage.book()
    await stage.pay(booking)
    await stage.complete(booking)
    return await stage.ended(booking, "the money to be captured")


async def nobody_pays(stage: Stage) -> Json:
    """The slot is held for the payment window, and then it is free again."""
    window = stage.pace.unpaid_window
    booking = await stage.book(timedelta(days=1), payment_window=window)
    return await stage.ended(booking, "the payment window to end", window)


async def declined_then_paid(stage: Stage) -> Json:
    """A refused card costs nothing but another try."""
    booking = await stage.book()
    await stage.be_refused(booking, REFUSED_CARD)
    await stage.pay(booking)
    await stage.complete(booking)
    return await stage.ended(booking, "the money to be captured")


async def cancelled_early(stage: Stage) -> Json:
    """Two days before, all comes back: the authorization is let go, nothing was ever charged."""
    booking = await stage.book(timedelta(days=2))
    await stage.pay(booking)
    await stage.cancel(booking)
    return await stage.ended(booking, "the authorization to be released")


async def cancelled_after_charge(stage: Stage) -> Json:
    """The same where the service charges at once: here it is a refund."""
    booking = await stage.book(timedelta(days=2), capture="on_payment")
    await stage.pay(booking)
    await stage.cancel(booking)
    return await stage.ended(booking, "the refund")


async def cancelled_late(stage: Stage) -> Json:
    """Two hours before, half is kept: the provider earns a share of that half."""
    booking = await stage.book(timedelta(hours=2))
    await stage.pay(booking)
    await stage.cancel(booking)
    return await stage.ended(booking, "half of the money to be captured")


async def silence(stage: Stage) -> Json:
    """Nobody says how it went, so it went well, once the grace after the session is over."""
    booking = await stage.book(stage.pace.silent_for - SESSION)
    await stage.pay(booking)
    left = stage.pace.silent_for + stage.pace.completion_grace
    return await stage.ended(booking, "the session and its grace to end without a word", left)


SCENARIOS: Final = (
    Scenario("happy path", happy_path, Ending("COMPLETED", "CAPTURED", "PAID", captured=PRICE)),
    Scenario("nobody pays", nobody_pays, Ending("CANCELLED", "VOIDED", reason="payment_timeout")),
    Scenario(
        "declined, then paid", declined_then_paid, Ending("COMPLETED", "CAPTURED", "PAID", captured=PRICE)
    ),
    Scenario(
        "cancelled in time", cancelled_early, Ending("CANCELLED", "VOIDED", reason="cancelled_by_client")
    ),
    Scenario(
        "charged, cancelled",
        cancelled_after_charge,
        Ending("CANCELLED", "REFUNDED", reason="cancelled_by_client", captured=PRICE, refunded=PRICE),
    ),
    Scenario(
        "cancelled late",
        cancelled_late,
        Ending("FORFEIT", "CAPTURED", "PAID", reason="cancelled_by_client", captured=HALF),
    ),
    Scenario(
        "ended in silence",
        silence,
        Ending("COMPLETED", "CAPTURED", "PAID", reason="auto_completed", captured=PRICE),
    ),
)
