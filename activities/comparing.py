"""Stripe against Postgres: money at either that the other does not know. Reported, never repaired.

Stripe is read first and our books after it, so that what is just being recorded is not missed; what
an operation is still about, or moved only a moment ago, is left to the next look.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, ColumnElement, any_, case, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from activities.errors import UNREADABLE, StripeFailure
from activities.findings import Findings, Observation
from activities.stripe_gateway import StripeGateway
from activities.stripe_lists import Listed
from models.bookings import Booking
from models.database import Database
from models.keys import APP, transfer_group_for
from models.ledger import Account, JournalKind, LedgerEntry, Side
from models.payments import BankPayout, Payment, ProviderTransfer
from models.records import StripeOperation
from models.states import BankPayoutStatus, OperationState

log = structlog.get_logger()

WINDOW: Final = timedelta(days=3)
GRACE: Final = timedelta(minutes=15)
"""What moved since then may still be on its way to our books."""
UNRESOLVED: Final = timedelta(minutes=15)

UNKNOWN_MONEY: Final = "money at Stripe is not on our books"
OTHER_AMOUNT: Final = "an amount at Stripe is not the one on our books"
NO_MONEY: Final = "our books name an object that Stripe does not have"
PAID_TWICE: Final = "I3 more than one transfer stands at Stripe"
OPERATION: Final = "a write to Stripe has no known result"
BANK: Final = "a bank payout is not what our books say"
RULES: Final = (UNKNOWN_MONEY, OTHER_AMOUNT, NO_MONEY, PAID_TWICE, OPERATION, BANK)

KINDS: Final[dict[JournalKind, tuple[JournalKind, ...]]] = {
    JournalKind.CAPTURE: (JournalKind.CAPTURE,),
    JournalKind.REFUND: (JournalKind.REFUND, JournalKind.REFUND_FAILURE),
    JournalKind.TRANSFER: (JournalKind.TRANSFER,),
}
"""What is compared, and the journals that say what became of it."""


class Comparison:
    """Looks at what moved lately, and at what is reported already."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        findings: Findings,
        now: Callable[[], datetime],
        *,
        grace: timedelta = GRACE,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._findings = findings
        self._now = now
        self._grace = grace

    async def look(self) -> list[Observation]:
        """Everything that differs; a booking's own steps may be about to make some of it good."""
        reported = await self._findings.oldest(RULES) or self._now()
        since = min(reported, self._now()) - WINDOW
        seen: list[Observation] = []
        transfers: list[Listed] = []
        for kind in KINDS:
            listed = [one async for one in self._listed(kind, since)]
            seen += await self._compare(kind, listed, since)
            transfers += listed if kind is JournalKind.TRANSFER else []
        seen += await self._database.run(lambda session: _standing_twice(session, transfers))
        seen += await self._database.run(lambda session: _unresolved(session, self._now() - UNRESOLVED))
        return seen + await self._at_the_bank(since)

    async def _listed(self, kind: JournalKind, since: datetime) -> AsyncIterator[Listed]:
        lists = self._gateway.lists
        pages = {
            JournalKind.CAPTURE: lists.captures,
            JournalKind.REFUND: lambda since: lists.refunds(since=since),
            JournalKind.TRANSFER: lists.transfers,
        }
        async for one in pages[kind](since):
            yield one

    # --- captures, refunds, transfers -----------------------------------------------------------

    async def _compare(self, kind: JournalKind, listed: list[Listed], since: datetime) -> list[Observation]:
        at_stripe = {one.id: one for one in listed}
        books = await self._database.run(lambda session: _books(session, kind, since, list(at_stripe)))
        ours = await self._database.run(lambda session: _ours(session, listed))
        seen = []
        for one in listed:
            settled = one.moved_at <= self._now() - self._grace
            if one.id in ours and settled and (wrong := _differs(kind, one, books, ours[one.id])):
                seen.append(wrong)
        for object_id, (amount, booking_id) in books.items():
            if object_id not in at_stripe and (
                wrong := await self._missing(kind, object_id, amount, booking_id)
            ):
                seen.append(wrong)
        return seen

    async def _missing(
        self, kind: JournalKind, object_id: str, amount: int, booking_id: UUID | None
    ) -> Observation | None:
        """What our books name and the list did not have, because it is older, or because it is not there."""
        lists = self._gateway.lists
        retrieve: dict[JournalKind, Callable[[str], Awaitable[Listed]]] = {
            JournalKind.CAPTURE: lists.capture,
            JournalKind.REFUND: lists.refund,
            JournalKind.TRANSFER: lists.transfer,
        }
        try:
            found = await retrieve[kind](object_id)
        except StripeFailure as failure:
            if failure.code != "resource_missing":
                raise
            return Observation(NO_MONEY, object_id, f"{kind} of {amount} is not at Stripe", booking_id)
        return _differs(kind, found, {object_id: (amount, booking_id)}, booking_id)

    # --- the providers' banks -------------------------------------------------------------------

    async def _at_the_bank(self, since: datetime) -> list[Observation]:
        seen: list[Observation] = []
        for account, rows in (await self._database.run(lambda session: _sent(session, since))).items():
            try:
                seen += await self._at_its_bank(account, rows, since)
            except StripeFailure as failure:
                if failure.failure not in UNREADABLE:
                    raise
                # Its payouts are blocked where they are waited for; the others' are looked at all the same.
                log.warning("payouts of an account cannot be read", account=account, failure=failure.failure)
                seen += await self._still_standing(rows)
        return seen

    async def _still_standing(self, rows: list[BankPayout]) -> list[Observation]:
        """What was reported of payouts that cannot be looked at again."""
        unseen = {row.stripe_payout_id for row in rows}
        return [
            Observation(BANK, one.subject, one.detail, one.booking_id)
            for one in await self._findings.open_ones()
            if one.rule == BANK and one.subject in unseen
        ]

    async def _at_its_bank(self, account: str, rows: list[BankPayout], since: datetime) -> list[Observation]:
        listed = {one.id: one async for one in self._gateway.lists.payouts(account, since)}
        by_id = {row.stripe_payout_id: row for row in rows}
        seen = []
        for one in listed.values():
            old = one.moved_at <= self._now() - self._grace
            if one.metadata.get("app") == APP and one.id not in by_id and old:
                seen.append(Observation(BANK, one.id, f"{one.amount} was sent, no row of ours says so"))
        for payout_id, row in by_id.items():
            if payout_id and (wrong := _bank_differs(row, listed.get(payout_id))):
                seen.append(Observation(BANK, payout_id, wrong, row.booking_id))
        return seen


