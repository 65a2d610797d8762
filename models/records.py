"""What was done and what was heard: writes to Stripe, Stripe's events, transitions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, checked
from models.states import OperationState, Role


class StripeOperation(Base):
    """One attempt at one write to Stripe, committed before the call (DESIGN section 4).

    `request` is frozen: a retry resends it, never a recomputed one.
    """

    __tablename__ = "stripe_operations"
    __table_args__ = (
        UniqueConstraint("kind", "row_id", "attempt"),
        # At most one attempt per row may be anything but definitely failed.
        Index(
            "uq_stripe_operations_live",
            "kind",
            "row_id",
            unique=True,
            postgresql_where=text("state <> 'FAILED'"),
        ),
        Index(None, "booking_id"),
    )

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    booking_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(Text)
    row_id: Mapped[UUID]
    attempt: Mapped[int]
    state: Mapped[OperationState] = mapped_column(checked(OperationState, "state"))
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    object_id: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    absent_since: Mapped[datetime | None]
    """First look-up that did not find the object after a stored server error."""
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """Stripe's clock is wall time, so this one is too: keys are forgotten after 24 hours of it."""
    finished_at: Mapped[datetime | None]


class StripeEvent(Base):
    """The inbox. Only ids are kept: the object is read again, its snapshot never trusted."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        Index("ix_stripe_events_pending", "next_attempt_at", postgresql_where=text("handled_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    account: Mapped[str | None] = mapped_column(Text)
    livemode: Mapped[bool]
    object_id: Mapped[str | None] = mapped_column(Text)
    payment_intent_id: Mapped[str | None] = mapped_column(Text)
    charge_id: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    handled_at: Mapped[datetime | None]
    result: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_error: Mapped[str | None] = mapped_column(Text)


class AuditEvent(Base):
    """One transition: who, from, to, why, when, and the Temporal run behind it."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "booking_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    booking_id: Mapped[UUID | None] = mapped_column(ForeignKey("bookings.id"))
    """None for a class: its session belongs to no booking."""
    entity: Mapped[str] = mapped_column(Text)
    entity_id: Mapped[UUID]
    from_status: Mapped[str | None] = mapped_column(Text)
    to_status: Mapped[str] = mapped_column(Text)
    actor_role: Mapped[Role] = mapped_column(checked(Role, "actor_role"))
    actor_id: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime]
    """By the saga's clock."""
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    workflow_run_id: Mapped[str | None] = mapped_column(Text)


class Finding(Base):
    """Something that an audit or the reconciler saw and will not repair by itself.

    `rule` and `subject` name it, so that seeing it again is not a second finding; it is resolved when
    a later look does not find it any more.
    """

    __tablename__ = "findings"
    __table_args__ = (UniqueConstraint("rule", "subject"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    rule: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    booking_id: Mapped[UUID | None]
    detail: Mapped[str] = mapped_column(Text)
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    resolved_at: Mapped[datetime | None]


class Cursor(Base):
    """How far a sweep of something outside has come."""

    __tablename__ = "cursors"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime]
