"""What cannot be booked, and how that is said."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient

from models.catalogue import AvailabilityRule, Service
from models.database import Database
from models.keys import booking_id_for
from tests.api.calls import Json, as_client, as_ops, bearer, book, code, problem, soon
from tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("running_worker")


async def test_what_is_not_on_offer_is_not_found(
    api: httpx.AsyncClient, shop: Shop, database: Database
) -> None:
    assert code(await book(api, shop, service_id=str(uuid4()))) == "not_found"
    await _change(database, shop, active=False)
    assert code(await book(api, shop)) == "not_found"


@pytest.mark.parametrize("hours", [-1, 24 * 400])
async def test_the_past_and_the_far_future_are_not_offered(
    api: httpx.AsyncClient, shop: Shop, hours: int
) -> None:
    found = problem(await book(api, shop, starts_at=soon(hours)))
    assert found["code"] == "validation_failed"
    assert found["errors"][0]["field"] == "body.starts_at"


async def test_now_is_not_the_past(api: httpx.AsyncClient, shop: Shop) -> None:
    assert (await book(api, shop, starts_at=soon(0))).status_code == 201


async def test_notice_is_kept(api: httpx.AsyncClient, shop: Shop, database: Database) -> None:
    await _change(database, shop, policy={"min_notice": "PT3H"})
    assert code(await book(api, shop, starts_at=soon(2))) == "validation_failed"
    assert (await book(api, shop, starts_at=soon(4))).status_code == 201


async def test_closed_is_closed(api: httpx.AsyncClient, shop: Shop, database: Database) -> None:
    async def close(session: AsyncSession) -> None:
        rules = delete(AvailabilityRule).where(AvailabilityRule.provider_id == shop.provider_id)
        await session.execute(rules)

    await database.run(close)
    assert code(await book(api, shop)) == "outside_opening_hours"


@pytest.mark.parametrize(
    "said", [{"amount": 11_999}, {"currency": "usd"}, {"amount": 12_000, "currency": "usd"}]
)
async def test_a_price_that_differs_is_refused(api: httpx.AsyncClient, shop: Shop, said: Json) -> None:
    assert code(await book(api, shop, **said)) == "amount_mismatch"


async def test_a_price_that_matches_is_fine(api: httpx.AsyncClient, shop: Shop) -> None:
    assert (await book(api, shop, amount=12_000, currency="EUR")).status_code == 201


async def test_a_refusal_of_the_workflow_is_the_answer(
    api: httpx.AsyncClient, sdk: StripeClient, shop: Shop, database: Database
) -> None:
    """The price was archived at Stripe: only the workflow reads that."""
    service = await database.run(lambda session: session.get_one(Service, shop.service_id))
    await sdk.v1.prices.update_async(service.price_id, {"active": False})
    first = await book(api, shop, key="archived", starts_at=(starts_at := soon()))
    again = await book(api, shop, key="archived", starts_at=starts_at)
    assert code(first) == code(again) == "not_found"
    booking_id = booking_id_for(shop.client_id, "archived")
    assert code(await api.get(f"/api/bookings/{booking_id}", headers=as_client(shop))) == "not_found"


async def test_a_booking_that_is_still_being_made_says_so(api: httpx.AsyncClient, shop: Shop) -> None:
    asked = await shop.asked(shop.request())
    path = f"/api/bookings/{asked.booking_id}"
    answer = await api.get(path, headers=as_client(shop))
    assert code(answer) == "booking_not_ready"
    assert answer.headers["Retry-After"]
    assert code(await api.get(path, headers=as_ops())) == "booking_not_ready"
    assert code(await api.get(path, headers=bearer("client", "other"))) == "not_found"


async def _change(database: Database, shop: Shop, **values: Any) -> None:
    async def work(session: AsyncSession) -> None:
        service = await session.get_one(Service, shop.service_id)
        for name, value in values.items():
            setattr(service, name, value)

    await database.run(work)
