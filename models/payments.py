"""What the client pays, gets back, and what the provider earns. Amounts are minor units."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Timestamped, checked
from models.states import PaymentStatus, PayoutStatus, RefundStatus


class Payment(Timestamped, Base):
    """One PaymentIntent of a booking. The client secret is read from Stripe and never kept."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("amount_captured BETWEEN 0 AND amount", name="captured_within_amount"),
        CheckConstraint("amount_refunded BETWEEN 0 AND amount_captured", name="refunded_within_captured"),
        UniqueConstraint("booking_id", "number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"))
    number: Mapped[int] = mapped_column(default=1)
    status: Mapped[PaymentStatus] = mapped_column(checked(PaymentStatus, "status"))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    amount_captured: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_refunded: Mapped[int] = mapped_column(BigInteger, default=0)
    payment_intent_id: Mapped[str | None] = mapped_column(Text, unique=True)
    charge_id: Mapped[str | None] = mapped_column(Text, unique=True)
    capture_before: Mapped[datetime | None]
    """When the card network lets the authorization go."""


class Refund(Timestamped, Base):
    """Money on its way back to the client after capture."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        UniqueConstraint("payment_id", "number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"))
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"))
    number: Mapped[int] = mapped_column(default=1)
    status: Mapped[RefundStatus] = mapped_column(checked(RefundStatus, "status"))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    refund_id: Mapped[str | None] = mapped_column(Text, unique=True)


class Payout(Timestamped, Base):
    """The provider's share of one booking: held, then moved by Transfer."""

    __tablename__ = "payouts"
    __table_args__ = (
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("platform_fee >= 0", name="platform_fee"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"), unique=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    status: Mapped[PayoutStatus] = mapped_column(checked(PayoutStatus, "status"))
    amount: Mapped[int] = mapped_column(BigInteger)
    platform_fee: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime]
    stripe_account_id: Mapped[str | None] = mapped_column(Text)
    transfer_id: Mapped[str | None] = mapped_column(Text, unique=True)
