"""The invariants of an audit as queries, each under its own name.

Every query answers with what violates its rule: a subject, the booking behind it, and a sentence for
people. `:busy` are bookings whose workflow is at work right now: what is only true once they have
finished is not asked of them.
"""

# ruff: noqa: S608 - only our own vocabularies are put into these queries

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from activities.findings import STEP
from models.states import (
    LIVE_SESSION,
    MONEY_TAKEN,
    PAYMENT_OPEN,
    PAYOUT_OPEN,
    SEAT_HOLDING,
    TERMINAL_BOOKING,
)
from models.transitions import MACHINES


def _in(statuses: Collection[StrEnum]) -> str:
    return "(" + ", ".join(f"'{status}'" for status in sorted(statuses)) + ")"


SIGNED: Final = "CASE WHEN side = 'debit' THEN amount ELSE -amount END"
FINISHED: Final = f"""b.status IN {_in(TERMINAL_BOOKING)} AND b.id <> ALL(:busy) AND NOT EXISTS (
    SELECT FROM payouts p WHERE p.booking_id = b.id AND p.status IN {_in(PAYOUT_OPEN)})"""

MOVED: Final = f"""
SELECT booking_id,
    coalesce(sum({SIGNED}) FILTER (WHERE kind = 'capture'), 0) AS captured,
    -coalesce(sum({SIGNED}) FILTER (WHERE kind IN ('refund', 'refund_failure')), 0) AS refunded,
    -coalesce(sum({SIGNED}) FILTER (WHERE kind = 'dispute'), 0) AS disputed,
    -coalesce(sum({SIGNED}) FILTER (WHERE kind = 'transfer'), 0) AS transferred,
    coalesce(sum({SIGNED}) FILTER (WHERE kind = 'reversal'), 0) AS reversed
FROM ledger_entries WHERE account = 'stripe_balance' AND booking_id IS NOT NULL GROUP BY booking_id
"""
"""What the ledger says has moved at Stripe, per booking."""

ONE_JOURNAL: Final = f"""
SELECT o.id AS subject, o.booking_id, o.kind || ' of ' || o.amount || ' has journals of '
    || coalesce((SELECT string_agg(abs(l.moved)::text, ', ') FROM (
        SELECT sum({SIGNED}) AS moved FROM ledger_entries
        WHERE kind = o.kind AND stripe_object_id = o.id AND account = 'stripe_balance' GROUP BY journal_id
    ) l), 'nothing') AS detail
FROM (
    SELECT 'capture' AS kind, charge_id AS id, booking_id, amount_captured AS amount FROM payments
        WHERE status IN {_in(MONEY_TAKEN)}
    UNION ALL
    SELECT 'refund', refund_id, booking_id, amount FROM refunds WHERE status = 'SUCCEEDED'
    UNION ALL
    SELECT 'transfer', transfer_id, booking_id, amount FROM transfers WHERE transfer_id IS NOT NULL
    UNION ALL
    SELECT 'reversal', reversal_id, booking_id, amount FROM transfer_reversals WHERE reversal_id IS NOT NULL
) o
WHERE ARRAY[o.amount::numeric] IS DISTINCT FROM (SELECT array_agg(abs(moved)) FROM (
    SELECT sum({SIGNED}) AS moved FROM ledger_entries
    WHERE kind = o.kind AND stripe_object_id = o.id AND account = 'stripe_balance' GROUP BY journal_id) l)
"""

NO_OBJECT: Final = """
SELECT e.stripe_object_id AS subject, e.booking_id, e.kind || ' is on the books for no row of ours' AS detail
FROM ledger_entries e
WHERE e.booking_id IS NOT NULL AND e.account = 'stripe_balance' AND (
    (e.kind = 'capture' AND NOT EXISTS (SELECT FROM payments WHERE charge_id = e.stripe_object_id))
    OR (e.kind = 'refund' AND NOT EXISTS (SELECT FROM refunds WHERE refund_id = e.stripe_object_id))
    OR (e.kind = 'transfer' AND NOT EXISTS (SELECT FROM transfers WHERE transfer_id = e.stripe_object_id))
    OR (e.kind = 'reversal'
        AND NOT EXISTS (SELECT FROM transfer_reversals WHERE reversal_id = e.stripe_object_id)))
"""

