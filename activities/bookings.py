"""The seat: take it, put it before its provider, confirm it, move it, let it go."""

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.bookkeeping import settled
from activities.decisions import claim
from activities.errors import Failure, StepError
from activities.records import change, load
from activities.rescheduling import reschedule
from activities.seats import call_off, earlier, offer_of, remember_refusal, take_seat
from activities.standing import state
from activities.stripe_gateway import StripeGateway
from models import clock
from models.bookings import Booking
from models.database import Database
from models.states import TERMINAL_BOOKING, BookingStatus, SessionStatus, ends_as
from models.transitions import move
from settings import PolicyDefaults
from workflows.contracts import (
    Abandon,
    AttentionNote,
    BookingState,
    Do,
    Refusal,
    Reserve,
    Reserved,
    Settle,
    StartBooking,
)
from workflows.orders import Changed, Moving
from workflows.steps import BookingSteps


class BookingActivities(BookingSteps):
    """Implements `BookingSteps` on Postgres."""

    def __init__(self, database: Database, gateway: StripeGateway, defaults: PolicyDefaults) -> None:
        self._database = database
        self._gateway = gateway
        self._defaults = defaults

    @activity.defn
    async def reserve(self, step: Reserve) -> Reserved:
        """Take the seat, or answer with what an earlier attempt took or was refused."""
        request = step.request
        known = await self._database.run(lambda session: earlier(session, request.booking_id))
        if known:
            return known
        offer = await self._database.run(
            lambda session: offer_of(session, request.service_id, self._defaults)
        )
        if offer is None:
            return await self._refuse(request, Refusal.NOT_FOUND)
        if refusal := offer.objection(request):
            return await self._refuse(request, refusal)
        price = await self._gateway.retrieve_price(offer.service.price_id)
        if not price.active or price.unit_amount <= 0:
            return await self._refuse(request, Refusal.NOT_FOUND)
        return await self._database.run(lambda session: take_seat(session, step, offer, price))

    @activity.defn
    async def ask_approval(self, step: Do) -> BookingState:
        """Put the booking before its provider; the deadline is stored with it, once."""

        async def work(session: AsyncSession) -> BookingState:
            rows = await load(session, step.booking_id, lock=True)
            if rows.booking.status is BookingStatus.PENDING:
                due = clock.approval_due_at(
                    rows.policy, step.at, rows.session.starts_at, rows.payment.renew_at
                )
                context = change(step.booking_id, step.at)
                target = BookingStatus.AWAITING_APPROVAL
                await move(session, rows.booking, target, context, approval_due_at=due)
            return await state(session, step.booking_id)

        return await self._database.run(work)

    @activity.defn
    async def confirm(self, step: Do) -> BookingState:
        """Promote the drafts; `accepted_at` is the saga's instant. A class is its provider's to promote."""

        async def work(session: AsyncSession) -> BookingState:
            rows = await load(session, step.booking_id, lock=True)
            context = change(step.booking_id, step.at)
            if rows.booking.status not in TERMINAL_BOOKING:
                await move(session, rows.booking, BookingStatus.CONFIRMED, context, accepted_at=step.at)
                if rows.session.capacity == 1:
                    await move(session, rows.session, SessionStatus.SCHEDULED, context)
            return await state(session, step.booking_id)

        return await self._database.run(work)

    @activity.defn
    async def report(self, step: Settle) -> BookingState:
        """Note what one side claims, or the other says against it; nothing is decided by it."""

        async def work(session: AsyncSession) -> BookingState:
            rows = await load(session, step.booking_id, lock=True)
            claim(rows.booking, step.outcome)
            return await state(session, step.booking_id)

        return await self._database.run(work)

    @activity.defn
    async def reschedule(self, step: Moving) -> Changed:
        """Take the new slot and let the old one go; a refusal leaves everything as it was."""
        return await self._database.run(lambda session: reschedule(session, step))

    @activity.defn
    async def release(self, step: Abandon) -> BookingState | None:
        """End the booking for its reason; one that ended already, or never was, stays as it is."""

        async def work(session: AsyncSession) -> BookingState | None:
            if await call_off(session, step.booking_id):
                return None
            rows = await load(session, step.booking_id, lock=True)
            if rows.booking.status not in TERMINAL_BOOKING:
                if not await settled(session, rows, 0):
                    raise StepError(Failure.MONEY_NOT_SETTLED, "the client's money has not gone back yet")
                context = change(step.booking_id, step.at, step.actor, step.reason)
                target = ends_as(step.reason)
                await move(session, rows.booking, target, context, status_reason=step.reason)
                if rows.session.capacity == 1:
                    await move(session, rows.session, SessionStatus.CANCELLED, context)
            return await state(session, step.booking_id)

        return await self._database.run(work)

    @activity.defn
    async def record_attention(self, note: AttentionNote) -> None:
        """Show the parked step on the booking; a later note replaces it."""

        async def work(session: AsyncSession) -> None:
            since = func.coalesce(Booking.attention_since, note.at) if note.step else None
            await session.execute(
                update(Booking)
                .where(Booking.id == note.booking_id)
                .values(attention_step=note.step, attention_message=note.message, attention_since=since)
            )

        await self._database.run(work)

    async def _refuse(self, request: StartBooking, refusal: Refusal) -> Reserved:
        async def work(session: AsyncSession) -> Reserved:
            known = await earlier(session, request.booking_id)
            return known or await remember_refusal(session, request.booking_id, refusal)

        return await self._database.run(work)