def _differs(
    kind: JournalKind,
    one: Listed,
    books: dict[str, tuple[int, UUID | None]],
    booking_id: UUID | None,
) -> Observation | None:
    amount = one.amount if one.is_live else 0
    if one.id not in books:
        detail = f"{kind} of {one.amount} {one.currency} is at Stripe only"
        return Observation(UNKNOWN_MONEY, one.id, detail, booking_id) if amount else None
    posted, booking_id = books[one.id]
    if posted == amount:
        return None
    return Observation(
        OTHER_AMOUNT, one.id, f"{kind} of {amount} at Stripe, {posted} on our books", booking_id
    )


def _bank_differs(row: BankPayout, one: Listed | None) -> str | None:
    if one is None:
        return f"{row.amount} was sent by our books, Stripe has no such payout"
    if one.amount != row.amount:
        return f"{one.amount} at Stripe, {row.amount} on our books"
    if row.status is BankPayoutStatus.PAID and not one.is_live:
        return f"it is {one.status}, our books say paid"
    if row.status is BankPayoutStatus.FAILED and one.is_live:
        return f"it is {one.status}, our books say failed"
    return None


async def _books(
    session: AsyncSession, kind: JournalKind, since: datetime, listed: list[str]
) -> dict[str, tuple[int, UUID | None]]:
    """What the ledger has of the listed objects, and of all that it has posted since."""
    signed = case((LedgerEntry.side == Side.DEBIT, LedgerEntry.amount), else_=-LedgerEntry.amount)
    fresh = select(LedgerEntry.stripe_object_id).where(
        LedgerEntry.kind == kind, LedgerEntry.posted_at >= since
    )
    query = (
        select(
            LedgerEntry.stripe_object_id,
            func.abs(func.sum(signed)),
            func.array_agg(LedgerEntry.booking_id),
        )
        .where(
            LedgerEntry.kind.in_(KINDS[kind]),
            LedgerEntry.account == Account.STRIPE_BALANCE,
            or_(_among(LedgerEntry.stripe_object_id, listed), LedgerEntry.stripe_object_id.in_(fresh)),
        )
        .group_by(LedgerEntry.stripe_object_id)
    )
    return {object_id: (int(amount), owners[0]) for object_id, amount, owners in await session.execute(query)}