QUERIES: Final[dict[str, tuple[str, ...]]] = {
    "I1 journals balance": (
        f"""
        SELECT journal_id::text AS subject, (array_agg(booking_id))[1] AS booking_id,
            'off by ' || sum({SIGNED}) || ' ' || currency AS detail
        FROM ledger_entries GROUP BY journal_id, currency HAVING sum({SIGNED}) <> 0 OR min(amount) <= 0
        """,
    ),
    "I2 books and rows agree": (
        f"""
        WITH moved AS ({MOVED}),
        paid AS (SELECT booking_id, sum(amount_captured) AS captured, sum(amount_refunded) AS refunded
            FROM payments GROUP BY booking_id),
        sent AS (SELECT booking_id, sum(amount) FILTER (WHERE transfer_id IS NOT NULL) AS transferred,
            sum(amount_reversed) AS reversed FROM transfers GROUP BY booking_id)
        SELECT paid.booking_id::text AS subject, paid.booking_id,
            'the ledger has captured ' || coalesce(m.captured, 0) || ', refunded ' || coalesce(m.refunded, 0)
            || ', transferred ' || coalesce(m.transferred, 0) || ', reversed ' || coalesce(m.reversed, 0)
            || '; the rows ' || paid.captured || ', ' || paid.refunded || ', '
            || coalesce(s.transferred, 0) || ', ' || coalesce(s.reversed, 0) AS detail
        FROM paid LEFT JOIN moved m USING (booking_id) LEFT JOIN sent s USING (booking_id)
        WHERE (coalesce(m.captured, 0), coalesce(m.refunded, 0),
            coalesce(m.transferred, 0), coalesce(m.reversed, 0))
            IS DISTINCT FROM
            (paid.captured, paid.refunded, coalesce(s.transferred, 0), coalesce(s.reversed, 0))
        """,
    ),
    "I2 nothing is held in the end": (
        f"""
        SELECT b.id::text AS subject, b.id AS booking_id,
            'still held: ' || string_agg(e.account || ' ' || e.total, ', ') AS detail
        FROM bookings b JOIN (
            SELECT booking_id, account, currency, -sum({SIGNED}) AS total FROM ledger_entries
            WHERE account IN ('held', 'provider_payable') GROUP BY booking_id, account, currency
        ) e ON e.booking_id = b.id AND e.total <> 0
        WHERE {FINISHED} GROUP BY b.id
        """,
        f"""
        SELECT 'strays ' || currency AS subject, NULL::uuid AS booking_id,
            'held for no booking: ' || -sum({SIGNED}) AS detail
        FROM ledger_entries WHERE booking_id IS NULL AND account = 'held'
        GROUP BY currency HAVING sum({SIGNED}) <> 0
        """,
    ),
    "I3 nobody is paid twice": (
        f"""
        SELECT b.id::text AS subject, b.id AS booking_id,
            (m.transferred - m.reversed - coalesce(d.settled, 0)) || ' of ' || m.captured
                || ' is with the provider' AS detail
        FROM bookings b JOIN ({MOVED}) m ON m.booking_id = b.id
        LEFT JOIN provider_debts d ON d.booking_id = b.id
        WHERE m.transferred - m.reversed - coalesce(d.settled, 0) > m.captured
        """,
        """
        SELECT b.id::text AS subject, b.id AS booking_id,
            count(*) || ' transfers of which nothing came back' AS detail
        FROM transfers t JOIN bookings b ON b.id = t.booking_id
        WHERE t.transfer_id IS NOT NULL AND t.amount_reversed = 0
            AND NOT EXISTS (SELECT FROM provider_debts d WHERE d.booking_id = b.id)
            AND NOT EXISTS (SELECT FROM ledger_entries l WHERE l.booking_id = b.id AND l.side = 'debit'
                AND l.account = 'stripe_balance' AND l.kind IN ('refund_failure', 'dispute'))
        GROUP BY b.id HAVING count(*) > 1
        """,
    ),
    "I4 an end keeps what was decided": (
        f"""
        SELECT b.id::text AS subject, b.id AS booking_id,
            'kept ' || k.kept || ' instead of ' || coalesce(b.keep, 0) AS detail
        FROM bookings b JOIN (
            SELECT p.booking_id, sum(p.amount_captured - p.amount_refunded) - coalesce(max(m.disputed), 0) AS kept
            FROM payments p LEFT JOIN ({MOVED}) m USING (booking_id) GROUP BY p.booking_id
        ) k ON k.booking_id = b.id
        WHERE b.status IN ('CANCELLED', 'REJECTED') AND {FINISHED} AND k.kept > coalesce(b.keep, 0)
        """,
        f"""
        SELECT p.id::text AS subject, b.id AS booking_id,
            'the booking is ' || b.status || ', its payment ' || p.status AS detail
        FROM bookings b JOIN payments p ON p.booking_id = b.id
        WHERE b.status IN {_in(TERMINAL_BOOKING)} AND p.status IN {_in(PAYMENT_OPEN)} AND b.id <> ALL(:busy)
        """,
    ),
    "I5 no time is sold twice": (
        f"""
        SELECT a.id::text AS subject, NULL::uuid AS booking_id, 'overlaps with session ' || b.id AS detail
        FROM sessions a JOIN sessions b ON a.provider_id = b.provider_id AND a.id < b.id
            AND tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)
        WHERE a.status IN {_in(LIVE_SESSION)} AND b.status IN {_in(LIVE_SESSION)}
        """,
        f"""
        SELECT s.id::text AS subject, NULL::uuid AS booking_id,
            count(*) || ' seats are taken of ' || s.capacity AS detail
        FROM sessions s JOIN bookings b ON b.session_id = s.id AND b.status IN {_in(SEAT_HOLDING)}
        GROUP BY s.id, s.capacity HAVING count(*) > s.capacity
        """,
    ),
    "I6 one journal for each object": (ONE_JOURNAL, NO_OBJECT),
    "I8 paid out only after the hold": (
        """
        SELECT p.id::text AS subject, p.booking_id,
            'paid out at ' || e.at || ', due at ' || p.due_at AS detail
        FROM payouts p JOIN bookings b ON b.id = p.booking_id
        JOIN LATERAL (SELECT min(at) AS at FROM audit_events
            WHERE entity = 'payout' AND entity_id = p.id AND to_status = 'PROCESSING') e ON e.at IS NOT NULL
        WHERE e.at < least(p.due_at, b.outcome_at + (b.policy ->> 'payout_hold')::interval)
        """,
    ),
    "I9 nothing is booked twice": (
        """
        SELECT kind || ' ' || stripe_object_id AS subject, (array_agg(booking_id))[1] AS booking_id,
            count(DISTINCT journal_id) || ' journals for one object' AS detail
        FROM ledger_entries WHERE stripe_object_id IS NOT NULL
        GROUP BY kind, stripe_object_id HAVING count(DISTINCT journal_id) > 1
        """,
    ),
    "I11 no more goes back than came": (
        f"""
        SELECT m.booking_id::text AS subject, m.booking_id,
            'refunded ' || m.refunded || ' of ' || m.captured AS detail
        FROM ({MOVED}) m WHERE m.refunded > m.captured
        """,
        f"""
        SELECT b.id::text AS subject, b.id AS booking_id,
            'given back after the payout, and ' || e.total || ' not reversed, nor owed' AS detail
        FROM bookings b JOIN (SELECT booking_id, sum({SIGNED}) AS total FROM ledger_entries
            WHERE account = 'provider_payable' GROUP BY booking_id) e ON e.booking_id = b.id
        WHERE e.total > 0 AND {FINISHED}
        """,
    ),
}

