"""The sandbox's provider and services: `python -m sandbox.catalogue` makes them, once.

Everything goes through the product's own tables and gateway; the ids are derived, so that a second
run finds what the first one made. Prints `{provider_id, provider_subject, services}` as JSON.
"""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from activities.stripe_gateway import StripeGateway
from models.bookings import Session
from models.catalogue import AvailabilityRule, Provider, Service
from models.database import Database
from models.states import Role, SessionStatus
from models.transitions import ClassChange, created
from settings import StripeSettings, WorkerSettings

NAMESPACE: Final = UUID("0d9f6f0a-31f7-4d0c-8c6d-5f1d0a3a6a55")
PROVIDER_ID: Final = uuid5(NAMESPACE, "provider")
PROVIDER_SUBJECT: Final = "sandbox-provider"
PROVIDER_ZONE: Final = ZoneInfo("Europe/Berlin")
MINUTES_PER_DAY: Final = 1440

CLASS_IN: Final = timedelta(days=3)
"""Far enough off not to be in anybody's way, near enough to be authorized at once."""
CLASS_AT: Final = time(18)

SERVICES: Final[dict[str, dict[str, Any]]] = {
    "private_lesson": {
        "name": "Private lesson",
        "description": "One to one, fifteen minutes, so that a whole booking can be watched.",
        "duration_minutes": 15,
        "amount": 12_000,
        "currency": "eur",
    },
    "live_session": {
        "name": "Live session",
        "description": "The instructor accepts first; who does not come pays half.",
        "duration_minutes": 30,
        "amount": 8_000,
        "currency": "eur",
        "policy": {"approval": "provider", "platform_fee_bps": 2_000, "client_no_show_keep_bps": 5_000},
    },
    "yoga_class": {
        "name": "Yoga class",
        "description": "An hour with up to twelve others.",
        "duration_minutes": 60,
        "capacity": 12,
        "amount": 1_800,
        "currency": "eur",
    },
}
"""A service appears here once its flow exists (DESIGN 10)."""


async def ensure(database: Database, gateway: StripeGateway) -> dict[str, Any]:
    """Make the provider and the services that are missing."""
    await _ensure_provider(database, gateway)
    services = {name: str(await _ensure_service(database, gateway, name)) for name in SERVICES}
    await database.run(_ensure_class)
    return {"provider_id": str(PROVIDER_ID), "provider_subject": PROVIDER_SUBJECT, "services": services}


async def _ensure_provider(database: Database, gateway: StripeGateway) -> None:
    if await database.run(lambda session: session.get(Provider, PROVIDER_ID)):
        return
    account = await gateway.create_account(
        provider_id=str(PROVIDER_ID),
        email="provider@sandbox.example",
        country="DE",
        key=f"provider:{PROVIDER_ID}:account",
    )
    provider = Provider(
        id=PROVIDER_ID,
        subject=PROVIDER_SUBJECT,
        name="Sandbox Provider",
        email="provider@sandbox.example",
        time_zone=PROVIDER_ZONE.key,
        country="DE",
        stripe_account_id=account.id,
        transfers_active=account.transfers_active,
        payouts_enabled=account.payouts_enabled,
    )
    around_the_clock = [
        AvailabilityRule(provider_id=PROVIDER_ID, weekday=day, opens_minute=0, closes_minute=MINUTES_PER_DAY)
        for day in range(7)
    ]
    await _add(database, [provider])
    await _add(database, around_the_clock)


async def _ensure_service(database: Database, gateway: StripeGateway, name: str) -> UUID:
    service_id = uuid5(NAMESPACE, name)
    if await database.run(lambda session: session.get(Service, service_id)):
        return service_id
    offered = SERVICES[name]
    key = f"service:{service_id}"
    product_id = await gateway.create_product(
        name=offered["name"], description=offered["description"], key=f"{key}:product"
    )
    price = await gateway.create_price(
        product_id=product_id, amount=offered["amount"], currency=offered["currency"], key=f"{key}:price"
    )
    stripe_side = {"price_id": price.id, "product_id": product_id}
    await _add(database, [Service(id=service_id, provider_id=PROVIDER_ID, **offered, **stripe_side)])
    return service_id


async def _ensure_class(session: AsyncSession) -> None:
    """Put up a class when there is none to come; somebody may have booked the provider's time already."""
    service = await session.get_one(Service, uuid5(NAMESPACE, "yoga_class"))
    provider = await session.get_one(Provider, PROVIDER_ID)
    now = datetime.now(UTC)
    planned = select(Session.id).where(
        Session.service_id == service.id, Session.status == SessionStatus.SCHEDULED, Session.starts_at > now
    )
    if await session.scalar(planned.limit(1)):
        return
    day = (now + CLASS_IN).astimezone(PROVIDER_ZONE).date()
    starts_at = datetime.combine(day, CLASS_AT, PROVIDER_ZONE).astimezone(UTC)
    block = Session(
        id=uuid5(NAMESPACE, f"yoga_class {starts_at.isoformat()}"),
        provider_id=provider.id,
        provider_no=provider.provider_no,
        service_id=service.id,
        status=SessionStatus.SCHEDULED,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=service.duration_minutes),
        capacity=service.capacity,
    )
    with suppress(IntegrityError):
        async with session.begin_nested():
            created(session, block, ClassChange(now, Role.PROVIDER, PROVIDER_SUBJECT))


async def _add(database: Database, rows: list[Any]) -> None:
    async def work(session: AsyncSession) -> None:
        session.add_all(rows)

    await database.run(work)


async def main() -> None:
    """Make the catalogue that the environment describes."""
    stripe = StripeSettings()
    database = Database.connect(WorkerSettings().database_url)
    gateway = StripeGateway.connect(stripe.secret_key.get_secret_value(), stripe.api_base)
    print(json.dumps(await ensure(database, gateway)))  # noqa: T201 - a command's answer
    await gateway.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main())
