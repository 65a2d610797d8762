"""Lists of bookings: everything once, and only what is yours."""

import base64
from typing import Any

import httpx
import pytest

from api.dependencies import Dependencies
from tests.api.calls import as_client, as_ops, bearer, booked, problem, soon
from tests.support.shop import Shop, open_shop

pytestmark = pytest.mark.usefixtures("running_worker")


async def test_pages_show_everything_once(api: httpx.AsyncClient, shop: Shop) -> None:
    made = [(await booked(api, shop, starts_at=soon(2 + 2 * number)))["id"] for number in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/api/bookings", params=query, headers=as_client(shop))).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]


async def test_lists_can_be_narrowed(api: httpx.AsyncClient, shop: Shop, deps: Dependencies) -> None:
    other = await open_shop(deps.database, deps.gateway)
    near = await booked(api, shop, starts_at=soon(2))
    far = await booked(api, shop, starts_at=soon(6))
    elsewhere = await booked(api, other, client=shop.client_id)
    await api.post(f"/api/bookings/{near['id']}/cancel", headers=as_client(shop))

    async def listed(**query: Any) -> set[str]:
        answer = await api.get("/api/bookings", params=query, headers=as_client(shop))
        return {item["id"] for item in answer.json()["items"]}

    assert await listed() == {near["id"], far["id"], elsewhere["id"]}
    assert await listed(status="CANCELLED") == {near["id"]}
    assert await listed(provider_id=str(other.provider_id)) == {elsewhere["id"]}
    assert await listed(**{"from": soon(5)}) == {far["id"]}


async def test_lists_show_what_is_yours(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    for headers, sees in [
        (bearer("client", "somebody-else"), False),
        (bearer("provider", shop.provider_subject), True),
        (bearer("provider", "unregistered"), False),
        (as_ops(), True),
    ]:
        items = (await api.get("/api/bookings", params={"limit": "100"}, headers=headers)).json()["items"]
        assert (made["id"] in {item["id"] for item in items}) is sees


BEYOND = base64.urlsafe_b64encode(
    b'{"created_at": "0001-01-01T00:00:00+23:59", "id": "6c7f2a3e-2f43-5d0c-9a39-5f8f0c0f9d11"}'
).decode()
"""A moment that the calendar does not have in UTC."""


@pytest.mark.parametrize("cursor", ["x", "e30", "%%%", "MTIz", "W10", BEYOND])
async def test_a_cursor_that_is_not_ours_is_refused(api: httpx.AsyncClient, cursor: str) -> None:
    found = problem(await api.get("/api/bookings", params={"cursor": cursor}, headers=as_ops()))
    assert found["errors"][0]["field"] == "query.cursor"
