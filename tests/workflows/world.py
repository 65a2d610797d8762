"""The outside world of bookings, in memory: the saga's steps, and what may go wrong in them.

Each booking has its own `World`; the steps find it by the booking's id, so that one worker serves
every test. A world keeps what Postgres and Stripe would, acts idempotently as the real steps do,
and writes down every call with the workflow's own instant.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError

from models.money import split
from models.policy import PaymentPlan, Policy, cancellation_quote
from models.states import (
    MONEY_TAKEN,
    TERMINAL_BOOKING,
    BookingStatus,
    PaymentStatus,
    PayoutStatus,
    ReportedOutcome,
    SessionStatus,
)
from workflows.contracts import (
    Abandon,
    AttentionNote,
    BookingState,
    Do,
    Message,
    Refusal,
    Reserve,
    Reserved,
    Settle,
    StartBooking,
)
from workflows.steps import BookingSteps, PaymentSteps, PayoutSteps

T = TypeVar("T")

PRICE = 12_000
DURATION = timedelta(hours=1)
GRACE = timedelta(minutes=10)
SOON_SECONDS = 15
READ = {
    "requires_capture": PaymentStatus.AUTHORIZED,
    "succeeded": PaymentStatus.CAPTURED,
    "canceled": PaymentStatus.VOIDED,
}


def broken(kind: str = "StripeRejected", *, lasting: bool = True) -> ApplicationError:
    """A failure of a step; a lasting one parks at once, another is tried again in seconds."""
    return ApplicationError("made to fail", type=kind, non_retryable=lasting)


@dataclass
class Gate:
    """Keeps a step from going on: inside it, before or after it has acted."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_through(self) -> None:
        self.entered.set()
        await self.opened.wait()


@dataclass
class Trouble:
    """What happens to one call of a step: before it acts, or after (the caller never learns that it did)."""

    before: ApplicationError | None = None
    gate: Gate | None = None
    after: ApplicationError | None = None


@dataclass
class Call:
    step: str
    message: Message

    @property
    def at(self) -> datetime:
        """The saga's instant that came with the call."""
        at: datetime = getattr(self.message, "at", None) or self.message.outcome.at  # type: ignore[attr-defined]
        return at


