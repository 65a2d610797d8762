"""Classes: put up by their provider, booked seat by seat, called off or held."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient

from activities.stripe_gateway import StripeGateway
from models.bookings import Session
from models.catalogue import Service
from models.database import Database
from models.records import AuditEvent
from tests.api.calls import Json, as_client, as_ops, as_provider, bearer, book, booked, code, problem, soon
from tests.api.journeys import act, look, pay, until
from tests.support.shop import Shop, open_shop

pytestmark = pytest.mark.usefixtures("running_worker")

SEATS = 2
SHORTLY = 4 / 3600
"""Hours until a class that can just still be booked."""


@pytest.fixture
async def studio(database: Database, gateway: StripeGateway) -> Shop:
    """A shop that holds classes of two seats."""
    shop = await open_shop(database, gateway)

    async def widen(session: AsyncSession) -> None:
        (await session.get_one(Service, shop.service_id)).capacity = SEATS

    await database.run(widen)
    return shop


async def put_up(
    api: httpx.AsyncClient, shop: Shop, *, key: str | None = None, **changes: Any
) -> httpx.Response:
    body = {"service_id": str(shop.service_id), "starts_at": soon(48)} | changes
    headers = as_provider(shop) | ({"Idempotency-Key": key} if key else {})
    return await api.post("/api/sessions", json=body, headers=headers)


async def a_class(api: httpx.AsyncClient, shop: Shop, hours: float = 48) -> Json:
    answer = await put_up(api, shop, starts_at=soon(hours))
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def seat(
    api: httpx.AsyncClient, shop: Shop, held: Json, client: str | None = None, key: str | None = None
) -> httpx.Response:
    headers = bearer("client", client or shop.client_id) | ({"Idempotency-Key": key} if key else {})
    return await api.post("/api/bookings", json={"session_id": held["id"]}, headers=headers)


async def attended(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, held: Json, client: str) -> Json:
    """A seat that is paid."""
    made: Json = (await seat(api, shop, held, client)).json()
    await pay(sdk, made)
    body = {"payment_intent_id": made["payment"]["payment_intent_id"]}
    answer = await api.post("/api/bookings/confirm", json=body, headers=bearer("client", client))
    assert answer.json()["status"] == "CONFIRMED", answer.text
    return made


# --- putting up ----------------------------------------------------------------------------------


async def test_a_class_is_there_for_anybody_to_see(
    api: httpx.AsyncClient, studio: Shop, database: Database
) -> None:
    answer = await put_up(api, studio)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["Location"] == f"/api/sessions/{made['id']}"
    assert (made["status"], made["capacity"], made["seats_left"]) == ("SCHEDULED", SEATS, SEATS)
    assert (await api.get(f"/api/sessions/{made['id']}")).json() == made
    path = f"/api/services/{studio.service_id}/availability"
    found = (await api.get(path)).json()
    assert (found["slots"], found["sessions"]) == ([], [made])
    written = select(AuditEvent).where(AuditEvent.entity_id == UUID(made["id"]))
    (event,) = await database.run(lambda session: _all(session, written))
    assert (event.to_status, event.actor_role, event.booking_id) == ("SCHEDULED", "provider", None)


async def _all(session: AsyncSession, query: Any) -> list[Any]:
    return list(await session.scalars(query))


async def test_a_class_takes_its_providers_time(api: httpx.AsyncClient, studio: Shop) -> None:
    made = await a_class(api, studio)
    half_past = (datetime.fromisoformat(made["starts_at"]) + timedelta(minutes=30)).isoformat()
    assert code(await put_up(api, studio, starts_at=half_past)) == "slot_taken"
    rivals = await asyncio.gather(*(put_up(api, studio, starts_at=soon(72)) for _ in range(8)))
    assert sorted(answer.status_code for answer in rivals) == [201] + [409] * 7


async def test_a_repeated_request_is_one_class(api: httpx.AsyncClient, studio: Shop) -> None:
    key, starts_at = f"class-{uuid4()}", soon(48)
    answers = await asyncio.gather(*(put_up(api, studio, key=key, starts_at=starts_at) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert code(await put_up(api, studio, key=key, starts_at=soon(50))) == "idempotency_key_reused"


@pytest.mark.parametrize(
    "changes",
    [
        {"starts_at": soon(-2)},
        {"starts_at": soon(24 * 400)},
        {"capacity": 1},
        {"capacity": SEATS + 1},
        {"capacity": "2"},
        {"capacity": 10**9},
        {"service_id": "x"},
        {"surprise": 1},
    ],
    ids=["in_the_past", "too_far_off", "one_seat", "too_many_seats", "text", "huge", "no_id", "surprise"],
)
async def test_a_class_has_a_shape(api: httpx.AsyncClient, studio: Shop, changes: Json) -> None:
    assert code(await put_up(api, studio, **changes)) == "validation_failed"


async def test_only_a_service_of_ones_own_with_seats_is_held_as_a_class(
    api: httpx.AsyncClient, studio: Shop, shop: Shop
) -> None:
    assert code(await put_up(api, shop)) == "validation_failed"
    assert code(await put_up(api, studio, service_id=str(uuid4()))) == "not_found"
    assert code(await put_up(api, studio, service_id=str(shop.service_id))) == "forbidden"


# --- booking -------------------------------------------------------------------------------------


async def test_seats_are_booked_until_none_is_left(api: httpx.AsyncClient, studio: Shop) -> None:
    held = await a_class(api, studio)
    first = await seat(api, studio, held, key="first")
    assert first.status_code == 201, first.text
    made = first.json()
    assert (made["session"]["id"], made["session"]["capacity"]) == (held["id"], SEATS)
    assert made["session"]["status"] == "SCHEDULED"
    assert made["checkout"]["client_secret"]
    assert (await seat(api, studio, held, key="first")).status_code == 200
    assert code(await seat(api, studio, held)) == "already_booked"
    assert (await seat(api, studio, held, "second")).status_code == 201
    assert code(await seat(api, studio, held, "third", key="third")) == "capacity_full"
    assert (await api.get(f"/api/sessions/{held['id']}")).json()["seats_left"] == 0
    await act(api, made, "cancel", as_client(studio))
    assert (await api.get(f"/api/sessions/{held['id']}")).json()["seats_left"] == 1
    assert code(await seat(api, studio, held, "third", key="third")) == "capacity_full"
    assert (await seat(api, studio, held, "third")).status_code == 201


async def test_a_crowd_gets_as_many_seats_as_there_are(api: httpx.AsyncClient, studio: Shop) -> None:
    held = await a_class(api, studio)
    answers = await asyncio.gather(*(seat(api, studio, held, f"client-{n}-{uuid4()}") for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * SEATS + [409] * (8 - SEATS)


async def test_what_is_no_class_has_no_seats(api: httpx.AsyncClient, studio: Shop, shop: Shop) -> None:
    assert code(await seat(api, studio, {"id": str(uuid4())})) == "class_not_found"
    alone = await booked(api, shop)
    assert code(await seat(api, shop, alone["session"], "other")) == "class_not_found"
    assert code(await api.get(f"/api/sessions/{alone['session']['id']}")) == "class_not_found"
    held = await a_class(api, studio)
    elsewhere = {"session_id": held["id"], "service_id": str(shop.service_id)}
    answer = await api.post("/api/bookings", json=elsewhere, headers=as_client(studio))
    assert code(answer) == "class_not_found"


async def test_a_class_is_named_and_not_timed(api: httpx.AsyncClient, studio: Shop) -> None:
    found = problem(await book(api, studio))
    assert (found["code"], found["errors"][0]["field"]) == ("validation_failed", "body.session_id")


async def test_a_seat_moves_to_another_class(api: httpx.AsyncClient, studio: Shop, sdk: StripeClient) -> None:
    old, new = await a_class(api, studio, 48), await a_class(api, studio, 60)
    made = await attended(api, studio, sdk, old, studio.client_id)
    assert code(await act(api, made, "reschedule", as_client(studio), starts_at=soon(60))) == (
        "validation_failed"
    )
    answer = await act(api, made, "reschedule", as_client(studio), session_id=new["id"])
    assert (answer.status_code, answer.json()["session"]["id"]) == (200, new["id"]), answer.text
    left = [(await api.get(f"/api/sessions/{held['id']}")).json()["seats_left"] for held in (old, new)]
    assert left == [SEATS, SEATS - 1]
    nowhere = str(uuid4())
    assert code(await act(api, made, "reschedule", as_client(studio), session_id=nowhere)) == (
        "class_not_found"
    )


# --- closing -------------------------------------------------------------------------------------


async def close(api: httpx.AsyncClient, held: Json, how: str, headers: dict[str, str]) -> httpx.Response:
    return await api.post(f"/api/sessions/{held['id']}/{how}", headers=headers)


async def test_calling_a_class_off_gives_everybody_everything_back(
    api: httpx.AsyncClient, studio: Shop, sdk: StripeClient
) -> None:
    held = await a_class(api, studio, 2)
    made = await attended(api, studio, sdk, held, studio.client_id)
    unpaid = (await seat(api, studio, held, "second")).json()
    answer = await close(api, held, "cancel", as_provider(studio))
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED"), answer.text
    for booking in (made, unpaid):
        ended = await until(
            lambda booking=booking: look(api, booking, as_ops()),  # type: ignore[misc]
            lambda seen: seen["status"] == "CANCELLED",
        )
        assert ended["status_reason"] == "cancelled_by_provider"
        assert ended["payment"]["status"] == "VOIDED"
    assert code(await seat(api, studio, held, "late")) == "class_not_found"
    again = await close(api, held, "cancel", as_provider(studio))
    assert (again.status_code, again.json()["status"]) == (200, "CANCELLED")
    assert code(await close(api, held, "complete", as_provider(studio))) == "invalid_state"


async def test_a_class_that_is_called_off_again_is_told_again_to_whoever_has_a_seat(
    api: httpx.AsyncClient, studio: Shop, sdk: StripeClient, database: Database
) -> None:
    held = await a_class(api, studio)
    made = await attended(api, studio, sdk, held, studio.client_id)
    # As after the termination of its workflow: the class is closed, and nobody in it knows.
    called_off = update(Session).where(Session.id == UUID(held["id"])).values(status="CANCELLED")
    await database.run(lambda session: session.execute(called_off))
    answer = await close(api, held, "cancel", as_provider(studio))
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED"), answer.text
    ended = await until(lambda: look(api, made, as_ops()), lambda seen: seen["status"] == "CANCELLED")
    assert (ended["status_reason"], ended["payment"]["status"]) == ("cancelled_by_provider", "VOIDED")


async def test_a_class_that_was_held_completes_its_bookings(
    api: httpx.AsyncClient, studio: Shop, sdk: StripeClient
) -> None:
    held = await a_class(api, studio, SHORTLY)
    made = await attended(api, studio, sdk, held, studio.client_id)

    async def complete() -> Json:
        answer = await close(api, held, "complete", as_provider(studio))
        return {"status": answer.status_code, "body": answer.json()}

    answer = await until(complete, lambda seen: seen["status"] == 200)
    assert answer["body"]["status"] == "COMPLETED"
    assert code(await seat(api, studio, held, "late")) == "class_not_found"
    ended = await until(
        lambda: look(api, made, as_client(studio)), lambda seen: seen["status"] == "COMPLETED"
    )
    assert ended["payment"]["status"] == "CAPTURED"
    assert code(await close(api, held, "cancel", as_provider(studio))) == "invalid_state"


async def test_a_class_is_not_held_before_it_starts(api: httpx.AsyncClient, studio: Shop) -> None:
    held = await a_class(api, studio)
    assert code(await close(api, held, "complete", as_provider(studio))) == "invalid_state"


async def test_only_its_provider_closes_a_class(api: httpx.AsyncClient, studio: Shop, shop: Shop) -> None:
    held = await a_class(api, studio)
    for how in ("cancel", "complete"):
        assert code(await close(api, held, how, as_provider(shop))) == "forbidden"
        assert code(await close(api, {"id": str(uuid4())}, how, as_provider(studio))) == "class_not_found"


async def test_a_booking_alone_does_not_close_its_class(
    api: httpx.AsyncClient, studio: Shop, sdk: StripeClient, database: Database
) -> None:
    held = await a_class(api, studio, SHORTLY)
    made = await attended(api, studio, sdk, held, studio.client_id)

    async def complete() -> Json:
        answer = await act(api, made, "complete", as_client(studio))
        return {"status": answer.status_code}

    await until(complete, lambda seen: seen["status"] == 200)
    row = await database.run(lambda session: session.get_one(Session, UUID(held["id"])))
    assert row.status == "SCHEDULED"
