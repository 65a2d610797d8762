"""A provider's time and the seats in it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Timestamped, checked
from models.policy import PaymentPlan
from models.states import LIVE_SESSION, SEAT_HOLDING, BookingStatus, ReportedOutcome, Role, SessionStatus


def _in(statuses: frozenset[SessionStatus] | frozenset[BookingStatus]) -> str:
    return "status IN (" + ", ".join(f"'{status}'" for status in sorted(statuses)) + ")"


class Session(Timestamped, Base):
    """One block of a provider's time; no two live ones of a provider overlap."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        CheckConstraint("capacity > 0", name="capacity"),
        # A range over one number stands in for btree_gist, which the embedded Postgres lacks.
        ExcludeConstraint(
            (text("int8range(provider_no, provider_no, '[]')"), "&&"),
            (text("tstzrange(starts_at, ends_at)"), "&&"),
            where=text(_in(LIVE_SESSION)),
            name="ex_sessions_provider_time",
            using="gist",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    provider_no: Mapped[int] = mapped_column(BigInteger)
    service_id: Mapped[UUID] = mapped_column(ForeignKey("services.id"))
    status: Mapped[SessionStatus] = mapped_column(checked(SessionStatus, "status"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    capacity: Mapped[int]


class BookingRequest(Timestamped, Base):
    """What a client asked for, stored before its workflow starts (ADR 0004).

    Keeps the client's words out of workflow history, tells a repeated request from a different one
    under the same key, and remembers a refusal for as long as we live.
    """

    __tablename__ = "booking_requests"

    booking_id: Mapped[UUID] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    fingerprint: Mapped[str] = mapped_column(Text)
    notes: Mapped[str | None] = mapped_column(Text)
    refusal: Mapped[str | None] = mapped_column(Text)


class Booking(Timestamped, Base):
    """One client's seat, with the rules and the price it was made under."""

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("status <> 'CANCELLED' OR status_reason IS NOT NULL", name="cancelled_has_reason"),
        Index(
            "uq_bookings_session_client",
            "session_id",
            "client_id",
            unique=True,
            postgresql_where=text(_in(SEAT_HOLDING)),
        ),
        Index(None, "client_id", "created_at", "id"),
        Index(None, "provider_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    service_id: Mapped[UUID] = mapped_column(ForeignKey("services.id"))
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    status: Mapped[BookingStatus] = mapped_column(checked(BookingStatus, "status"))
    status_reason: Mapped[str | None] = mapped_column(Text)
    policy: Mapped[dict[str, Any]] = mapped_column(JSONB)
    plan: Mapped[PaymentPlan] = mapped_column(checked(PaymentPlan, "plan"))
    price_id: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime]
    """When the payment window ends."""
    grace_used: Mapped[bool] = mapped_column(default=False)
    completion_due_at: Mapped[datetime]
    """When the booking counts as completed if nobody says anything."""
    accepted_at: Mapped[datetime | None]
    reported_outcome: Mapped[ReportedOutcome | None] = mapped_column(
        checked(ReportedOutcome, "reported_outcome")
    )
    reported_by: Mapped[str | None] = mapped_column(Text)
    outcome_at: Mapped[datetime | None]
    outcome_status: Mapped[BookingStatus | None] = mapped_column(checked(BookingStatus, "outcome_status"))
    """Where the booking goes once the money that the outcome keeps is settled."""
    outcome_reason: Mapped[str | None] = mapped_column(Text)
    keep: Mapped[int | None] = mapped_column(BigInteger)
    """Minor units that the outcome keeps; decided once, then frozen."""
    approval_due_at: Mapped[datetime | None]
    """Until when the provider may accept or reject."""
    refund_cap_bps: Mapped[int | None]
    """The cancellation tier that the client had reached when it moved the booking."""
    claimed_outcome: Mapped[ReportedOutcome | None] = mapped_column(
        checked(ReportedOutcome, "claimed_outcome")
    )
    """A report that the other side may still contradict; it decides nothing until then."""
    claimed_by_role: Mapped[Role | None] = mapped_column(checked(Role, "claimed_by_role"))
    claimed_by_id: Mapped[str | None] = mapped_column(Text)
    claimed_at: Mapped[datetime | None]
    contradicted_outcome: Mapped[ReportedOutcome | None] = mapped_column(
        checked(ReportedOutcome, "contradicted_outcome")
    )
    """What the other side said to the claim; ops decide between the two."""
    contradicted_by_role: Mapped[Role | None] = mapped_column(checked(Role, "contradicted_by_role"))
    contradicted_by_id: Mapped[str | None] = mapped_column(Text)
    contradicted_at: Mapped[datetime | None]
    cancellation_note: Mapped[str | None] = mapped_column(Text)
    """What the person who cancelled had to say; kept out of workflow history."""
    attention_step: Mapped[str | None] = mapped_column(Text)
    attention_message: Mapped[str | None] = mapped_column(Text)
    attention_since: Mapped[datetime | None]


class Remark(Base):
    """What a person had to say about something they did; kept out of workflow history (TRAPS 43)."""

    __tablename__ = "remarks"
    __table_args__ = (Index(None, "booking_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"))
    about: Mapped[str] = mapped_column(Text)
    """The action's name: `reject`, `object`, `refund`, `hold`, …"""
    actor_role: Mapped[Role] = mapped_column(checked(Role, "actor_role"))
    actor_id: Mapped[str | None] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