@dataclass
class World:
    """One booking's rows and intent, and everything that was done to them."""

    starts_at: datetime
    policy: Policy = field(default_factory=Policy)
    refusal: Refusal | None = None
    booking_id: UUID = field(default_factory=uuid4)
    state: BookingState | None = None
    intent: str | None = None
    adopted: str | None = None
    card_refused: bool = False
    grace_used: bool = False
    captured: int = 0
    refunded: int = 0
    transferred: list[int] = field(default_factory=list)
    decided: tuple[BookingStatus, int, datetime] | None = None
    calls: list[Call] = field(default_factory=list)
    troubles: dict[str, deque[Trouble]] = field(default_factory=lambda: defaultdict(deque))
    gates: list[Gate] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def request(self) -> StartBooking:
        return StartBooking(
            booking_id=self.booking_id, client_id="client", service_id=uuid4(), starts_at=self.starts_at
        )

    @property
    def booking(self) -> BookingState:
        assert self.state is not None
        return self.state

    @property
    def payout_due_at(self) -> datetime:
        assert self.booking.payout_due_at is not None
        return self.booking.payout_due_at

    # --- what a test does to it -------------------------------------------------------------

    def fails(self, step: str, *, times: int = 1, error: ApplicationError | None = None) -> None:
        self.troubles[step].extend([Trouble(before=error or broken())] * times)

    def loses_its_answer(self, step: str) -> None:
        """The step acts, and nobody learns of it: as after a timeout."""
        self.troubles[step].append(Trouble(after=broken("StripeIndeterminate")))

    def stops_in(self, step: str) -> Gate:
        gate = Gate()
        self.gates.append(gate)
        self.troubles[step].append(Trouble(gate=gate))
        return gate

    def opens_every_gate(self) -> None:
        for gate in self.gates:
            gate.opened.set()

    def steps(self, *names: str) -> list[str]:
        """The steps that were called, in order; only those of `names`, if there are any."""
        return [call.step for call in self.calls if not names or call.step in names]

    def call(self, step: str) -> Call:
        """The latest call of `step`."""
        return [call for call in self.calls if call.step == step][-1]

    async def reached(self, step: str, times: int = 1) -> None:
        """Until `step` was called so often."""
        async with asyncio.timeout(SOON_SECONDS), self.changed:
            await self.changed.wait_for(lambda: self.steps().count(step) >= times)

    # --- what the saga does to it -------------------------------------------------------------

    async def perform(self, step: str, message: Message, act: Callable[[], T]) -> T:
        async with self.changed:
            self.calls.append(Call(step, message))
            self.changed.notify_all()
        trouble = self.troubles[step].popleft() if self.troubles[step] else Trouble()
        if trouble.before:
            raise trouble.before
        if trouble.gate:
            await trouble.gate.pass_through()
        result = act()
        if trouble.after:
            raise trouble.after
        return result

    def update(self, **values: Any) -> BookingState:
        self.state = self.booking.model_copy(update=values)
        return self.state

    def reserve(self, step: Reserve) -> Reserved:
        if self.refusal:
            return Reserved(refusal=self.refusal)
        if self.state is None:
            ends_at = self.starts_at + DURATION
            charge_now = self.policy.capture == "on_payment"
            self.state = BookingState(
                booking_id=self.booking_id,
                provider_id=uuid4(),
                service_id=step.request.service_id,
                session_id=uuid4(),
                status=BookingStatus.PENDING,
                session_status=SessionStatus.DRAFT,
                amount=PRICE,
                currency="eur",
                plan=PaymentPlan.CHARGE_NOW if charge_now else PaymentPlan.AUTHORIZE_NOW,
                starts_at=self.starts_at,
                ends_at=ends_at,
                expires_at=step.at + self.policy.payment_window,
                completion_due_at=ends_at + self.policy.completion_grace,
                payment_status=PaymentStatus.PENDING,
            )
        return Reserved(booking=self.state)

    def open_payment(self, step: Do) -> BookingState:
        if self.intent is None and self.booking.status not in TERMINAL_BOOKING:
            self.intent, self.adopted = "requires_payment_method", step.adopt
        return self.update(payment_opened=self.intent is not None)

    def read_payment(self, _: Do) -> BookingState:
        self._record()
        refused = self.policy.strict_payment_failure and self.card_refused
        # Only this answer says so; it is not stored.
        return self.booking.model_copy(update={"payment_refused": refused})

    def close_payment(self, step: Do) -> BookingState:
        if self.intent in ("processing", "requires_action") and not self.grace_used:
            self.grace_used = True
            return self.update(expires_at=step.at + GRACE)
        if self.intent not in READ:
            self.intent = "canceled"
        return self._record()

    def confirm(self, _: Do) -> BookingState:
        if self.booking.status is BookingStatus.PENDING:
            self.update(status=BookingStatus.CONFIRMED, session_status=SessionStatus.SCHEDULED)
        return self.booking

    def give_back(self, step: Abandon) -> BookingState | None:
        if self.state is None or self.booking.status in TERMINAL_BOOKING:
            return None
        self.decided = (BookingStatus.CANCELLED, 0, step.at)
        self._keep(0)
        return self.update(reported_outcome=ReportedOutcome.CANCELLED, outcome_reason=step.reason)

    def release(self, step: Abandon) -> BookingState | None:
        if self.state is None:
            return None
        if self.booking.status not in TERMINAL_BOOKING:
            self.update(
                status=BookingStatus.CANCELLED,
                status_reason=step.reason,
                session_status=SessionStatus.CANCELLED,
            )
        return self.booking

    def settle(self, step: Settle) -> BookingState:
        if self.booking.status in TERMINAL_BOOKING:
            return self.booking
        outcome = step.outcome
        if self.decided is None:
            self.decided = (*self._quote(step), outcome.at)
            self.update(reported_outcome=outcome.kind, outcome_reason=outcome.reason)
        status, keep, at = self.decided
        self._keep(keep)
        if keep:
            share = split(keep, self.policy.platform_fee_bps, "eur").provider_share
            due_at = at + self.policy.payout_hold
            self.update(payout_status=PayoutStatus.HELD, payout_amount=share, payout_due_at=due_at)
        return self.update(status=status, status_reason=self.booking.outcome_reason)

    def pay_out(self, step: Do) -> BookingState:
        if self.booking.payout_status is PayoutStatus.PAID:
            return self.booking
        self.adopted = step.adopt or self.adopted
        self.transferred.append(self.booking.payout_amount or 0)
        return self.update(payout_status=PayoutStatus.PAID)

    def note(self, note: AttentionNote) -> None:
        if self.state is not None:
            self.update(attention=note.step is not None)

    def _quote(self, step: Settle) -> tuple[BookingStatus, int]:
        outcome = step.outcome
        if outcome.kind is ReportedOutcome.COMPLETED:
            return BookingStatus.COMPLETED, PRICE
        quote = cancellation_quote(
            self.policy,
            actor=outcome.actor.role,
            amount=PRICE,
            currency="eur",
            starts_at=self.starts_at,
            zone="UTC",
            now=outcome.at,
        )
        return quote.booking_status, quote.keep

    def _record(self) -> BookingState:
        status = READ.get(self.intent or "")
        if status is None or self.booking.payment_status in MONEY_TAKEN:
            return self.booking
        if status is PaymentStatus.CAPTURED:
            self.captured = PRICE
        return self.update(payment_status=status)

    def _keep(self, keep: int) -> None:
        if self.intent == "succeeded":
            self.captured = PRICE
            self.refunded = self.captured - keep
            whole, part = PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED
            status = PaymentStatus.CAPTURED if keep == PRICE else (part if keep else whole)
        elif keep:
            self.intent, self.captured, status = "succeeded", keep, PaymentStatus.CAPTURED
        else:
            self.intent, status = "canceled", PaymentStatus.VOIDED
        self.update(payment_status=status)


