"""The sandbox's provider and services: `python -m sandbox.catalogue` makes them, once.

Everything goes through the product's own tables and gateway; the ids are derived, so that a second
run finds what the first one made. Prints `{provider_id, provider_subject, services}` as JSON.
"""

import asyncio
import json
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from activities.stripe_gateway import StripeGateway
from models.catalogue import AvailabilityRule, Provider, Service
from models.database import Database
from settings import StripeSettings, WorkerSettings

NAMESPACE: Final = UUID("0d9f6f0a-31f7-4d0c-8c6d-5f1d0a3a6a55")
PROVIDER_ID: Final = uuid5(NAMESPACE, "provider")
PROVIDER_SUBJECT: Final = "sandbox-provider"
MINUTES_PER_DAY: Final = 1440

SERVICES: Final[dict[str, dict[str, Any]]] = {
    "private_lesson": {
        "name": "Private lesson",
        "description": "One to one, fifteen minutes, so that a whole booking can be watched.",
        "duration_minutes": 15,
        "amount": 12_000,
        "currency": "eur",
    },
}
"""A service appears here once its flow exists (DESIGN 10)."""


async def ensure(database: Database, gateway: StripeGateway) -> dict[str, Any]:
    """Make the provider and the services that are missing."""
    await _ensure_provider(database, gateway)
    services = {name: str(await _ensure_service(database, gateway, name)) for name in SERVICES}
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
        time_zone="Europe/Berlin",
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
