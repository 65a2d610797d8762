"""What the database must promise, by name: Alembic does not notice when a promise is dropped (DESIGN 6)."""

import re
from enum import StrEnum

import pytest
from sqlalchemy import text

from models import bookings, catalogue, ledger, notifications, payments, records
from models.base import Base
from models.catalogue import PayoutSchedule
from models.database import Database
from models.ledger import Account, JournalKind, Side
from models.policy import PaymentPlan
from models.states import (
    LIVE_SESSION,
    SEAT_HOLDING,
    BankPayoutStatus,
    BookingStatus,
    DisputeStatus,
    OperationState,
    PaymentStatus,
    PayoutStatus,
    RefundStatus,
    ReportedOutcome,
    Role,
    SessionStatus,
)

CHECKS = """
    ck_audit_events_actor_role
    ck_availability_rules_opens_first
    ck_availability_rules_weekday
    ck_availability_rules_within_a_day
    ck_bank_payouts_amount
    ck_bank_payouts_status
    ck_bookings_amount
    ck_bookings_cancelled_has_reason
    ck_bookings_claimed_by_role
    ck_bookings_claimed_outcome
    ck_bookings_contradicted_by_role
    ck_bookings_contradicted_outcome
    ck_bookings_outcome_status
    ck_bookings_plan
    ck_bookings_reported_outcome
    ck_bookings_status
    ck_disputes_amount
    ck_disputes_status
    ck_ledger_entries_account
    ck_ledger_entries_amount
    ck_ledger_entries_kind
    ck_ledger_entries_side
    ck_notifications_recipient
    ck_payments_amount
    ck_payments_captured_within_amount
    ck_payments_refunded_within_captured
    ck_payments_status
    ck_payouts_amount
    ck_payouts_platform_fee
    ck_payouts_status
    ck_provider_debts_raised
    ck_provider_debts_settled_within_raised
    ck_providers_payout_schedule
    ck_refunds_amount
    ck_refunds_requested_by_role
    ck_refunds_status
    ck_remarks_actor_role
    ck_services_amount
    ck_services_capacity
    ck_services_duration
    ck_sessions_capacity
    ck_sessions_ends_after_start
    ck_sessions_status
    ck_stripe_operations_state
    ck_transfer_reversals_amount
    ck_transfers_amount
    ck_transfers_reversed_within_amount
"""
UNIQUE = """
    uq_availability_rules_provider_id_weekday_opens_minute
    uq_bank_payouts_payout_id_number
    uq_bank_payouts_stripe_payout_id
    uq_clients_stripe_customer_id
    uq_disputes_dispute_id
    uq_findings_rule_subject
    uq_payments_booking_id_number
    uq_payments_charge_id
    uq_payments_payment_intent_id
    uq_payments_setup_intent_id
    uq_payouts_booking_id
    uq_payouts_transfer_id
    uq_providers_provider_no
    uq_providers_stripe_account_id
    uq_providers_subject
    uq_refunds_payment_id_number
    uq_refunds_refund_id
    uq_stripe_operations_kind_row_id_attempt
    uq_transfer_reversals_reversal_id
    uq_transfer_reversals_transfer_row_id_number
    uq_transfers_payout_id_number
    uq_transfers_transfer_id
"""
EXCLUDES = "EXCLUDE USING gist (int8range(provider_no, provider_no, '[]'::text) WITH &&, tstzrange(starts_at, ends_at) WITH &&)"
PARTIAL_UNIQUE = {
    "uq_bank_payouts_pending": {"PENDING"},
    "uq_bookings_session_client": {"AWAITING_APPROVAL", "CONFIRMED", "PENDING"},
    "uq_stripe_operations_live": {"FAILED"},
}
TRIGGERS = {
    "ledger_entries_balance": "AFTER INSERT",
    "ledger_entries_append_only": "BEFORE DELETE OR UPDATE",
    "ledger_entries_no_truncate": "BEFORE TRUNCATE",
}
ENUMS: dict[str, type[StrEnum]] = {
    "ck_audit_events_actor_role": Role,
    "ck_bank_payouts_status": BankPayoutStatus,
    "ck_bookings_claimed_by_role": Role,
    "ck_bookings_claimed_outcome": ReportedOutcome,
    "ck_bookings_contradicted_by_role": Role,
    "ck_bookings_contradicted_outcome": ReportedOutcome,
    "ck_bookings_outcome_status": BookingStatus,
    "ck_bookings_plan": PaymentPlan,
    "ck_bookings_reported_outcome": ReportedOutcome,
    "ck_bookings_status": BookingStatus,
    "ck_disputes_status": DisputeStatus,
    "ck_ledger_entries_account": Account,
    "ck_ledger_entries_kind": JournalKind,
    "ck_ledger_entries_side": Side,
    "ck_notifications_recipient": Role,
    "ck_payments_status": PaymentStatus,
    "ck_payouts_status": PayoutStatus,
    "ck_providers_payout_schedule": PayoutSchedule,
    "ck_refunds_requested_by_role": Role,
    "ck_refunds_status": RefundStatus,
    "ck_remarks_actor_role": Role,
    "ck_sessions_status": SessionStatus,
    "ck_stripe_operations_state": OperationState,
}
TABLES = (bookings, catalogue, ledger, notifications, payments, records)  # imported for their tables
CONSTRAINTS = (
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass AND contype = "
)
CHECK, UNIQUE_CONSTRAINT, EXCLUSION = (f"{CONSTRAINTS}'{kind}'" for kind in "cux")


