"""What a scenario is, and how its bookings have to end; amounts are minor units of `stage.CURRENCY`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sandbox.asking import Json
from sandbox.demo.stage import PRICE, Stage

FEE_BPS: Final = 2_000
BPS: Final = 10_000
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
    lost: int = 0
    """What the client's bank took back."""
    netted: int = 0
    """How much of the provider's share pays what it owes from earlier bookings."""

    @property
    def share(self) -> int:
        """What the provider gets of what is kept."""
        kept = self.captured - self.refunded - self.lost
        return kept - kept * FEE_BPS // BPS

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
            "provider's share": (self.share, payment["provider_share"]),
            "debt netted": (self.netted, payout["debt_netted"] if payout else 0),
            "attention": (None, booking["attention"]),
        }
        return [f"its {name} is {is_}, not {should}" for name, (should, is_) in seen.items() if should != is_]


@dataclass(frozen=True)
class Scenario:
    """A story with a name; `play` returns its bookings as they ended, in the order of `endings`."""

    name: str
    play: Callable[[Stage], Awaitable[tuple[Json, ...]]]
    endings: tuple[Ending, ...]
    plays_stripe: bool = False
    """Needs the sandbox's Stripe: somebody there does what nobody can ask of the real one."""
    hurried: bool = False
    """Lives by seconds, so it is not for when things are killed."""


def alone(play: Callable[[Stage], Awaitable[Json]]) -> Callable[[Stage], Awaitable[tuple[Json, ...]]]:
    """A story of one booking, as a scenario plays it."""

    async def played(stage: Stage) -> tuple[Json, ...]:
        return (await play(stage),)

    return played
