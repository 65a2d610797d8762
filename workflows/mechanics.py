"""What every workflow around a booking is made of: steps that park, waits that show, an end that is shielded."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from temporalio import workflow

from workflows.attention import Attention
from workflows.calls import DOES, call
from workflows.compensation import Abandoned, Interrupted
from workflows.console import Console
from workflows.contracts import SYSTEM, BookingState, Do, Resolve
from workflows.parking import Step
from workflows.waiting import uninterrupted, wait_until

T = TypeVar("T")


class Mechanics:
    """The booking as it is known so far, and how steps are taken for it."""

    def __init__(self, booking_id: UUID) -> None:
        self._booking_id = booking_id
        self._current: BookingState | None = None
        self._over = False
        self._attention = Attention(booking_id, self._show_attention)
        self._console = Console()

    @property
    def _booking(self) -> BookingState:
        if self._current is None:
            raise AssertionError("no step runs before the booking is there")
        return self._current

    def _stands(self, booking: BookingState) -> None:
        """The one place where the booking's state changes here and in the UI."""
        self._current = booking
        self._console.show(booking, self._attention.waits_for)
        if self._attention.parked is None:
            self._console.stands(booking)

    async def _do(
        self,
        step: Step,
        summary: str,
        adopt: str | None = None,
        *,
        unless: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take a step that needs nothing but the booking and the time.

        Raises:
            Interrupted: the step is parked, and `unless` has come true.
        """
        first: str | None = adopt

        async def attempt(decision: Resolve | None) -> BookingState:
            nonlocal first
            named, first = (decision.object_id if decision else first), None
            message = Do(
                booking_id=self._booking_id,
                at=workflow.now(),
                adopt=named,
                # What somebody took back by hand is paid again only when a person says so.
                insist=decision.actor if decision and step is Step.REBALANCE else None,
            )
            return await call(DOES[step], message, summary)

        # A payment that cannot even be opened holds its seat no longer than one nobody makes.
        opening = step is Step.OPEN_PAYMENT

        def interruption() -> Abandoned | None:
            because = self._unopenable() if opening else self._unwanted()
            return because or (Interrupted(step, SYSTEM) if unless() else None)

        look_at = self._booking.expires_at if opening else None
        self._stands(await self._attention.perform(step, attempt, interruption, look_at))

    async def _wait(self, until: datetime, ready: Callable[[], bool], what: str, can: str) -> bool:
        self._console.waiting(self._booking, what, until, can, self._attention.question)
        return await wait_until(until, ready, what)

    def _unwanted(self) -> Abandoned | None:
        """Why the step under way may stop; here nothing stops one."""
        return None

    def _unopenable(self) -> Abandoned | None:
        return self._unwanted()

    async def _uninterrupted(self, story: Coroutine[Any, Any, T]) -> T:
        """Play the story; a Temporal cancellation is a wish like any other, not an interruption."""
        return await uninterrupted(story, self._cancelled_in_temporal)

    def _cancelled_in_temporal(self) -> None:
        self._console.show(self._current, self._attention.waits_for or "cancellation")
        workflow.logger.warning("cancelled in Temporal: the money is seen to all the same")

    def _show_attention(self, step: Step | None, message: str, retry_at: datetime | None) -> None:
        self._console.show(self._current, step)
        if step and retry_at:
            self._console.parked(self._current, step, message, retry_at)
        elif step:
            self._console.asked(self._booking, step, message)
