"""The matrix: every route with everybody who could call it, and with nobody."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from activities.stripe_gateway import StripeGateway
from api.app import _assemble
from models.catalogue import Service
from models.database import Database
from tests.api.calls import Headers, Json, as_client, as_ops, as_provider, bearer, booked, code, soon, token
from tests.api.rules import GUARDED, IN, RULES, Route, Who, routes_of
from tests.support.shop import Shop, open_shop

pytestmark = [pytest.mark.fault("A2"), pytest.mark.usefixtures("running_worker")]

REFUSALS = {"401": {"unauthenticated"}, "403": {"forbidden"}, "404": {"not_found"}}
CELLS = [(route, who) for route in sorted(RULES) for who in Who]


@dataclass(frozen=True)
class World:
    """Something of each kind, who it belongs to, and somebody else of each role."""

    booking: Json
    service_id: str
    provider_id: str
    session_id: str
    headers: dict[Who, Headers]

    def path(self, route: Route) -> str:
        return route[1].format(
            booking_id=self.booking["id"],
            service_id=self.service_id,
            provider_id=self.provider_id,
            session_id=self.session_id,
        )

    def body(self, route: Route, who: Who) -> Json | None:
        """One that is fine by itself, about what belongs to the first of each kind."""
        made = BODIES.get(route)
        return made(self, who) if made else None


def missing(_: World, who: Who) -> Json:
    """Nobody can say of themselves that they did not come."""
    return {"who": "provider" if who in {Who.CLIENT, Who.OTHER_CLIENT} else "client"}


BODIES: dict[Route, Callable[[World, Who], Json]] = {
    ("post", "/api/bookings"): lambda world, _: {"service_id": world.service_id, "starts_at": soon(72)},
    ("post", "/api/bookings/confirm"): lambda world, _: {
        "payment_intent_id": world.booking["payment"]["payment_intent_id"]
    },
    ("post", "/api/bookings/{booking_id}/no-show"): missing,
    ("post", "/api/bookings/{booking_id}/reschedule"): lambda *_: {"starts_at": soon(24)},
    ("post", "/api/bookings/{booking_id}/object"): lambda *_: {"reason": "because"},
    ("post", "/api/bookings/{booking_id}/refund"): lambda *_: {"reason": "because"},
    ("post", "/api/bookings/{booking_id}/hold"): lambda *_: {"action": "release", "reason": "because"},
    ("post", "/api/bookings/{booking_id}/resolve"): lambda *_: {
        "step": "reserve",
        "action": "retry",
        "reason": "because",
    },
    ("post", "/api/providers"): lambda *_: {
        "name": "Ada",
        "email": "ada@test.example",
        "time_zone": "Europe/Berlin",
        "country": "DE",
    },
    ("post", "/api/services"): lambda world, _: {
        "provider_id": world.provider_id,
        "name": "Lesson",
        "duration_minutes": 60,
        "amount": 12_000,
        "currency": "eur",
    },
    ("patch", "/api/services/{service_id}"): lambda *_: {"name": "Another name"},
    ("post", "/api/sessions"): lambda world, _: {"service_id": world.service_id, "starts_at": soon(96)},
}
"""What routes need before they look at whose things they are asked about."""


async def as_held_in_classes(database: Database, shop: Shop) -> None:
    async def widen(session: AsyncSession) -> None:
        (await session.get_one(Service, shop.service_id)).capacity = 5

    await database.run(widen)


@pytest.fixture(scope="module")
async def world(
    api: httpx.AsyncClient, database: Database, gateway: StripeGateway, running_worker: None
) -> World:
    del running_worker
    shop, rival = await open_shop(database, gateway), await open_shop(database, gateway)
    booking = await booked(api, shop)
    await as_held_in_classes(database, shop)
    wanted = {"service_id": str(shop.service_id), "starts_at": soon(48)}
    held = (await api.post("/api/sessions", json=wanted, headers=as_provider(shop))).json()
    return World(
        booking=booking,
        service_id=str(shop.service_id),
        provider_id=str(shop.provider_id),
        session_id=held["id"],
        headers={
            Who.NOBODY: {},
            Who.CLIENT: as_client(shop),
            Who.OTHER_CLIENT: bearer("client", f"other-{uuid4()}"),
            Who.PROVIDER: as_provider(shop),
            Who.OTHER_PROVIDER: as_provider(rival),
            Who.OPS: as_ops(),
        },
    )


async def ask(
    api: httpx.AsyncClient, world: World, route: Route, who: Who, headers: Headers | None = None
) -> httpx.Response:
    given: dict[str, Any] = {"headers": world.headers[who] if headers is None else headers}
    if (body := world.body(route, who)) is not None:
        given["json"] = body
    return await api.request(route[0], world.path(route), **given)


def test_every_route_has_its_rule() -> None:
    assert routes_of(_assemble().routes) == set(RULES)


def test_a_route_without_a_rule_is_noticed() -> None:
    app = _assemble()
    app.add_api_route("/api/hidden", lambda: None, methods=["DELETE"], include_in_schema=False)
    assert routes_of(app.routes) - set(RULES) == {("delete", "/api/hidden")}


@pytest.mark.parametrize(("route", "who"), CELLS, ids=str)
async def test_a_caller_is_told_what_the_rules_say(
    api: httpx.AsyncClient, world: World, route: Route, who: Who
) -> None:
    answer, rule = await ask(api, world, route, who), RULES[route][who]
    if rule == IN:
        assert answer.status_code not in {401, 403, 404}, answer.text
        return
    assert (str(answer.status_code), code(answer) in REFUSALS[rule]) == (rule, True), answer.text


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
async def test_without_a_token_a_caller_is_told_how_to_come_back(
    api: httpx.AsyncClient, world: World, route: Route
) -> None:
    answer = await ask(api, world, route, Who.NOBODY)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
async def test_a_forged_token_is_nobodys(api: httpx.AsyncClient, world: World, route: Route) -> None:
    forged = token("ops", "ops-1", key="another-secret-of-thirty-two-bytes-")
    answer = await ask(api, world, route, Who.OPS, {"Authorization": f"Bearer {forged}"})
    assert code(answer) == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
