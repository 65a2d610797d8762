"""What the client pays, gets back, and what the provider earns. Amounts are minor units."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Timestamped, checked
from models.states import BankPayoutStatus, DisputeStatus, PaymentStatus, PayoutStatus, RefundStatus, Role


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
    renew_at: Mapped[datetime | None]
    """When the authorization has to be captured or renewed, if the outcome is still to come."""
    setup_intent_id: Mapped[str | None] = mapped_column(Text, unique=True)
    payment_method_id: Mapped[str | None] = mapped_column(Text)
    """The saved card, good for charging off session."""
    authorize_at: Mapped[datetime | None]
    """When a saved card is to be authorized off session."""
    fix_by: Mapped[datetime | None]
    """Until when the client may repair a card that was refused off session."""
    replan: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The booking was moved beyond its authorization: let it go, keep the card."""
    cycle: Mapped[int] = mapped_column(default=1, server_default="1")
    """Counts the intents of a payment that was re-planned; the operations' row id follows from it."""


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
    mirrored: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Made in Stripe's dashboard, not by us."""
    reason: Mapped[str | None] = mapped_column(Text)
    requested_by_role: Mapped[Role | None] = mapped_column(checked(Role, "requested_by_role"))
    requested_by_id: Mapped[str | None] = mapped_column(Text)


class Dispute(Timestamped, Base):
    """A charge that the client's bank contests; its money is in the ledger, by balance transaction."""

    __tablename__ = "disputes"
    __table_args__ = (CheckConstraint("amount > 0", name="amount"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"), index=True)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"))
    status: Mapped[DisputeStatus] = mapped_column(checked(DisputeStatus, "status"))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    dispute_id: Mapped[str] = mapped_column(Text, unique=True)


class Payout(Timestamped, Base):
    """The provider's share of one booking: held, then moved by Transfer and, if asked, to the bank."""

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
    """The latest transfer."""
    debt_netted: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """How much of the share paid debts of earlier bookings."""
    frozen_seconds: Mapped[int | None]
    """What was left of the hold when it was frozen."""
    objected_at: Mapped[datetime | None]
    """The client contests; ops have not decided yet."""
    blocked_at: Mapped[datetime | None]


class ProviderTransfer(Timestamped, Base):
    """One transfer of a payout; a second one follows a reversal that turned out to be wrong."""

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("amount_reversed BETWEEN 0 AND amount", name="reversed_within_amount"),
        UniqueConstraint("payout_id", "number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"), index=True)
    payout_id: Mapped[UUID] = mapped_column(ForeignKey("payouts.id"))
    number: Mapped[int]
    amount: Mapped[int] = mapped_column(BigInteger)
    amount_reversed: Mapped[int] = mapped_column(BigInteger, default=0)
    currency: Mapped[str] = mapped_column(Text)
    destination: Mapped[str] = mapped_column(Text)
    transfer_id: Mapped[str | None] = mapped_column(Text, unique=True)


class TransferReversal(Timestamped, Base):
    """What came back of a transfer."""

    __tablename__ = "transfer_reversals"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        UniqueConstraint("transfer_row_id", "number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"), index=True)
    transfer_row_id: Mapped[UUID] = mapped_column(ForeignKey("transfers.id"))
    number: Mapped[int]
    amount: Mapped[int] = mapped_column(BigInteger)
    reversal_id: Mapped[str | None] = mapped_column(Text, unique=True)
    mirrored: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Made in Stripe's dashboard, not by us."""


class BankPayout(Timestamped, Base):
    """One attempt at sending a share from the connected account to its bank (manual schedule)."""

    __tablename__ = "bank_payouts"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        UniqueConstraint("payout_id", "number"),
        # One payout of an account at a time: two would race for one balance (TRAPS 26).
        Index(
            "uq_bank_payouts_pending",
            "account",
            unique=True,
            postgresql_where=text("status = 'PENDING'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"), index=True)
    payout_id: Mapped[UUID] = mapped_column(ForeignKey("payouts.id"))
    number: Mapped[int]
    status: Mapped[BankPayoutStatus] = mapped_column(checked(BankPayoutStatus, "status"))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(Text)
    stripe_payout_id: Mapped[str | None] = mapped_column(Text, unique=True)
    failure: Mapped[str | None] = mapped_column(Text)


class ProviderDebt(Timestamped, Base):
    """What a provider owes because of one booking; `settled` was netted from later payouts."""

    __tablename__ = "provider_debts"
    __table_args__ = (
        CheckConstraint("raised >= 0", name="raised"),
        CheckConstraint("settled BETWEEN 0 AND raised", name="settled_within_raised"),
        Index(None, "provider_id", "currency"),
    )

    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.id"), primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    currency: Mapped[str] = mapped_column(Text)
    raised: Mapped[int] = mapped_column(BigInteger)
    settled: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
