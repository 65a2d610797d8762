"""A client's first steps, for tests of what comes after them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from stripe import StripeClient

from tests.api.calls import Headers, Json, as_client, as_provider, booked, soon
from tests.support.shop import Shop

PATIENCE = 45


async def paid(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, hours: float = 2, **body: Any) -> Json:
    """A booking whose client has paid, and said so."""
    made = await booked(api, shop, **({"starts_at": soon(hours)} | body))
    await pay(sdk, made)
    return await confirmed(api, shop, made)


async def pay(sdk: StripeClient, made: Json, card: str = "pm_card_visa") -> None:
    await sdk.v1.payment_intents.confirm_async(made["payment"]["payment_intent_id"], {"payment_method": card})


async def confirmed(api: httpx.AsyncClient, shop: Shop, made: Json) -> Json:
    body = {"payment_intent_id": made["payment"]["payment_intent_id"]}
    answer = await api.post("/api/bookings/confirm", json=body, headers=as_client(shop))
    assert answer.status_code == 200, answer.text
    said: Json = answer.json()
    return said


async def held(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> Json:
    """A booking that was completed: its money is captured, and held."""
    made = await paid(api, shop, sdk, hours=0)
    answer = await act(api, made, "complete", as_provider(shop))
    assert (answer.status_code, answer.json()["payout"]["status"]) == (200, "HELD"), answer.text
    completed: Json = answer.json()
    return completed


async def act(
    api: httpx.AsyncClient, made: Json, what: str, headers: Headers, /, **body: Any
) -> httpx.Response:
    path = f"/api/bookings/{made['id']}/{what}"
    return await api.post(path, headers=headers, json=body) if body else await api.post(path, headers=headers)


async def look(api: httpx.AsyncClient, made: Json, headers: Headers) -> Json:
    answer = await api.get(f"/api/bookings/{made['id']}", headers=headers)
    seen: Json = answer.json()
    return seen


async def until(look: Callable[[], Awaitable[Json]], there: Callable[[Json], bool]) -> Json:
    """What `look` sees once it is `there`; the workflow is on its way."""
    async with asyncio.timeout(PATIENCE):
        while not there(seen := await look()):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.05)
    return seen