EDGES: Final = "I7 states move along their edges"
STUCK: Final = "I10 nothing is silently stuck"
RULES: Final = (*QUERIES, EDGES, STUCK)

MACHINE_NAMES: Final = ", ".join(f"'{entity}'" for entity, _ in MACHINES.values())
CHAIN: Final = f"""
SELECT entity, entity_id, (array_agg(booking_id))[1] AS booking_id,
    array_agg(from_status ORDER BY id) AS sources, array_agg(to_status ORDER BY id) AS targets
FROM audit_events
WHERE entity IN ({MACHINE_NAMES}) AND (from_status IS DISTINCT FROM to_status OR reason IS NULL)
GROUP BY entity, entity_id
"""
"""What each thing went through. A debt has no states, and where a person gives a reason for leaving a
thing where it is (a hold extended or released) nothing moves."""

STANDS: Final = " UNION ALL ".join(
    f"SELECT '{entity}' AS entity, id, status FROM {table.__tablename__}"
    for table, (entity, _) in MACHINES.items()
)
UNEXPLAINED: Final = f"""
SELECT r.id::text AS subject, e.booking_id, r.entity || ' is ' || r.status || ', its last transition was to '
    || e.to_status AS detail
FROM ({STANDS}) r JOIN (
    SELECT DISTINCT ON (entity, entity_id) entity, entity_id, booking_id, to_status
    FROM audit_events ORDER BY entity, entity_id, id DESC
) e ON e.entity = r.entity AND e.entity_id = r.id
WHERE e.to_status <> r.status
"""

