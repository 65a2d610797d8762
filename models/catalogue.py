"""Who sells, who books, and what can be booked."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Timestamped, checked


class PayoutSchedule(StrEnum):
    """Who sends a connected account's balance to its bank: Stripe by itself, or we."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class Provider(Timestamped, Base):
    """Sells time. `subject` is the `sub` of the provider's tokens."""

    __tablename__ = "providers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    provider_no: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    """A number for the exclusion constraint: plain Postgres can range over integers, not UUIDs."""
    subject: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text)
    country: Mapped[str] = mapped_column(Text)
    stripe_account_id: Mapped[str | None] = mapped_column(Text, unique=True)
    transfers_active: Mapped[bool] = mapped_column(default=False)
    payouts_enabled: Mapped[bool] = mapped_column(default=False)
    payout_schedule: Mapped[PayoutSchedule] = mapped_column(
        checked(PayoutSchedule, "payout_schedule"),
        default=PayoutSchedule.AUTOMATIC,
        server_default=PayoutSchedule.AUTOMATIC,
    )
    """Whether Stripe sends the account's balance to its bank by itself; set when the account is made."""


class AvailabilityRule(Base):
    """Weekly opening hours in the provider's zone, in minutes since local midnight (0 to 1440)."""

    __tablename__ = "availability_rules"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("opens_minute >= 0 AND opens_minute < closes_minute", name="opens_first"),
        CheckConstraint("closes_minute <= 1440", name="within_a_day"),
        UniqueConstraint("provider_id", "weekday", "opens_minute"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    weekday: Mapped[int]
    opens_minute: Mapped[int]
    closes_minute: Mapped[int]


class Client(Timestamped, Base):
    """Books and pays. The id is the `sub` of the client's tokens."""

    __tablename__ = "clients"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    stripe_customer_id: Mapped[str | None] = mapped_column(Text, unique=True)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Service(Timestamped, Base):
    """What can be booked. A Stripe Price never changes its amount, so it is kept beside its id."""

    __tablename__ = "services"
    __table_args__ = (
        CheckConstraint("duration_minutes > 0", name="duration"),
        CheckConstraint("capacity > 0", name="capacity"),
        CheckConstraint("amount > 0", name="amount"),
        Index(None, "provider_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    duration_minutes: Mapped[int]
    capacity: Mapped[int] = mapped_column(default=1)
    price_id: Mapped[str] = mapped_column(Text)
    product_id: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    policy: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    """Only what the service sets itself; defaults are filled in when a booking snapshots it."""
    active: Mapped[bool] = mapped_column(default=True)
