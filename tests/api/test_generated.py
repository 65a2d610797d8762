"""Generated requests to every operation, alone and in the sequences that the description's links allow.

`API_EXAMPLES=100 API_SEED=7` sends more of them, and others.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import Depends
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient

from activities.inbox import Inbox
from activities.wiring import build
from api import sagas
from api.app import build_app
from api.auth import bearer
from api.dependencies import Dependencies
from api.errors import Code, Problem, documented
from api.health import Alive
from api.metrics import REQUESTS
from models.catalogue import Service
from models.database import Database
from tests.api.calls import as_provider, booked, calling, soon, token
from tests.api.generating import Plan, attempt, served
from tests.api.journeys import held, paid
from tests.api.rules import PUBLIC, RULES, Route, Who
from tests.support.dev_server import own_temporal
from tests.support.scratch import scratch_database
from tests.support.shop import Shop, open_shop
from tests.workflows.real import working

pytestmark = [
    pytest.mark.fault("A1"),
    pytest.mark.timeout(3600),
]

EXAMPLES = int(os.environ.get("API_EXAMPLES", "4"))
SEED = int(os.environ.get("API_SEED", "1"))

DESCRIBED = {route for route in RULES if route[1].startswith(("/api", "/healthz", "/readyz", "/metrics"))}
SIGNED = {route for route in PUBLIC if route[0] == "post"}
COMMON: set[Route] = {
    ("post", "/api/bookings"),
    ("get", "/api/bookings/{booking_id}"),
    ("get", "/api/bookings/{booking_id}/timeline"),
    ("post", "/api/bookings/{booking_id}/cancel"),
    ("post", "/api/providers"),
}
"""What a run that reaches anything does."""


@pytest.fixture(autouse=True)
def probing_patiently(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine Temporal takes its time; that is no fault of the request that waits for it."""
    monkeypatch.setattr(sagas, "PROBE_WITHIN", timedelta(seconds=45))


def tokens(shop: Shop) -> dict[Who, str]:
    until = datetime.now(UTC) + timedelta(hours=2)
    return {
        Who.CLIENT: token("client", shop.client_id, exp=until),
        Who.PROVIDER: token("provider", shop.provider_subject, exp=until),
        Who.OPS: token("ops", "ops-1", exp=until),
    }


async def ask_first(database: Database, shop: Shop) -> None:
    async def work(session: AsyncSession) -> None:
        (await session.get_one(Service, shop.service_id)).policy = {"approval": "provider"}

    await database.run(work)


async def a_class(api: httpx.AsyncClient, shop: Shop) -> tuple[str, str]:
    """Another service of the shop, and a class of it."""
    offered = {"name": "Class", "duration_minutes": 30, "capacity": 9, "amount": 900, "currency": "eur"}
    service = (await api.post("/api/services", json=offered, headers=as_provider(shop))).json()["id"]
    wanted = {"service_id": service, "starts_at": soon(48)}
    return service, (await api.post("/api/sessions", json=wanted, headers=as_provider(shop))).json()["id"]


async def a_world(
    api: httpx.AsyncClient, database: Database, shop: Shop, sdk: StripeClient
) -> dict[str, list[str]]:
    """Bookings at every stage, a service of each kind, and times at which they are free."""
    made = [await held(api, shop, sdk)]
    made += await asyncio.gather(
        *(booked(api, shop, starts_at=soon(hours)) for hours in range(10, 30, 4)),
        *(paid(api, shop, sdk, hours) for hours in range(30, 50, 4)),
    )
    await ask_first(database, shop)
    made += await asyncio.gather(*(paid(api, shop, sdk, hours) for hours in range(50, 62, 4)))
    classes, held_class = await a_class(api, shop)
    services = [str(shop.service_id), classes]
    return {
        "path.booking_id": [booking["id"] for booking in made],
        "path.service_id": services,
        "body.service_id": services,
        "path.session_id": [held_class],
        "path.provider_id": [str(shop.provider_id)],
        "body.provider_id": [str(shop.provider_id)],
        "body.session_id": [held_class],
        "body.starts_at": [soon(hours) for hours in range(100, 200, 2)],
    }


def successes() -> set[Route]:
    """The routes that have answered with what was asked for, since this process began."""
    return {
        (sample.labels["method"].lower(), sample.labels["route"])
        for metric in REQUESTS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["status"].startswith("2") and sample.value
    }


@pytest.fixture
async def own(deps: Dependencies, database_url: str) -> AsyncIterator[Dependencies]:
    """A product of this test's own: what ops see elsewhere may have been made to break, and has a right to be 503."""
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(scratch_database(database_url))
        temporal = await opened.enter_async_context(own_temporal())
        activities = build(database, deps.gateway, temporal, deps.defaults)
        await opened.enter_async_context(working(temporal, activities))
        yield replace(deps, database=database, temporal=temporal, inbox=Inbox(database, temporal))


async def test_no_generated_request_breaks_the_api(
    own: Dependencies, sdk: StripeClient, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    app, shop = build_app(own), await open_shop(own.database, own.gateway)
    async with calling(app) as api:
        known = await a_world(api, own.database, shop, sdk)
    REQUESTS.clear()
    async with served(app) as url:
        outcome = await attempt(url, tmp_path, Plan(EXAMPLES, SEED, tokens(shop), known))
    sent, tested = outcome.report["test_cases"], outcome.report["operations"]
    record_property("injected", sent["generated"])
    record_property("seed", SEED)
    assert (outcome.found, outcome.report["errors"]) == (set(), []), outcome.said
    assert (outcome.report["stop_reason"], tested["errored"]) == ("completed", 0), outcome.said
    assert tested["tested"] == len(DESCRIBED - SIGNED)
    # A run in which nothing happened would pass, too.
    assert successes() >= COMMON
    assert len(successes() & DESCRIBED) > len(DESCRIBED - SIGNED) / 2


async def test_the_same_set_up_notices_what_is_broken(deps: Dependencies, shop: Shop, tmp_path: Path) -> None:
    app = build_app(deps)

    @app.get("/broken/shape", responses=documented())
    async def _shape() -> Alive:
        return JSONResponse({"status": "poorly"})  # type: ignore[return-value] # that is the fault

    @app.get("/broken/bug", responses=documented())
    async def _bug(number: int = 0) -> Alive:
        return {1: Alive()}[number]

    @app.get("/broken/status", responses=documented())
    async def _status() -> Alive:
        raise Problem(Code.RATE_LIMITED)

    @app.get("/broken/door", responses=documented(Code.UNAUTHENTICATED), dependencies=[Depends(bearer)])
    async def _door() -> Alive:
        return Alive()

    async with served(app) as url:
        outcome = await attempt(url, tmp_path, Plan(EXAMPLES, SEED, tokens(shop), only="^/broken/"))
    assert outcome.found >= {
        ("JsonSchemaError", "GET /broken/shape"),
        ("ServerError", "GET /broken/bug"),
        ("UndefinedStatusCode", "GET /broken/status"),
        ("IgnoredAuth", "GET /broken/door"),
    }, outcome.said
