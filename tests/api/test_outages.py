"""What callers are told while something is away, and that nothing is lost by it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient
from temporalio.client import Client
from temporalio.service import RPCError

from api.app import build_app
from api.dependencies import Dependencies
from models.catalogue import Service
from models.database import Database
from models.keys import booking_id_for, workflow_id_for
from tests.api.calls import (
    Headers,
    Json,
    as_client,
    as_ops,
    as_provider,
    book,
    booked,
    calling,
    code,
    problem,
    soon,
)
from tests.api.cut_off import lose_patience, on
from tests.api.journeys import held, look, until
from tests.support.shop import Shop


def as_anybody_of_ops(_: Shop) -> Headers:
    return as_ops()


NEVER_LEFT: list[tuple[str, Callable[[Shop], Headers], Json]] = [
    ("approve", as_provider, {}),
    ("reject", as_provider, {}),
    ("object", as_client, {"reason": "no"}),
    ("reschedule", as_client, {"starts_at": soon(24)}),
    ("hold", as_anybody_of_ops, {"action": "release", "reason": "now"}),
]
"""Decisions that are about a moment: without an answer, nothing was promised."""


@pytest.mark.fault("T2")
async def test_without_temporal_no_booking_is_promised(deps: Dependencies, shop: Shop, away: Client) -> None:
    async with on(deps, away) as api:
        answer = await book(api, shop)
    assert code(answer) == "unavailable"
    assert answer.headers["Retry-After"]


@pytest.mark.fault("T2")
@pytest.mark.usefixtures("running_worker")
async def test_the_same_request_succeeds_when_temporal_is_back(
    deps: Dependencies, shop: Shop, away: Client, api: httpx.AsyncClient
) -> None:
    key, starts_at = f"back-{uuid4()}", soon()
    async with on(deps, away) as cut_off:
        assert code(await book(cut_off, shop, key=key, starts_at=starts_at)) == "unavailable"
    answer = await book(api, shop, key=key, starts_at=starts_at)
    assert (answer.status_code, answer.json()["id"]) == (201, str(booking_id_for(shop.client_id, key)))


@pytest.mark.fault("T2")
@pytest.mark.usefixtures("running_worker")
async def test_without_temporal_bookings_can_still_be_read(
    deps: Dependencies, shop: Shop, away: Client, api: httpx.AsyncClient
) -> None:
    made = await booked(api, shop)
    path = f"/api/bookings/{made['id']}"
    async with on(deps, away) as cut_off:
        assert (await cut_off.get(path, headers=as_client(shop))).status_code == 200
        assert (await cut_off.get(f"{path}/checkout", headers=as_client(shop))).json() == made["checkout"]
        assert code(await cut_off.post(f"{path}/cancel", headers=as_client(shop))) == "unavailable"
        body = {"payment_intent_id": made["payment"]["payment_intent_id"]}
        answer = await cut_off.post("/api/bookings/confirm", json=body, headers=as_client(shop))
        assert code(answer) == "booking_confirm_failed"


async def test_without_a_worker_a_booking_is_accepted(
    deps: Dependencies, shop: Shop, idle: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_patience(monkeypatch)
    key, starts_at = f"idle-{uuid4()}", soon()
    booking_id = booking_id_for(shop.client_id, key)
    async with on(deps, idle) as api:
        answers = await asyncio.gather(*(book(api, shop, key=key, starts_at=starts_at) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {202}
        answer = answers[0]
        assert answer.json() == {
            "id": str(booking_id),
            "status": "PENDING",
            "workflow_id": workflow_id_for(booking_id),
        }
        assert answer.headers["Location"] == f"/api/bookings/{booking_id}"
        assert answer.headers["Retry-After"]
        look = await api.get(answer.headers["Location"], headers=as_client(shop))
        assert code(look) == "booking_not_ready"
    await idle.get_workflow_handle(workflow_id_for(booking_id)).terminate()


@pytest.mark.usefixtures("running_worker")
async def test_without_a_worker_the_word_is_left_where_the_next_worker_finds_it(
    deps: Dependencies, shop: Shop, idle: Client, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await booked(api, shop)
    lose_patience(monkeypatch)
    await idle.start_workflow("Booking", id=made["workflow_id"], task_queue="nobody")
    path = f"/api/bookings/{made['id']}"
    async with on(deps, idle) as slow:
        answer = await slow.post(f"{path}/cancel", headers=as_client(shop))
        assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
        assert answer.headers["Location"] == path
        body = {"payment_intent_id": made["payment"]["payment_intent_id"]}
        refused = await slow.post("/api/bookings/confirm", json=body, headers=as_client(shop))
        assert code(refused) == "booking_confirm_failed"
        decision = {"step": "settle", "action": "retry", "reason": "now"}
        nobody = await slow.post(f"{path}/resolve", headers=as_ops(), json=decision)
        assert code(nobody) == "unavailable"
        for what, headers, order in NEVER_LEFT:
            nobody = await slow.post(f"{path}/{what}", headers=headers(shop), json=order)
            assert code(nobody) == "unavailable", what
            assert nobody.headers["Retry-After"]
        missed = await slow.post(f"{path}/no-show", headers=as_provider(shop), json={"who": "client"})
        assert missed.status_code == 202
    history = await idle.get_workflow_handle(made["workflow_id"]).fetch_history()
    left = [event.workflow_execution_signaled_event_attributes.signal_name for event in history.events]
    assert left.count("wished") == 2


@pytest.mark.fault("R1")
@pytest.mark.usefixtures("running_worker")
async def test_a_request_whose_run_is_ended_under_it_is_not_refused(
    deps: Dependencies, shop: Shop, idle: Client, api: httpx.AsyncClient
) -> None:
    """Reset or terminated before the seat was taken: the next run may take it all the same."""
    key, starts_at = f"ended-{uuid4()}", soon()
    run = idle.get_workflow_handle(workflow_id_for(booking_id_for(shop.client_id, key)))
    async with on(deps, idle) as slow:
        asking = asyncio.create_task(book(slow, shop, key=key, starts_at=starts_at))
        while not asking.done():
            with suppress(RPCError):
                await run.terminate()
                break
            await asyncio.sleep(0.05)
        answer = await asking
    assert (code(answer), answer.status_code) == ("unavailable", 503)
    assert answer.headers["Retry-After"]
    again = await book(api, shop, key=key, starts_at=starts_at)
    assert again.status_code == 201


@pytest.mark.usefixtures("running_worker")
async def test_a_workflow_that_is_gone_before_its_booking_ended_is_told_again(
    deps: Dependencies, shop: Shop, idle: Client, api: httpx.AsyncClient
) -> None:
    """Terminated: the reconciler will start it again, so asking again is right."""
    made = await booked(api, shop)
    async with on(deps, idle) as other:
        answer = await other.post(f"/api/bookings/{made['id']}/cancel", headers=as_client(shop))
    assert code(answer) == "unavailable"


@pytest.mark.usefixtures("running_worker")
async def test_a_refund_without_an_answer_is_not_promised(
    deps: Dependencies,
    shop: Shop,
    idle: Client,
    *,
    api: httpx.AsyncClient,
    sdk: StripeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = await held(api, shop, sdk)
    lose_patience(monkeypatch)
    path, order = f"/api/bookings/{made['id']}/refund", {"reason": "sorry"}
    async with on(deps, idle) as slow:
        # Its workflow is not there, and its payout is still to be made: the reconciler brings it back.
        assert code(await slow.post(path, headers=as_ops(), json=order)) == "unavailable"
        await idle.start_workflow("Booking", id=made["workflow_id"], task_queue="nobody")
        assert code(await slow.post(path, headers=as_ops(), json=order)) == "unavailable"
    assert (await look(api, made, as_ops()))["payment"]["amount_refunded"] == 0


async def test_a_class_is_closed_as_soon_as_a_worker_is_there(
    deps: Dependencies, shop: Shop, idle: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def widen(session: AsyncSession) -> None:
        (await session.get_one(Service, shop.service_id)).capacity = 5

    await database.run(widen)
    lose_patience(monkeypatch)
    async with on(deps, idle) as slow:
        wanted = {"service_id": str(shop.service_id), "starts_at": soon(24)}
        made = (await slow.post("/api/sessions", json=wanted, headers=as_provider(shop))).json()
        path = f"/api/sessions/{made['id']}"
        answer = await slow.post(f"{path}/cancel", headers=as_provider(shop))
        assert (answer.status_code, answer.json()["status"]) == (202, "SCHEDULED")
        assert answer.headers["Location"] == path
    told = await idle.get_workflow_handle(f"class-{made['id']}").describe()
    assert told.workflow_type == "Class"


@pytest.mark.fault("T2")
async def test_without_temporal_no_class_is_closed(
    deps: Dependencies, shop: Shop, away: Client, database: Database
) -> None:
    async def widen(session: AsyncSession) -> None:
        (await session.get_one(Service, shop.service_id)).capacity = 5

    await database.run(widen)
    async with on(deps, away) as cut_off:
        wanted = {"service_id": str(shop.service_id), "starts_at": soon(24)}
        made = (await cut_off.post("/api/sessions", json=wanted, headers=as_provider(shop))).json()
        answer = await cut_off.post(f"/api/sessions/{made['id']}/cancel", headers=as_provider(shop))
    assert code(answer) == "unavailable"


async def test_without_postgres_nothing_is_a_500(deps: Dependencies, shop: Shop) -> None:
    nowhere = Database.connect("postgresql+asyncpg://postgres@127.0.0.1:1/none")
    async with calling(build_app(replace(deps, database=nowhere))) as api:
        for answer in (
            await api.get("/api/services"),
            await api.get(f"/api/bookings/{uuid4()}", headers=as_ops()),
            await book(api, shop),
        ):
            assert code(answer) == "unavailable"
            assert "127.0.0.1" not in answer.text
        assert (await api.get("/healthz")).status_code == 200
        assert (await api.get("/metrics")).status_code == 200


async def test_ready_means_everything_can_be_reached(
    deps: Dependencies, api: httpx.AsyncClient, never_there: Client
) -> None:
    ready = {"status": "ready", "database": "ok", "temporal": "ok"}

    async def readiness() -> Json:
        found: Json = (await api.get("/readyz")).json()
        return found

    # A connection that is cut on a busy machine comes back.
    await until(readiness, lambda seen: seen == ready)
    nowhere = Database.connect("postgresql+asyncpg://postgres@127.0.0.1:1/none")
    async with calling(build_app(replace(deps, database=nowhere, temporal=never_there))) as cut_off:
        found = problem(await cut_off.get("/readyz"))
    assert (found["code"], found["detail"]) == ("unavailable", "Cannot be reached: database, temporal.")


async def test_the_numbers_name_routes_not_ids(api: httpx.AsyncClient) -> None:
    booking_id = uuid4()
    await api.get(f"/api/bookings/{booking_id}", headers=as_ops())
    text = (await api.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/api/bookings/{booking_id}",status="404"}' in text
    assert str(booking_id) not in text
    assert "inbox_pending " in text
