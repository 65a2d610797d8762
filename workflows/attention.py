"""Steps that fail park; they never fail the booking (DESIGN section 8).

A parked step shows itself in the UI and on the booking, and goes on when ops decide (`resolve`),
when a batch wakes everything (`retry`), or by itself, slower and slower. A question is the other
thing that needs ops: people contradict each other, and the saga goes on with everything else
meanwhile.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from models.states import StatusReason
from workflows.compensation import Abandoned
from workflows.contracts import BOOKINGS_QUEUE, AttentionNote, Resolve
from workflows.parking import ACTIONS, Action, Step
from workflows.policies import ATTEMPT_TIMEOUT, FAST, RECORDING_WINDOW, slow_retry
from workflows.steps import BookingSteps
from workflows.waiting import wait_until

T = TypeVar("T")
Attempt = Callable[[Resolve | None], Awaitable[T]]
"""One try, told what ops decided before it, if anybody did."""

Interruption = Callable[[], Abandoned | None]


class Show(Protocol):
    """Shows operators what needs them; `step` None means nothing does."""

    def __call__(self, step: Step | None, message: str, retry_at: datetime | None) -> None:
        """Show a parked step, a question (which is never tried again), or that nothing is."""
        ...


def uninterrupted() -> None:
    """Nothing but a decision or a success ends this step."""


def reason_of(error: FailureError) -> str:
    """`Type: message` of what really broke; an ActivityError alone says only that one failed."""
    cause = error.cause or error
    if isinstance(cause, ApplicationError):
        return f"{cause.type}: {cause.message}"
    return f"{type(cause).__name__}: {cause}"


class Attention:
    """Runs the saga's steps and parks the one that fails."""

    def __init__(self, booking_id: UUID, show: Show) -> None:
        self._booking_id = booking_id
        self._show = show
        self._undecided = False
        self._decision: Resolve | None = None
        self._verdict: Resolve | None = None
        self._wakes = 0
        self._stale = False
        self.question: tuple[Step, str] | None = None
        """What ops are asked, in a sentence, and the step to answer to."""
        self.parked: Step | None = None
        self.under_way = False
        """A step is being taken right now: Postgres may know more than this run has heard of."""

    async def perform(
        self,
        step: Step,
        attempt: Attempt[T],
        interruption: Interruption = uninterrupted,
        look_at: datetime | None = None,
    ) -> T:
        """Attempt `step` until it succeeds; a parked one looks for an interruption at `look_at` too.

        Raises:
            Abandoned: ops decided to abort, or `interruption` says the step is not wanted any more.
        """
        decision: Resolve | None = None
        round_number = 0
        while True:
            try:
                result = await self._take(attempt, decision)
            except ActivityError as error:
                wake_at = workflow.now() + slow_retry(round_number)
                if look_at and workflow.now() < look_at:
                    wake_at = min(wake_at, look_at)
                decision = await self._park(step, reason_of(error), wake_at, interruption)
                round_number += 1
            else:
                await self._unpark()
                return result

    async def _take(self, attempt: Attempt[T], decision: Resolve | None) -> T:
        self.under_way = True
        try:
            return await attempt(decision)
        finally:
            self.under_way = False

    @property
    def waits_for(self) -> Step | None:
        """What needs a person: the parked step before the open question."""
        return self.parked or self.asked

    @property
    def asked(self) -> Step | None:
        """The step of the open question."""
        return self.question[0] if self.question else None

    async def ask(self, step: Step, message: str) -> None:
        """Put a question to ops; it stays until `withdraw`, whatever else is done meanwhile."""
        if self.question == (step, message):
            return
        self.question = (step, message)
        await self._show_question()

    def answer(self, step: Step) -> Resolve | None:
        """What ops decided about the question `step`, once."""
        if not self.answered(step):
            return None
        verdict, self._verdict = self._verdict, None
        return verdict

    def answered(self, step: Step) -> bool:
        """Whether ops decided about the question `step`."""
        return self._verdict is not None and self._verdict.step is step

    async def withdraw(self) -> None:
        """The question is settled."""
        if self.question is not None:
            self.question = self._verdict = None  # whatever is decided now comes too late
            await self.clear()

    def wake(self) -> None:
        """Try whatever is parked again, now."""
        self._wakes += 1

    @property
    def wakes(self) -> int:
        """How often somebody wanted things tried again."""
        return self._wakes

    def check(self, resolve: Resolve) -> None:
        """Refuse a decision that does not fit what is parked.

        Raises:
            ApplicationError: of type `invalid_state` or `validation_failed`.
        """
        waiting = self._undecided_step
        if waiting is not resolve.step:
            raise ApplicationError(
                f"{waiting or 'No step'} waits for a decision, not {resolve.step}", type="invalid_state"
            )
        if resolve.action not in ACTIONS[resolve.step]:
            allowed = ", ".join(sorted(ACTIONS[resolve.step]))
            raise ApplicationError(f"{resolve.step} can only be resolved by {allowed}", type="invalid_state")
        if (resolve.action is Action.ADOPT) != bool(resolve.object_id):
            raise ApplicationError("adopt, and only adopt, names an object_id", type="validation_failed")
        if resolve.amount is not None and resolve.action is not Action.REFUND:
            raise ApplicationError("only refund names an amount", type="validation_failed")

    async def decide(self, resolve: Resolve) -> None:
        """Hand over a decision of ops and wait until it was taken up."""
        if self.parked is None:
            self._verdict = resolve
        else:
            self._undecided, self._decision = False, resolve
        await workflow.wait_condition(lambda: self._decision is not resolve and self._verdict is not resolve)

    @property
    def _undecided_step(self) -> Step | None:
        if self.parked is not None:
            return self.parked if self._undecided else None
        return self.asked if self._verdict is None else None

    async def _park(
        self, step: Step, message: str, retry_at: datetime, interruption: Interruption
    ) -> Resolve | None:
        wakes = self._wakes
        self.parked, self._undecided = step, True
        self._show(step, message, retry_at)
        await self._record(step, message)
        await wait_until(
            retry_at,
            lambda: bool(self._decided(step) or self._wakes != wakes or interruption()),
            f"automatic retry of {step}",
        )
        return await self._take_decision(step, interruption)

    def _decided(self, step: Step) -> Resolve | None:
        decision = self._decision
        return decision if decision and decision.step is step else None

    async def _take_decision(self, step: Step, interruption: Interruption) -> Resolve | None:
        self._undecided = False  # the step runs again: a decision would be about a failure that is past
        decision = self._decided(step)
        if decision:
            self._decision = None
        because = interruption()
        if decision and decision.action is Action.ABORT:
            because = Abandoned(StatusReason.CANCELLED_BY_OPS, decision.actor)
        if because and not (decision and decision.action is not Action.ABORT):
            await self._unpark()
            raise because
        return decision

    async def clear(self) -> None:
        """Nothing needs a person any more, whoever said so: an earlier run may have."""
        self.parked = None
        self._show(None, "", None)
        self._stale = not await self._record(None, None)

    async def _unpark(self) -> None:
        if self.parked is None and not self._stale:
            return
        if self.question is None:
            await self.clear()
        else:
            self.parked = None
            await self._show_question()

    async def _show_question(self) -> None:
        if self.question is not None:
            step, message = self.question
            self._show(step, message, None)
            self._stale = not await self._record(step, message)

    async def _record(self, step: Step | None, message: str | None) -> bool:
        note = AttentionNote(booking_id=self._booking_id, at=workflow.now(), step=step, message=message)
        try:
            await workflow.execute_activity_method(
                BookingSteps.record_attention,
                note,
                task_queue=BOOKINGS_QUEUE,
                start_to_close_timeout=ATTEMPT_TIMEOUT,
                schedule_to_close_timeout=RECORDING_WINDOW,
                retry_policy=FAST,
                summary=f"attention: {step or 'over'}",
            )
        except ActivityError:
            # The Temporal UI already tells; a database that is down must not hide the parked step.
            workflow.logger.warning("attention could not be recorded", extra={"step": step})
            return False
        return True
