"""The outbox of mails: rows written with the transition that they tell of, delivered by the relay."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, checked
from models.states import Role


class Notification(Base):
    """One mail to one person about one transition. Holds no name and no address: those are read at sending.

    `id` is derived from the transition, so that it can only be written once.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        Index(
            "ix_notifications_pending",
            "next_attempt_at",
            postgresql_where=text("sent_at IS NULL AND dropped_at IS NULL"),
        ),
        Index(None, "booking_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"))
    kind: Mapped[str] = mapped_column(Text)
    recipient: Mapped[Role] = mapped_column(checked(Role, "recipient"))
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    """Amounts and instants as they were at the transition."""
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    sent_at: Mapped[datetime | None]
    dropped_at: Mapped[datetime | None]
    """Not true any more when its time came: paid meanwhile, moved, cancelled."""
    last_error: Mapped[str | None] = mapped_column(Text)