AT_THE_BANK: Final = "interval '14 days'"
"""So long a transfer may wait for funds, or for its bank, before somebody has to look (TRAPS 31)."""

LATE: Final = f"""
SELECT b.id::text AS subject, b.id AS booking_id, 'the booking is ' || b.status || ', '
    || CASE WHEN p.status IS NULL THEN 'without a payout' ELSE 'its payout ' || p.status END
    || ', since ' || d.due || ' something should have happened' AS detail
FROM bookings b LEFT JOIN payouts p ON p.booking_id = b.id
CROSS JOIN LATERAL (SELECT CASE
    WHEN b.status = 'PENDING' THEN b.expires_at
    WHEN b.status = 'AWAITING_APPROVAL' THEN b.approval_due_at
    WHEN b.status = 'CONFIRMED' THEN coalesce(b.outcome_at, b.completion_due_at)
    WHEN p.status = 'HELD' THEN p.due_at
    WHEN p.status = 'PROCESSING' THEN {AT_THE_BANK} + (SELECT max(at) FROM audit_events
        WHERE entity = 'payout' AND entity_id = p.id AND to_status = 'PROCESSING')
END AS due) d
WHERE d.due < :overdue AND coalesce(b.attention_step, '{STEP}') = '{STEP}'
UNION ALL
SELECT id, NULL::uuid, type || ' has not been delivered: ' || coalesce(last_error, 'never tried')
FROM stripe_events WHERE handled_at IS NULL AND received_at < :overdue
"""

UNATTENDED: Final = f"""
SELECT b.id::text AS subject, b.id AS booking_id, b.status IN {_in(TERMINAL_BOOKING)} AS ended
FROM bookings b LEFT JOIN payouts p ON p.booking_id = b.id
WHERE (b.status NOT IN {_in(TERMINAL_BOOKING)} OR p.status IN {_in(PAYOUT_OPEN)})
    AND b.created_at < :settled AND coalesce(b.attention_step, '{STEP}') = '{STEP}'
"""