class Steps(BookingSteps, PaymentSteps, PayoutSteps):
    """The saga's activities, each played in the world of its booking."""

    def __init__(self) -> None:
        self.worlds: dict[UUID, World] = {}

    @activity.defn
    async def reserve(self, step: Reserve) -> Reserved:
        world = self.worlds[step.request.booking_id]
        return await world.perform("reserve", step, lambda: world.reserve(step))

    @activity.defn
    async def confirm(self, step: Do) -> BookingState:
        world = self.worlds[step.booking_id]
        return await world.perform("confirm", step, lambda: world.confirm(step))

    @activity.defn
    async def release(self, step: Abandon) -> BookingState | None:
        world = self.worlds[step.booking_id]
        return await world.perform("release", step, lambda: world.release(step))

    @activity.defn
    async def record_attention(self, note: AttentionNote) -> None:
        world = self.worlds[note.booking_id]
        await world.perform(f"attention {note.step or 'over'}", note, lambda: world.note(note))

    @activity.defn
    async def open_payment(self, step: Do) -> BookingState:
        world = self.worlds[step.booking_id]
        return await world.perform("open_payment", step, lambda: world.open_payment(step))

    @activity.defn
    async def read_payment(self, step: Do) -> BookingState:
        world = self.worlds[step.booking_id]
        return await world.perform("read_payment", step, lambda: world.read_payment(step))

    @activity.defn
    async def close_payment(self, step: Do) -> BookingState:
        world = self.worlds[step.booking_id]
        return await world.perform("close_payment", step, lambda: world.close_payment(step))

    @activity.defn
    async def give_back(self, step: Abandon) -> BookingState | None:
        world = self.worlds[step.booking_id]
        return await world.perform("give_back", step, lambda: world.give_back(step))

    @activity.defn
    async def settle(self, step: Settle) -> BookingState:
        world = self.worlds[step.booking_id]
        return await world.perform("settle", step, lambda: world.settle(step))

    @activity.defn
    async def pay_out(self, step: Do) -> BookingState:
        world = self.worlds[step.booking_id]
        return await world.perform("pay_out", step, lambda: world.pay_out(step))

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [
            self.reserve,
            self.confirm,
            self.release,
            self.record_attention,
            self.open_payment,
            self.read_payment,
            self.close_payment,
            self.give_back,
            self.settle,
            self.pay_out,
        ]
