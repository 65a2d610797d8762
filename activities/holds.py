"""The hold between the outcome and the payout: contested, extended, released, decided about."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.accounts import books_of
from activities.records import change, load
from activities.shares import freeze, is_coming, thaw
from activities.standing import has_open_dispute, state
from models import holds
from models.announcements import Kind
from models.database import Database
from models.outbox import announce
from models.payments import Payout
from models.records import AuditEvent
from models.states import PayoutStatus
from models.transitions import Change, IllegalMove
from workflows.contracts import BookingState
from workflows.orders import ChangeHold, Contest, HoldAction, Judge
from workflows.steps import HoldSteps

OBJECTED = "objection"


class HoldActivities(HoldSteps):
    """Implements `HoldSteps`. Nothing here speaks with Stripe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def contest(self, step: Contest) -> BookingState:
        """Freeze the hold because the client objects; what has been transferred cannot be contested."""
        context = change(step.booking_id, step.at, step.objection.actor, OBJECTED)

        async def work(session: AsyncSession) -> BookingState:
            rows = await load(session, step.booking_id, lock=True)
            payout, books = rows.payout, await books_of(session, rows)
            if payout is not None and is_coming(payout, books) and payout.objected_at is None:
                await _contest(session, payout, context)
            return await state(session, step.booking_id)

        return await self._database.run(work)

    @activity.defn
    async def change_hold(self, step: ChangeHold) -> BookingState:
        """Extend the hold, or let it end now.

        Raises:
            IllegalMove: a payout that is contested is not released.
        """
        order = step.order
        context = change(step.booking_id, step.at, order.actor, order.reason)

        async def work(session: AsyncSession) -> BookingState:
            payout = await _payout(session, step.booking_id)
            if payout is not None and order.action is HoldAction.RELEASE:
                await _release(session, payout, context)
            elif payout is not None and order.until is not None:
                _extend(session, payout, order.until, context)
            return await state(session, step.booking_id)

        return await self._database.run(work)

    @activity.defn
    async def judge(self, step: Judge) -> BookingState:
        """The objection is decided: the hold runs on, unless the bank contests too."""
        context = change(step.booking_id, step.at, step.verdict.actor, step.verdict.reason)

        async def work(session: AsyncSession) -> BookingState:
            payout = await _payout(session, step.booking_id)
            if payout is not None and payout.objected_at is not None:
                await _settle_objection(session, payout, context)
            return await state(session, step.booking_id)

        return await self._database.run(work)


async def _payout(session: AsyncSession, booking_id: UUID) -> Payout | None:
    return (await load(session, booking_id, lock=True)).payout


async def _contest(session: AsyncSession, payout: Payout, context: Change) -> None:
    if payout.status is PayoutStatus.FROZEN:  # by a dispute: its own mail told of that
        payout.objected_at = context.at
        _note(session, payout, context)
        await session.flush()
        await announce(session, Kind.OBJECTED, payout.booking_id, context.at, since=context.at)
    else:
        await freeze(session, payout, context, objected_at=context.at)


async def _release(session: AsyncSession, payout: Payout, context: Change) -> None:
    if payout.objected_at is not None or await has_open_dispute(session, payout.booking_id):
        raise IllegalMove(f"payout {payout.id} is contested: it cannot be released")
    await thaw(session, payout, context)
    if payout.status is PayoutStatus.HELD and payout.due_at > context.at:
        payout.due_at = context.at
        _note(session, payout, context)


def _extend(session: AsyncSession, payout: Payout, until: datetime, context: Change) -> None:
    """A hold only ever gets longer; of a frozen one the remainder does."""
    if payout.status is PayoutStatus.HELD and until > payout.due_at:
        payout.due_at = until
        _note(session, payout, context)
    elif payout.status is PayoutStatus.FROZEN:
        left = holds.seconds_left(until, context.at)
        if left > (payout.frozen_seconds or 0):
            payout.frozen_seconds = left
            _note(session, payout, context)


async def _settle_objection(session: AsyncSession, payout: Payout, context: Change) -> None:
    payout.objected_at = None
    _note(session, payout, context)
    if not await has_open_dispute(session, payout.booking_id):
        await thaw(session, payout, context)


def _note(session: AsyncSession, payout: Payout, context: Change) -> None:
    """Who changed the hold and why, where the status stays what it is."""
    session.add(
        AuditEvent(
            booking_id=payout.booking_id,
            entity="payout",
            entity_id=payout.id,
            from_status=payout.status,
            to_status=payout.status,
            actor_role=context.actor_role,
            actor_id=context.actor_id,
            reason=context.reason,
            at=context.at,
            workflow_run_id=context.run_id,
        )
    )
