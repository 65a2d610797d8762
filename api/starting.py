"""Making a booking: look first, store what was asked, then start its workflow in one round trip.

A request under an `Idempotency-Key` always means the same booking, whatever became of it; Postgres
says so, because Temporal forgets.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from api import queries, sagas
from api.admission import Seeker, Wanted, admit, name
from api.auth import Caller
from api.dependencies import Dependencies
from api.errors import Code, Problem
from api.schemas import NewBooking
from models.bookings import BookingRequest
from models.catalogue import Client
from models.keys import booking_id_for, workflow_id_for
from models.money import display
from models.states import BookingStatus, PaymentStatus
from workflows import search_attributes
from workflows.booking import BookingWorkflow
from workflows.contracts import BOOKINGS_QUEUE, Opened, StartBooking

TAKEN: Final = frozenset({Code.SLOT_TAKEN, Code.CAPACITY_FULL, Code.ALREADY_BOOKED})
"""Refusals that may be over a moment later, and are remembered all the same."""


@dataclass(frozen=True)
class Order:
    """Who wants what, under which id; `fingerprint` tells a repeated request from another one."""

    caller: Caller
    wanted: NewBooking
    booking_id: UUID
    key: str | None

    @classmethod
    def of(cls, caller: Caller, wanted: NewBooking, key: str | None) -> "Order":
        """The order that a request makes; one without a key is new every time."""
        booking_id = booking_id_for(caller.subject, key) if key else uuid4()
        return cls(caller, wanted, booking_id, key)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the body in canonical form: instants in UTC, absent and null alike."""
        body = self.wanted.model_dump(mode="json", exclude_none=True)
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Booked:
    """How it went: `record` is None while nobody has answered, `created` False for a repetition."""

    booking_id: UUID
    record: queries.BookingRecord | None
    created: bool = False
    answered: bool = True


async def book(deps: Dependencies, order: Order) -> Booked:
    """Make the booking that is ordered, or find it.

    Raises:
        Problem: it is refused, now or when it was first asked for.
    """
    underway = False
    if order.key:
        async with deps.database.transaction() as session:
            underway = await _known(session, order)
            if underway and (record := await queries.booking(session, order.booking_id, order.caller)):
                return Booked(order.booking_id, record)
    named = await (_joined(deps, order) if underway else _admitted(deps, order))
    return await _open(deps, order, named)


async def _joined(deps: Dependencies, order: Order) -> Wanted:
    """Another request with this key is on its way: what would refuse it is for the workflow to say."""
    async with deps.database.transaction() as session:
        return await name(session, order.wanted)


async def _admitted(deps: Dependencies, order: Order) -> Wanted:
    seeker = Seeker(order.caller.subject, order.booking_id)
    try:
        async with deps.database.transaction() as session:
            named = await admit(session, order.wanted, seeker, deps.defaults, deps.now())
    except Problem as refusal:
        code = refusal.code
        if code in TAKEN and order.key:
            # The same key gets the same answer, also once the slot is free again.
            await deps.database.run(lambda session: _store(session, order, refusal=code))
        raise
    await deps.database.run(lambda session: _store(session, order))
    return named


async def _known(session: AsyncSession, order: Order) -> bool:
    """Whether this very request was stored before.

    Raises:
        Problem: another one was, under the same key, or this one was refused.
    """
    request = await queries.request_for(session, order.booking_id)
    if request is None:
        return False
    if request.fingerprint != order.fingerprint:
        raise Problem(Code.IDEMPOTENCY_KEY_REUSED)
    if request.refusal is not None:
        raise Problem(Code(request.refusal))
    return True


async def _store(session: AsyncSession, order: Order, refusal: Code | None = None) -> None:
    await _keep_client(session, order.caller)
    asked = insert(BookingRequest).values(
        booking_id=order.booking_id,
        client_id=order.caller.subject,
        fingerprint=order.fingerprint,
        notes=order.wanted.notes,
        refusal=refusal,
    )
    await session.execute(asked.on_conflict_do_nothing())
    if refusal is None:
        await _known(session, order)


