"""Rows of bookings in any state, without a database: for what is pure."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.auth import Caller
from api.queries import BookingRecord
from models.bookings import Booking, Session
from models.payments import Payment, Payout
from models.policy import PaymentPlan, Policy
from models.states import BookingStatus, PaymentStatus, PayoutStatus, Role, SessionStatus

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
BOOKING_ID = UUID(int=1)
PROVIDER_ID = UUID(int=2)
AMOUNT = 12_000


def caller(role: Role) -> Caller:
    return Caller(role=role, subject=f"{role}-1")


def payout(status: PayoutStatus = PayoutStatus.HELD, **values: Any) -> Payout:
    given: dict[str, Any] = {
        "id": UUID(int=5),
        "booking_id": BOOKING_ID,
        "provider_id": PROVIDER_ID,
        "status": status,
        "amount": 9_600,
        "platform_fee": 2_400,
        "currency": "eur",
        "due_at": NOW + timedelta(hours=72),
        "debt_netted": 0,
    }
    return Payout(**given | values)


def record(
    status: BookingStatus = BookingStatus.CONFIRMED,
    payment_status: PaymentStatus = PaymentStatus.AUTHORIZED,
    paid: Payout | None = None,
    *,
    starts_in: timedelta = timedelta(hours=48),
    payment: dict[str, Any] | None = None,
    **values: Any,
) -> BookingRecord:
    """A booking of an hour; `values` are columns of its row, `payment` of its payment's."""
    starts_at = NOW + starts_in
    booking: dict[str, Any] = {
        "id": BOOKING_ID,
        "session_id": UUID(int=3),
        "service_id": UUID(int=6),
        "provider_id": PROVIDER_ID,
        "client_id": "client-1",
        "status": status,
        "policy": Policy().model_dump(mode="json"),
        "plan": PaymentPlan.AUTHORIZE_NOW,
        "price_id": "price_1",
        "amount": AMOUNT,
        "currency": "eur",
        "time_zone": "Europe/Berlin",
        "expires_at": NOW + timedelta(minutes=30),
        "completion_due_at": starts_at + timedelta(hours=25),
        "created_at": NOW - timedelta(hours=1),
    }
    session = Session(
        id=UUID(int=3),
        provider_id=PROVIDER_ID,
        provider_no=1,
        service_id=UUID(int=6),
        status=SessionStatus.SCHEDULED,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=1),
        capacity=1,
    )
    money: dict[str, Any] = {
        "id": UUID(int=4),
        "booking_id": BOOKING_ID,
        "number": 1,
        "status": payment_status,
        "amount": AMOUNT,
        "currency": "eur",
        "amount_captured": 0,
        "amount_refunded": 0,
    }
    row = Booking(**booking | values)
    return BookingRecord(row, session, Payment(**money | (payment or {})), paid)
