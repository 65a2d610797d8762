"""What a mail needs to know, read when it is sent: people, places in time, and whether it is still true."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models.announcements import Facts, Kind, Standing
from models.bookings import Booking, Session
from models.catalogue import Client, Provider, Service
from models.notifications import Notification
from models.payments import Payment, Payout
from models.policy import Policy
from models.states import Role


@dataclass(frozen=True)
class Person:
    """Somebody as they call themselves; both may be missing."""

    name: str | None
    email: str | None


@dataclass(frozen=True)
class Matter:
    """One mail's subject matter. Held in memory only while it is written and sent."""

    id: UUID
    booking_id: UUID
    kind: Kind
    recipient: Role
    facts: Facts
    """As of the transition, completed by how the booking is now."""
    standing: Standing
    people: Mapping[Role, Person]
    service: str
    zone: str
    """The provider's, IANA."""
    invitations: bool
    """Whether we send invitations; Cal.com sends its own."""


async def read(session: AsyncSession, row: Notification, ops_email: str | None) -> Matter:
    """Everything that one mail needs, in one query."""
    query = (
        select(Booking, Session, Payment, Payout.status, Provider, Client, Service)
        .join(Session, Session.id == Booking.session_id)
        .join(Payment, Payment.booking_id == Booking.id)
        .outerjoin(Payout, Payout.booking_id == Booking.id)
        .join(Provider, Provider.id == Booking.provider_id)
        .join(Client, Client.id == Booking.client_id)
        .join(Service, Service.id == Booking.service_id)
        .where(Booking.id == row.booking_id)
        .order_by(Payment.number.desc())
        .limit(1)
    )
    booking, block, payment, payout_status, provider, client, service = (await session.execute(query)).one()
    return Matter(
        id=row.id,
        booking_id=booking.id,
        kind=Kind(row.kind),
        recipient=row.recipient,
        facts=Facts.model_validate(_today(booking, block) | row.facts),
        standing=Standing(
            booking=booking.status,
            decided=booking.outcome_status is not None,
            starts_at=block.starts_at,
            expires_at=booking.expires_at,
            payment=payment.status,
            fix_by=payment.fix_by,
            payout=payout_status,
        ),
        people={
            Role.CLIENT: Person(client.name, client.email),
            Role.PROVIDER: Person(provider.name, provider.email),
            Role.OPS: Person("operations", ops_email),
        },
        service=service.name,
        zone=booking.time_zone,
        invitations=Policy.model_validate(booking.policy).calendar == "ics",
    )


def _today(booking: Booking, block: Session) -> dict[str, Any]:
    return {
        "currency": booking.currency,
        "price": booking.amount,
        "starts_at": block.starts_at,
        "ends_at": block.ends_at,
    }