async def _keep_client(session: AsyncSession, caller: Caller) -> None:
    """Remember a client on first use, and what later tokens say of it."""
    seen = insert(Client).values(id=caller.subject, name=caller.name, email=caller.email)
    new = seen.excluded
    await session.execute(
        seen.on_conflict_do_update(
            index_elements=[Client.id],
            set_={
                "name": func.coalesce(new.name, Client.name),
                "email": func.coalesce(new.email, Client.email),
                "updated_at": func.now(),
            },
            where=new.name.is_distinct_from(Client.name) | new.email.is_distinct_from(Client.email),
        )
    )


async def _open(deps: Dependencies, order: Order, named: Wanted) -> Booked:
    request_id = sagas.update_id("open", order.caller.subject, order.booking_id, str(order.booking_id))
    try:
        start = _start(order, named)
        opened = await sagas.open_booking(deps.temporal, order.booking_id, start, request_id)
    except sagas.NoAnswer:
        return await _unanswered(deps, order)
    except sagas.Gone:
        opened = Opened()
    except sagas.Unreachable:
        raise Problem(Code.UNAVAILABLE, booking_id=order.booking_id) from None
    if opened.refusal is not None:
        raise Problem(Code(opened.refusal))
    return await _made(deps, order)


async def _made(deps: Dependencies, order: Order) -> Booked:
    async with deps.database.transaction() as session:
        record = await queries.booking(session, order.booking_id, order.caller)
        if record is None:
            await _known(session, order)
            # Nobody refused it: its run was reset or ended in Temporal, and whoever asks again gets it made.
            raise Problem(Code.UNAVAILABLE, booking_id=order.booking_id)
    return Booked(order.booking_id, record, created=True)


async def _unanswered(deps: Dependencies, order: Order) -> Booked:
    """The start may have been lost on its way: only what Temporal holds is accepted."""
    try:
        if not await sagas.was_started(deps.temporal, order.booking_id):
            raise Problem(Code.UNAVAILABLE, booking_id=order.booking_id)
    except sagas.Unreachable:
        raise Problem(Code.UNAVAILABLE, booking_id=order.booking_id) from None
    async with deps.database.transaction() as session:
        record = await queries.booking(session, order.booking_id, order.caller)
    return Booked(order.booking_id, record, answered=False)


def _start(order: Order, named: Wanted) -> sagas.Start:
    service, starts_at = named.offer.service, named.starts_at
    seat = f"\n- a seat in class `{named.session_id}`" if named.session_id else ""
    price = display(service.amount, service.currency)
    return sagas.Start(
        BookingWorkflow.run,
        StartBooking(
            booking_id=order.booking_id,
            client_id=order.caller.subject,
            service_id=service.id,
            starts_at=starts_at,
            session_id=named.session_id,
        ),
        id=workflow_id_for(order.booking_id),
        task_queue=BOOKINGS_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        search_attributes=_attributes(named),
        static_summary=f"Booking {order.booking_id} · {price}",
        static_details=(
            f"- price {price} (`{service.price_id}`)\n- service `{service.id}`\n"
            f"- provider `{service.provider_id}`\n- starts {starts_at:%Y-%m-%d %H:%M} UTC{seat}"
        ),
    )


def _attributes(named: Wanted) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(search_attributes.BOOKING_STATUS, BookingStatus.PENDING.value),
            SearchAttributePair(search_attributes.PAYMENT_STATUS, PaymentStatus.PENDING.value),
            SearchAttributePair(search_attributes.NEEDS_ATTENTION, value=False),
            SearchAttributePair(search_attributes.ATTENTION_STEP, ""),
            SearchAttributePair(search_attributes.PROVIDER_ID, str(named.offer.provider.id)),
            SearchAttributePair(search_attributes.SERVICE_ID, str(named.offer.service.id)),
            SearchAttributePair(search_attributes.SESSION_STARTS_AT, named.starts_at),
        ]
    )
