"""The outside world of bookings, in memory: the saga's steps, and what may go wrong in them.

Each booking has its own `World`; the steps find it by the booking's id, so that one worker serves
every test. A world keeps what Postgres and Stripe would, acts idempotently as the real steps do,
and writes down every call with the workflow's own instant.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, get_type_hints
from uuid import UUID

from temporalio import activity

from models.keys import stray_id_for
from tests.workflows.purse import Purse
from tests.workflows.seat import Seat
from tests.workflows.share import Share
from tests.workflows.stage import Stage
from workflows.contracts import AttentionNote, StartBooking
from workflows.followups import ClassBookings, ClassOrder, Settlement, SettleStray, Stray, StrayVerdict
from workflows.steps import (
    AuthorizationSteps,
    BookingSteps,
    ClassSteps,
    HoldSteps,
    PaymentSteps,
    PayoutSteps,
    RefundSteps,
    SettlementSteps,
)

PLAYED: Final = (
    BookingSteps,
    PaymentSteps,
    AuthorizationSteps,
    RefundSteps,
    HoldSteps,
    PayoutSteps,
    SettlementSteps,
    ClassSteps,
)
NAMES: Final = ("booking_id", "payment_intent_id", "session_id")


@dataclass
class World(Seat, Purse, Share):
    """One booking's rows and intent, and everything that was done to them."""


@dataclass
class StrayWorld(Stage):
    """A payment that no live booking knows."""

    payment_intent_id: str = "pi_stray"
    verdicts: list[StrayVerdict] = field(default_factory=list)
    """What it is good for, look by look; the last one stands."""
    given_back: int = 0

    @property
    def stray(self) -> Stray:
        return Stray(payment_intent_id=self.payment_intent_id, event_id="evt_stray")

    def says(self, why: str, *, retake: StartBooking | None = None, give_back: bool = False) -> None:
        self.verdicts.append(StrayVerdict(why=why, retake=retake, give_back=give_back))

    def judge_stray(self, _: Stray) -> StrayVerdict:
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]

    def give_back_stray(self, step: SettleStray) -> Settlement:
        self.given_back += 1
        return Settlement(payment_intent_id=step.payment_intent_id, given_back=True, why="given back")

    def record_attention(self, note: AttentionNote) -> None:
        """There is no booking to show it on."""


@dataclass
class ClassWorld(Stage):
    """A class with its bookings."""

    worlds: list[World] = field(default_factory=list)
    strangers: tuple[UUID, ...] = ()
    """Bookings whose workflow is gone."""

    def close_class(self, _: ClassOrder) -> ClassBookings:
        waiting = [world.booking_id for world in self.worlds if world.booking.status == "CONFIRMED"]
        return ClassBookings(booking_ids=(*waiting, *self.strangers))


class Steps:
    """The saga's activities, each played in the world of its booking."""

    def __init__(self) -> None:
        self.worlds: dict[UUID | str, Stage] = {}

    def add(self, world: World) -> None:
        self.worlds[world.booking_id] = world

    def add_stray(self, stray: StrayWorld) -> None:
        self.worlds[stray.payment_intent_id] = self.worlds[stray_id_for(stray.payment_intent_id)] = stray

    @property
    def all(self) -> list[Callable[..., Any]]:
        """Every step of every protocol, under its own name."""
        methods = (method for steps in PLAYED for _, method in inspect.getmembers(steps, inspect.isfunction))
        return [
            self._played(method) for method in methods if hasattr(method, "__temporal_activity_definition")
        ]

    def _played(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def play(message: Any) -> Any:
            asked = getattr(message, "request", message)
            key = next(getattr(asked, name) for name in NAMES if hasattr(asked, name))
            return await self.worlds[key].perform(method.__name__, message)

        *_, received, returned = get_type_hints(method).values()
        play.__annotations__ = {"message": received, "return": returned}
        return activity.defn(name=method.__name__)(play)
