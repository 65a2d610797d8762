"""For ops: findings, looking now, and the business in numbers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient
from temporalio.client import Client

from activities.stripe_gateway import StripeGateway
from activities.wiring import build
from api.dependencies import Dependencies
from models.database import Database
from models.records import Finding
from sandbox.stripe.server import running as running_stripe
from settings import PolicyDefaults
from tests.api.calls import Json, as_client, as_ops, as_provider, booked, code
from tests.api.cut_off import lose_patience, on
from tests.api.journeys import act, held, paid
from tests.support.dev_server import own_temporal
from tests.support.scratch import scratch_database
from tests.support.shop import open_shop
from worker import workers


async def found(database: Database, **values: Any) -> str:
    """A finding of this test's own; answers with what it is about."""
    subject = f"subject-{uuid4()}"

    async def add(session: AsyncSession) -> None:
        session.add(Finding(rule="ledger_balance", subject=subject, detail="off by one", **values))

    await database.run(add)
    return subject


async def findings(api: httpx.AsyncClient, **query: Any) -> Json:
    answer = await api.get("/api/ops/findings", params=query, headers=as_ops())
    assert answer.status_code == 200, answer.text
    seen: Json = answer.json()
    return seen


async def test_ops_see_what_is_wrong_and_not_what_was(api: httpx.AsyncClient, database: Database) -> None:
    booking_id = uuid4()
    still = await found(database, booking_id=booking_id)
    over = await found(database, booking_id=booking_id, resolved_at=datetime.now(UTC))
    seen = await findings(api, booking_id=str(booking_id))
    assert [item["subject"] for item in seen["items"]] == [still]
    everything = await findings(api, booking_id=str(booking_id), resolved=True)
    assert [item["subject"] for item in everything["items"]] == [over, still]


async def test_findings_have_pages(api: httpx.AsyncClient, database: Database) -> None:
    booking_id = uuid4()
    made = [await found(database, booking_id=booking_id) for _ in range(3)]
    seen: list[str] = []
    query: Json = {"booking_id": str(booking_id), "limit": 2}
    while True:
        page = await findings(api, **query)
        seen += [item["subject"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query |= {"cursor": page["next_cursor"]}
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 101}, {"cursor": "x"}, {"cursor": 2**70}, {"booking_id": "x"}], ids=str
)
async def test_a_page_of_findings_has_bounds(api: httpx.AsyncClient, query: Json) -> None:
    answer = await api.get("/api/ops/findings", params=query, headers=as_ops())
    assert code(answer) == "validation_failed"


@pytest.fixture(scope="module")
async def quiet_office(database_url: str, deps: Dependencies) -> AsyncIterator[httpx.AsyncClient]:
    """A product of its own: elsewhere a look would find what every other test has left, and see to it."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(scratch_database(database_url))
        temporal = await stack.enter_async_context(own_temporal())
        stripe = await stack.enter_async_context(running_stripe())
        gateway = StripeGateway.connect(stripe.secret_key, stripe.url)
        stack.push_async_callback(gateway.close)
        activities = build(database, gateway, temporal, PolicyDefaults())
        for one in workers(temporal, activities, requests_per_second=1000):
            await stack.enter_async_context(one)
        own = replace(deps, database=database, temporal=temporal, gateway=gateway)
        yield await stack.enter_async_context(on(own, temporal))


@pytest.mark.parametrize("what", ["reconcile", "audit"])
async def test_ops_look_now(quiet_office: httpx.AsyncClient, what: str) -> None:
    for _ in range(2):
        answer = await quiet_office.post(f"/api/ops/{what}", headers=as_ops())
        assert answer.status_code == 200, answer.text
        assert answer.json()["finished"] is True
        assert answer.json()["findings"] == 0


async def test_without_a_worker_a_look_is_under_way(
    deps: Dependencies, idle: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_patience(monkeypatch)
    async with on(deps, idle) as api:
        answer = await api.post("/api/ops/audit", headers=as_ops())
    assert (answer.status_code, answer.json()["finished"]) == (202, False)
    assert answer.headers["Retry-After"]


async def test_without_temporal_nobody_looks(deps: Dependencies, away: Client) -> None:
    async with on(deps, away) as api:
        assert code(await api.post("/api/ops/reconcile", headers=as_ops())) == "unavailable"


# --- numbers -------------------------------------------------------------------------------------


async def summary(api: httpx.AsyncClient, currency: str, **query: str) -> Json | None:
    answer = await api.get("/api/metrics/summary", params=query, headers=as_ops())
    assert answer.status_code == 200, answer.text
    lines = {line["currency"]: line for line in answer.json()["currencies"]}
    return lines.get(currency)


@pytest.mark.usefixtures("running_worker")
async def test_the_business_adds_up(
    api: httpx.AsyncClient, database: Database, gateway: StripeGateway, sdk: StripeClient
) -> None:
    """In a currency that no other test uses: one booking held, one confirmed, one not paid, one lost."""
    before = datetime.now(UTC) - timedelta(minutes=1)
    shop = await open_shop(database, gateway, currency="nok", amount=10_000)
    await held(api, shop, sdk)
    confirmed = await paid(api, shop, sdk, hours=48)
    unpaid = await booked(api, shop, starts_at=confirmed["session"]["ends_at"])
    await act(api, unpaid, "cancel", as_client(shop))
    await act(api, confirmed, "cancel", as_provider(shop))
    line = await summary(api, "nok", **{"from": before.isoformat()})
    assert line == {
        "currency": "nok",
        "bookings": 3,
        "confirmed": 2,
        "completed": 1,
        "conversion_bps": 6_666,
        "completion_bps": 5_000,
        "captured": 10_000,
        "refunded": 0,
        "refund_rate_bps": 0,
        "platform_revenue": 0,
        "held": 10_000,
    }
    assert await summary(api, "nok", to=before.isoformat()) is None


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"from": "1900-01-01T00:00:00Z"},
        {"from": "2026-01-01"},
        {"to": "soon"},
    ],
    ids=range(4),
)
async def test_a_range_of_numbers_has_bounds(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await api.get("/api/metrics/summary", params=query, headers=as_ops())
    assert code(answer) == "validation_failed"


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_the_edges_of_the_calendar_hold_nothing(api: httpx.AsyncClient, edge: str) -> None:
    answer = await api.get("/api/metrics/summary", params={"to": edge, "from": edge}, headers=as_ops())
    assert (answer.status_code, answer.json()["currencies"] is not None) == (200, True)
    alone = await api.get("/api/metrics/summary", params={"to": edge}, headers=as_ops())
    assert alone.status_code == 200