async def named(database: Database, query: str) -> dict[str, str]:
    """Two columns of the catalogue, as a table."""
    async with database.engine.connect() as connection:
        return {row[0]: row[1] for row in await connection.execute(text(query))}


def values(definition: str) -> set[str]:
    return set(re.findall(r"'(\w+)'::", definition))


async def test_every_check_is_there_and_none_is_forgotten_here(database: Database) -> None:
    assert set(await named(database, CHECK)) == set(CHECKS.split())


async def test_every_unique_constraint_is_there(database: Database) -> None:
    assert set(await named(database, UNIQUE_CONSTRAINT)) == set(UNIQUE.split())


async def test_no_two_live_sessions_of_a_provider_may_overlap(database: Database) -> None:
    found = await named(database, EXCLUSION)
    assert set(found) == {"ex_sessions_provider_time"}
    excluded, _, where = found["ex_sessions_provider_time"].partition(" WHERE ")
    assert excluded == EXCLUDES
    assert values(where) == LIVE_SESSION


async def test_every_constraint_is_in_force(database: Database) -> None:
    lax = await named(database, "SELECT conname, contype FROM pg_constraint WHERE NOT convalidated")
    assert lax == {}


@pytest.mark.parametrize("name", ENUMS)
async def test_a_column_accepts_exactly_the_values_of_its_enum(database: Database, name: str) -> None:
    assert values((await named(database, CHECK))[name]) == {member.value for member in ENUMS[name]}


def test_every_column_that_holds_an_enum_is_named_here() -> None:
    checked = {
        f"ck_{table.name}_{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if hasattr(column.type, "enum_class")
    }
    assert checked == set(ENUMS)


async def test_uniqueness_that_depends_on_a_state_depends_on_the_right_states(database: Database) -> None:
    found = await named(
        database,
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE indisunique AND indpred IS NOT NULL AND indrelid::regclass::text NOT LIKE 'pg_%'",
    )
    assert {name: values(definition) for name, definition in found.items()} == PARTIAL_UNIQUE
    assert PARTIAL_UNIQUE["uq_bookings_session_client"] == SEAT_HOLDING
    assert "<>" in found["uq_stripe_operations_live"]


async def test_the_ledgers_triggers_are_there_and_switched_on(database: Database) -> None:
    found = await named(
        database,
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger "
        "WHERE NOT tgisinternal AND tgenabled = 'O' AND tgrelid = 'ledger_entries'::regclass",
    )
    assert set(found) == set(TRIGGERS)
    for name, moment in TRIGGERS.items():
        assert f"{name} {moment} ON public.ledger_entries" in found[name]
    assert "DEFERRABLE INITIALLY DEFERRED" in found["ledger_entries_balance"]


async def test_every_instant_knows_its_zone_and_every_amount_is_a_bigint(database: Database) -> None:
    columns = await named(
        database,
        "SELECT table_name || '.' || column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'public'",
    )
    assert not [name for name, kind in columns.items() if kind.startswith(("timestamp without", "real"))]
    assert not [name for name, kind in columns.items() if kind in {"double precision", "numeric", "money"}]
    amounts = {kind for name, kind in columns.items() if "amount" in name or name.endswith("platform_fee")}
    assert amounts == {"bigint"}