async def _ours(session: AsyncSession, listed: list[Listed]) -> dict[str, UUID | None]:
    """Which of these are ours, and the booking that they belong to; not those that are still being made."""
    intents = [one.payment_intent for one in listed if one.payment_intent]
    paid = select(Payment.payment_intent_id, Payment.booking_id).where(
        _among(Payment.payment_intent_id, intents)
    )
    by_intent = dict(iter(await session.execute(paid)))
    hints = {one.id: _hint(one) for one in listed}
    real = set(
        await session.scalars(select(Booking.id).where(_among(Booking.id, [h for h in hints.values() if h])))
    )
    keys = [one.metadata["op"] for one in listed if "op" in one.metadata]
    under_way = select(StripeOperation.key).where(
        _among(StripeOperation.key, keys),
        StripeOperation.state.in_([OperationState.STARTED, OperationState.UNKNOWN]),
    )
    being_made = set(await session.scalars(under_way))
    ours: dict[str, UUID | None] = {}
    for one in listed:
        booking_id = by_intent.get(one.payment_intent) or (hints[one.id] if hints[one.id] in real else None)
        is_ours = booking_id is not None or one.metadata.get("app") == APP
        if is_ours and one.metadata.get("op") not in being_made:
            ours[one.id] = booking_id
    return ours


def _hint(one: Listed) -> UUID | None:
    """The booking that an object says it belongs to."""
    group = (one.transfer_group or "").removeprefix("booking_")
    try:
        return UUID(one.metadata.get("booking_id") or group)
    except ValueError:
        return None


async def _standing_twice(session: AsyncSession, transfers: list[Listed]) -> list[Observation]:
    """I3 at Stripe: transfers of one booking of which nothing came back; a further one has a row of ours."""
    standing: dict[UUID, list[str]] = {}
    for one in transfers:
        booking_id = _hint(one)
        if booking_id is not None and one.reversed == 0:
            standing.setdefault(booking_id, []).append(one.id)
    suspects = {booking_id: ids for booking_id, ids in standing.items() if len(ids) > 1}
    ours = set(await session.scalars(select(Booking.id).where(_among(Booking.id, suspects))))
    ids = [one for booking_id in ours for one in suspects[booking_id]]
    made = _among(ProviderTransfer.transfer_id, ids)
    known = set(await session.scalars(select(ProviderTransfer.transfer_id).where(made)))
    return [
        Observation(
            PAID_TWICE, transfer_group_for(booking_id), ", ".join(sorted(suspects[booking_id])), booking_id
        )
        for booking_id in ours
        if not known.issuperset(suspects[booking_id])
    ]


async def _unresolved(session: AsyncSession, before: datetime) -> list[Observation]:
    query = select(StripeOperation).where(
        StripeOperation.state.in_([OperationState.STARTED, OperationState.UNKNOWN]),
        StripeOperation.started_at < before,
    )
    real = select(Booking.id).where(Booking.id == StripeOperation.booking_id).exists()
    return [
        Observation(
            OPERATION,
            operation.key,
            f"{operation.kind} is {operation.state} since {operation.started_at:%Y-%m-%d %H:%M} UTC",
            operation.booking_id if is_booking else None,
        )
        for operation, is_booking in await session.execute(query.add_columns(real))
    ]


async def _sent(session: AsyncSession, since: datetime) -> dict[str, list[BankPayout]]:
    """The bank payouts of every account that had one lately."""
    lately = select(BankPayout.account).where(BankPayout.created_at >= since)
    rows = await session.scalars(
        select(BankPayout).where(BankPayout.account.in_(lately), BankPayout.created_at >= since)
    )
    found: dict[str, list[BankPayout]] = {}
    for row in rows:
        found.setdefault(row.account, []).append(row)
    return found


def _among(column: InstrumentedAttribute[Any], values: Iterable[object]) -> ColumnElement[bool]:
    """As one parameter, however many: a day of a busy account has more than Postgres takes."""
    return column == any_(cast(list(values), ARRAY(column.type)))
