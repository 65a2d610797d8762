"""The whole life of a booking: disputes, reversals, debts, bank payouts, mails, findings.

Alembic writes the tables; by hand: the kinds of journals, which are a CHECK constraint that Alembic
does not compare, and the transfers that were made before they had a table of their own.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KINDS_BEFORE = ("capture", "stripe_fee", "refund", "allocation", "transfer")
KINDS = (
    *KINDS_BEFORE,
    "refund_failure",
    "dispute",
    "dispute_fee",
    "reversal",
    "netting",
    "debt",
    "debt_relief",
    "waiver",
)

TRANSFERS_SO_FAR = """
INSERT INTO transfers (id, booking_id, payout_id, number, amount, amount_reversed, currency, destination, transfer_id)
SELECT id, booking_id, id, 1, amount, 0, currency, coalesce(stripe_account_id, ''), transfer_id
FROM payouts
WHERE transfer_id IS NOT NULL
"""

# As `clock.renew_at` has it; the payment is about as old as its authorization.
AUTHORIZATIONS_SO_FAR = """
UPDATE payments
SET renew_at = capture_before - least(interval '12 hours', greatest(capture_before - created_at, interval '0') / 4)
WHERE status = 'AUTHORIZED' AND capture_before IS NOT NULL
"""


def allow_kinds(kinds: Sequence[str]) -> None:
    op.drop_constraint(op.f("ck_ledger_entries_kind"), "ledger_entries", type_="check")
    named = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_ledger_entries_kind"), "ledger_entries", f"kind IN ({named})")


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "findings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
        sa.UniqueConstraint("rule", "subject", name=op.f("uq_findings_rule_subject")),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "recipient",
            sa.Enum(
                "client",
                "provider",
                "ops",
                "system",
                name="recipient",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["booking_id"], ["bookings.id"], name=op.f("fk_notifications_booking_id_bookings")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    op.create_index(op.f("ix_notifications_booking_id"), "notifications", ["booking_id"], unique=False)
    op.create_index(
        "ix_notifications_pending",
        "notifications",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL AND dropped_at IS NULL"),
    )
    op.create_table(
        "provider_debts",
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("raised", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("raised >= 0", name=op.f("ck_provider_debts_raised")),
        sa.CheckConstraint(
            "settled BETWEEN 0 AND raised", name=op.f("ck_provider_debts_settled_within_raised")
        ),
        sa.ForeignKeyConstraint(
            ["booking_id"], ["bookings.id"], name=op.f("fk_provider_debts_booking_id_bookings")
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_provider_debts_provider_id_providers")
        ),
        sa.PrimaryKeyConstraint("booking_id", name=op.f("pk_provider_debts")),
    )
    op.create_index(
        op.f("ix_provider_debts_provider_id_currency"),
        "provider_debts",
        ["provider_id", "currency"],
        unique=False,
    )
    op.create_table(
        "remarks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column(
            "actor_role",
            sa.Enum(
                "client",
                "provider",
                "ops",
                "system",
                name="actor_role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("actor_id", sa.Text(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_remarks_booking_id_bookings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remarks")),
    )
    op.create_index(op.f("ix_remarks_booking_id_id"), "remarks", ["booking_id", "id"], unique=False)
    op.create_table(
        "bank_payouts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "PENDING",
                "PAID",
                "FAILED",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("stripe_payout_id", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_bank_payouts_amount")),
        sa.ForeignKeyConstraint(
            ["booking_id"], ["bookings.id"], name=op.f("fk_bank_payouts_booking_id_bookings")
        ),
        sa.ForeignKeyConstraint(
            ["payout_id"], ["payouts.id"], name=op.f("fk_bank_payouts_payout_id_payouts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_payouts")),
        sa.UniqueConstraint("payout_id", "number", name=op.f("uq_bank_payouts_payout_id_number")),
        sa.UniqueConstraint("stripe_payout_id", name=op.f("uq_bank_payouts_stripe_payout_id")),
    )
    op.create_index(op.f("ix_bank_payouts_booking_id"), "bank_payouts", ["booking_id"], unique=False)
    op.create_index(
        "uq_bank_payouts_pending",
        "bank_payouts",
        ["account"],
        unique=True,
        postgresql_where=sa.text("status = 'PENDING'"),
    )
    op.create_table(
        "disputes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "OPEN", "WON", "LOST", name="status", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_disputes_amount")),
        sa.ForeignKeyConstraint(
            ["booking_id"], ["bookings.id"], name=op.f("fk_disputes_booking_id_bookings")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_disputes_payment_id_payments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        sa.UniqueConstraint("dispute_id", name=op.f("uq_disputes_dispute_id")),
    )
    op.create_index(op.f("ix_disputes_booking_id"), "disputes", ["booking_id"], unique=False)
    op.create_table(
        "transfers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_reversed", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_transfers_amount")),
        sa.CheckConstraint(
            "amount_reversed BETWEEN 0 AND amount", name=op.f("ck_transfers_reversed_within_amount")
        ),
        sa.ForeignKeyConstraint(
            ["booking_id"], ["bookings.id"], name=op.f("fk_transfers_booking_id_bookings")
        ),
        sa.ForeignKeyConstraint(["payout_id"], ["payouts.id"], name=op.f("fk_transfers_payout_id_payouts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("payout_id", "number", name=op.f("uq_transfers_payout_id_number")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_transfers_transfer_id")),
    )
    op.create_index(op.f("ix_transfers_booking_id"), "transfers", ["booking_id"], unique=False)
    op.create_table(
        "transfer_reversals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("transfer_row_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reversal_id", sa.Text(), nullable=True),
        sa.Column("mirrored", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_transfer_reversals_amount")),
        sa.ForeignKeyConstraint(
            ["booking_id"], ["bookings.id"], name=op.f("fk_transfer_reversals_booking_id_bookings")
        ),
        sa.ForeignKeyConstraint(
            ["transfer_row_id"],
            ["transfers.id"],
            name=op.f("fk_transfer_reversals_transfer_row_id_transfers"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer_reversals")),
        sa.UniqueConstraint("reversal_id", name=op.f("uq_transfer_reversals_reversal_id")),
        sa.UniqueConstraint(
            "transfer_row_id", "number", name=op.f("uq_transfer_reversals_transfer_row_id_number")
        ),
    )
    op.create_index(
        op.f("ix_transfer_reversals_booking_id"), "transfer_reversals", ["booking_id"], unique=False
    )
    op.add_column("bookings", sa.Column("approval_due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("bookings", sa.Column("refund_cap_bps", sa.Integer(), nullable=True))
    op.add_column(
        "bookings",
        sa.Column(
            "claimed_outcome",
            sa.Enum(
                "completed",
                "client_no_show",
                "provider_no_show",
                "cancelled",
                name="claimed_outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
    )
    op.add_column(
        "bookings",
        sa.Column(
            "claimed_by_role",
            sa.Enum(
                "client",
                "provider",
                "ops",
                "system",
                name="claimed_by_role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
    )
    op.add_column("bookings", sa.Column("claimed_by_id", sa.Text(), nullable=True))
    op.add_column("bookings", sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "bookings",
        sa.Column(
            "contradicted_outcome",
            sa.Enum(
                "completed",
                "client_no_show",
                "provider_no_show",
                "cancelled",
                name="contradicted_outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
    )
    op.add_column(
        "bookings",
        sa.Column(
            "contradicted_by_role",
            sa.Enum(
                "client",
                "provider",
                "ops",
                "system",
                name="contradicted_by_role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
    )
    op.add_column("bookings", sa.Column("contradicted_by_id", sa.Text(), nullable=True))
    op.add_column("bookings", sa.Column("contradicted_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("ledger_entries", "booking_id", existing_type=sa.UUID(), nullable=True)
    op.alter_column("audit_events", "booking_id", existing_type=sa.UUID(), nullable=True)
    op.add_column(
        "providers",
        sa.Column(
            "payout_schedule",
            sa.Enum(
                "automatic",
                "manual",
                name="payout_schedule",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="automatic",
            nullable=False,
        ),
    )
    op.add_column("payments", sa.Column("renew_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("payments", sa.Column("setup_intent_id", sa.Text(), nullable=True))
    op.add_column("payments", sa.Column("payment_method_id", sa.Text(), nullable=True))
    op.add_column("payments", sa.Column("authorize_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("payments", sa.Column("fix_by", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "payments", sa.Column("replan", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("payments", sa.Column("cycle", sa.Integer(), server_default="1", nullable=False))
    op.create_unique_constraint(op.f("uq_payments_setup_intent_id"), "payments", ["setup_intent_id"])
    op.add_column("payouts", sa.Column("debt_netted", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("payouts", sa.Column("frozen_seconds", sa.Integer(), nullable=True))
    op.add_column("payouts", sa.Column("objected_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("payouts", sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "refunds", sa.Column("mirrored", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("refunds", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column(
        "refunds",
        sa.Column(
            "requested_by_role",
            sa.Enum(
                "client",
                "provider",
                "ops",
                "system",
                name="requested_by_role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
    )
    op.add_column("refunds", sa.Column("requested_by_id", sa.Text(), nullable=True))
    op.add_column("stripe_events", sa.Column("charge_id", sa.Text(), nullable=True))
    allow_kinds(KINDS)
    for statement in (TRANSFERS_SO_FAR, AUTHORIZATIONS_SO_FAR):
        op.execute(statement)


def downgrade() -> None:
    allow_kinds(KINDS_BEFORE)
    op.drop_column("stripe_events", "charge_id")
    op.drop_column("refunds", "requested_by_id")
    op.drop_column("refunds", "requested_by_role")
    op.drop_column("refunds", "reason")
    op.drop_column("refunds", "mirrored")
    op.drop_column("payouts", "blocked_at")
    op.drop_column("payouts", "objected_at")
    op.drop_column("payouts", "frozen_seconds")
    op.drop_column("payouts", "debt_netted")
    op.drop_constraint(op.f("uq_payments_setup_intent_id"), "payments", type_="unique")
    op.drop_column("payments", "cycle")
    op.drop_column("payments", "replan")
    op.drop_column("payments", "fix_by")
    op.drop_column("payments", "authorize_at")
    op.drop_column("payments", "payment_method_id")
    op.drop_column("payments", "setup_intent_id")
    op.drop_column("payments", "renew_at")
    op.drop_column("providers", "payout_schedule")
    op.alter_column("audit_events", "booking_id", existing_type=sa.UUID(), nullable=False)
    op.alter_column("ledger_entries", "booking_id", existing_type=sa.UUID(), nullable=False)
    op.drop_column("bookings", "contradicted_at")
    op.drop_column("bookings", "contradicted_by_id")
    op.drop_column("bookings", "contradicted_by_role")
    op.drop_column("bookings", "contradicted_outcome")
    op.drop_column("bookings", "claimed_at")
    op.drop_column("bookings", "claimed_by_id")
    op.drop_column("bookings", "claimed_by_role")
    op.drop_column("bookings", "claimed_outcome")
    op.drop_column("bookings", "refund_cap_bps")
    op.drop_column("bookings", "approval_due_at")
    op.drop_index(op.f("ix_transfer_reversals_booking_id"), table_name="transfer_reversals")
    op.drop_table("transfer_reversals")
    op.drop_index(op.f("ix_transfers_booking_id"), table_name="transfers")
    op.drop_table("transfers")
    op.drop_index(op.f("ix_disputes_booking_id"), table_name="disputes")
    op.drop_table("disputes")
    op.drop_index(
        "uq_bank_payouts_pending", table_name="bank_payouts", postgresql_where=sa.text("status = 'PENDING'")
    )
    op.drop_index(op.f("ix_bank_payouts_booking_id"), table_name="bank_payouts")
    op.drop_table("bank_payouts")
    op.drop_index(op.f("ix_remarks_booking_id_id"), table_name="remarks")
    op.drop_table("remarks")
    op.drop_index(op.f("ix_provider_debts_provider_id_currency"), table_name="provider_debts")
    op.drop_table("provider_debts")
    op.drop_index(
        "ix_notifications_pending",
        table_name="notifications",
        postgresql_where=sa.text("sent_at IS NULL AND dropped_at IS NULL"),
    )
    op.drop_index(op.f("ix_notifications_booking_id"), table_name="notifications")
    op.drop_table("notifications")
    op.drop_table("findings")
    op.drop_table("cursors")
