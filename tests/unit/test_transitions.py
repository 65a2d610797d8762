"""The one way a status changes, tried on every pair of states: legal moves happen, all others cannot."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from activities.bookings import BookingActivities
from activities.stripe_gateway import StripeGateway
from models.bookings import Booking, Session
from models.database import Database
from models.keys import row_id_for
from models.payments import BankPayout, Dispute, Payment, Payout, Refund
from models.records import AuditEvent
from models.states import BankPayoutStatus, BookingStatus, DisputeStatus, PayoutStatus, RefundStatus, Role
from models.transitions import MACHINES, Change, IllegalMove, Row, move
from settings import PolicyDefaults
from tests.support.shop import Shop
from workflows.contracts import Reserve

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Undone(Exception):
    """Leaves the transaction without a trace."""


@pytest.fixture
async def rows(shop: Shop, database: Database, gateway: StripeGateway) -> Callable[..., Any]:
    """Run work on a booking's row of a table, and take everything back."""
    request = await shop.asked(shop.request())
    await BookingActivities(database, gateway, PolicyDefaults()).reserve(Reserve(request=request, at=NOW))
    booking = await shop.booking(request.booking_id)
    payment = await shop.payment(request.booking_id)
    ids = {
        Booking: booking.id,
        Session: booking.session_id,
        Payment: payment.id,
        Refund: row_id_for(payment.id, "refund"),
        Payout: row_id_for(booking.id, "payout"),
        Dispute: row_id_for(payment.id, "dispute"),
        BankPayout: row_id_for(payment.id, "bank_payout"),
    }

    async def on(table: type[Row], work: Callable[[AsyncSession, Row, Change], Awaitable[None]]) -> None:
        async def then_undo(session: AsyncSession) -> None:
            for row in _money(booking, payment):
                session.add(row)
                await session.flush()
            await work(session, await session.get_one(table, ids[table]), Change(booking.id, NOW))
            raise Undone

        with pytest.raises(Undone):
            await database.run(then_undo)

    return on


def _money(booking: Booking, payment: Payment) -> list[Row]:
    money: dict[str, Any] = {"booking_id": booking.id, "amount": 1, "currency": "eur"}
    payout_id = row_id_for(booking.id, "payout")
    payout = Payout(
        id=payout_id,
        provider_id=booking.provider_id,
        status=PayoutStatus.HELD,
        platform_fee=0,
        due_at=NOW,
        **money,
    )
    refund = Refund(
        id=row_id_for(payment.id, "refund"), payment_id=payment.id, status=RefundStatus.PENDING, **money
    )
    dispute = Dispute(
        id=row_id_for(payment.id, "dispute"),
        payment_id=payment.id,
        status=DisputeStatus.OPEN,
        dispute_id=f"dp_{booking.id}",
        **money,
    )
    return [payout, refund, dispute, _bank_payout(payment, payout_id, money)]


def _bank_payout(payment: Payment, payout_id: UUID, money: dict[str, Any]) -> BankPayout:
    return BankPayout(
        id=row_id_for(payment.id, "bank_payout"),
        payout_id=payout_id,
        number=1,
        status=BankPayoutStatus.PENDING,
        account=f"acct_{payment.id}",
        **money,
    )


async def _put(session: AsyncSession, row: Row, status: Any) -> None:
    values = {"status": status} | ({"status_reason": "test"} if isinstance(row, Booking) else {})
    await session.execute(update(type(row)).where(type(row).id == row.id).values(**values))
    await session.refresh(row)


async def _audited(session: AsyncSession, row: Row) -> list[tuple[str | None, str]]:
    events = select(AuditEvent.from_status, AuditEvent.to_status).where(
        AuditEvent.entity_id == row.id, AuditEvent.from_status.is_not(None)
    )
    return [(source, target) for source, target in await session.execute(events.order_by(AuditEvent.id))]


@pytest.mark.parametrize("table", MACHINES, ids=lambda table: table.__name__)
async def test_the_database_allows_exactly_the_listed_moves(table: type[Row], rows: Any) -> None:
    _, moves = MACHINES[table]

    async def work(session: AsyncSession, row: Row, change: Change) -> None:
        legal = []
        for source in moves:
            for target in moves:
                if source is target:
                    continue
                await _put(session, row, source)
                if target in moves[source]:
                    assert await move(session, row, target, change)
                    legal.append((source, target))
                else:
                    with pytest.raises(IllegalMove):
                        await move(session, row, target, change)
                assert row.status is (target if target in moves[source] else source)
        assert await _audited(session, row) == legal

    await rows(table, work)


async def test_a_move_to_where_the_row_is_changes_and_records_nothing(rows: Any) -> None:
    async def work(session: AsyncSession, row: Row, change: Change) -> None:
        assert not await move(session, row, PayoutStatus.HELD, change, amount=99)
        assert (row.amount, await _audited(session, row)) == (1, [])  # type: ignore[union-attr]

    await rows(Payout, work)


async def test_somebody_who_was_faster_makes_the_move_illegal_though_our_copy_says_otherwise(
    rows: Any,
) -> None:
    async def work(session: AsyncSession, row: Row, change: Change) -> None:
        faster = update(Payout).where(Payout.id == row.id).values(status=PayoutStatus.CANCELLED)
        await session.execute(faster.execution_options(synchronize_session=False))
        assert row.status is PayoutStatus.HELD
        with pytest.raises(IllegalMove, match="cannot move from HELD to PROCESSING"):
            await move(session, row, PayoutStatus.PROCESSING, change)

    await rows(Payout, work)


async def test_the_audit_says_who_when_and_why(rows: Any) -> None:
    async def work(session: AsyncSession, row: Row, change: Change) -> None:
        by_ops = Change(change.booking_id, NOW, Role.OPS, "olga", "complaint", "run-1")
        await move(session, row, PayoutStatus.FROZEN, by_ops)
        event = (await session.scalars(select(AuditEvent).where(AuditEvent.entity_id == row.id))).one()
        told = (event.actor_role, event.actor_id, event.reason, event.at, event.workflow_run_id)
        assert told == (Role.OPS, "olga", "complaint", NOW, "run-1")
        assert (event.entity, event.from_status, event.to_status) == ("payout", "HELD", "FROZEN")

    await rows(Payout, work)


async def test_a_cancelled_booking_has_a_reason_or_is_not_cancelled(rows: Any) -> None:
    async def work(session: AsyncSession, row: Row, change: Change) -> None:
        with pytest.raises(Exception, match="cancelled_has_reason"):
            await move(session, row, BookingStatus.CANCELLED, change)

    await rows(Booking, work)
