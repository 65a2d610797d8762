"""Making a booking over HTTP, on real parts."""

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select
from stripe import StripeClient
from temporalio.client import Client

from models.bookings import Booking, Session
from models.catalogue import Client as ClientRow
from models.database import Database
from models.keys import booking_id_for, workflow_id_for
from models.states import SEAT_HOLDING
from tests.api.calls import as_client, bearer, book, booked, code, soon
from tests.support.shop import Shop
from workflows.booking import BookingWorkflow
from workflows.contracts import BOOKINGS_QUEUE

pytestmark = pytest.mark.usefixtures("running_worker")

CROWD = 50


async def test_a_booking_is_made_and_can_be_paid(api: httpx.AsyncClient, shop: Shop) -> None:
    answer = await book(api, shop)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["Location"] == f"/api/bookings/{made['id']}"
    assert (made["status"], made["session"]["status"]) == ("PENDING", "DRAFT")
    assert made["workflow_id"] == workflow_id_for(UUID(made["id"]))
    payment = made["payment"]
    assert (payment["amount"], payment["currency"], payment["plan"]) == (12_000, "eur", "authorize_now")
    assert (payment["platform_fee"], payment["provider_share"]) == (2_400, 9_600)
    assert made["checkout"]["client_secret"].startswith(f"{payment['payment_intent_id']}_secret_")
    assert made["checkout"]["publishable_key"].startswith("pk_")


async def test_the_resource_has_just_the_fields_of_the_contract(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    assert set(made) == {
        *("id", "status", "status_reason", "service_id", "provider_id", "client_id", "session", "payment"),
        *(
            "payout",
            "reported_outcome",
            "notes",
            "attention",
            "expires_at",
            "accepted_at",
            "workflow_id",
            "created_at",
        ),
        "checkout",
    }
    assert set(made["session"]) == {"id", "status", "starts_at", "ends_at", "capacity"}
    assert set(made["payment"]) == {
        *("status", "plan", "amount", "currency", "amount_captured", "amount_refunded", "platform_fee"),
        *("provider_share", "payment_intent_id", "setup_intent_id", "checkout_session_id"),
        *("capture_before", "authorize_at", "fix_by"),
    }
    assert set(made["checkout"]) == {"kind", "client_secret", "url", "publishable_key"}


async def test_the_client_is_remembered_and_refreshed(
    api: httpx.AsyncClient, shop: Shop, database: Database
) -> None:
    subject = f"new-{uuid4()}"
    for number, said in enumerate(({"name": "Ada"}, {"email": "ada@example.com"}, {})):
        body = {"service_id": str(shop.service_id), "starts_at": soon(2 + 2 * number)}
        answer = await api.post("/api/bookings", json=body, headers=bearer("client", subject, **said))
        assert answer.status_code == 201, answer.text
    kept = await database.run(lambda session: session.get_one(ClientRow, subject))
    assert (kept.name, kept.email) == ("Ada", "ada@example.com")


async def test_what_the_client_wrote_is_for_its_provider_to_read(api: httpx.AsyncClient, shop: Shop) -> None:
    body = {"service_id": str(shop.service_id), "starts_at": soon(), "notes": "I bring my own piano."}
    made = (await api.post("/api/bookings", json=body, headers=as_client(shop))).json()
    for headers in (as_client(shop), bearer("provider", shop.provider_subject)):
        seen = (await api.get(f"/api/bookings/{made['id']}", headers=headers)).json()
        assert seen["notes"] == "I bring my own piano."


@pytest.mark.fault("A3")
async def test_history_holds_no_secret_and_no_person(
    api: httpx.AsyncClient, shop: Shop, temporal: Client
) -> None:
    canary = "canary@example.com"
    body = {"service_id": str(shop.service_id), "starts_at": soon(), "notes": canary}
    headers = bearer("client", shop.client_id, name=canary, email=canary)
    made = (await api.post("/api/bookings", json=body, headers=headers)).json()
    history = await temporal.get_workflow_handle(made["workflow_id"]).fetch_history()
    text = history.to_json()
    assert canary not in text
    assert not re.search(r"_secret_", text)
    assert str(shop.service_id).encode() in b"".join(
        payload.data
        for payload in history.events[0].workflow_execution_started_event_attributes.input.payloads
    )


@pytest.mark.fault("A3")
async def test_logs_hold_no_secret_and_no_person(
    api: httpx.AsyncClient, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = "canary@example.com"
    body = {"service_id": str(shop.service_id), "starts_at": soon(), "notes": canary}
    headers = bearer("client", shop.client_id, name=canary, email=canary) | {"Idempotency-Key": canary}
    made = await api.post("/api/bookings", json=body, headers=headers, params={"canary": canary})
    refused = await api.post("/api/bookings", json=body | {"starts_at": canary}, headers=headers)
    assert (made.status_code, refused.status_code) == (201, 422)
    logged = "".join(capsys.readouterr())
    assert "/api/bookings" in logged
    assert canary not in logged
    assert made.json()["checkout"]["client_secret"] not in logged
    assert headers["Authorization"] not in logged


async def test_operators_see_what_it_is_about_from_the_start(
    api: httpx.AsyncClient, shop: Shop, temporal: Client
) -> None:
    made = await booked(api, shop)
    description = await temporal.get_workflow_handle(made["workflow_id"]).describe()
    assert await description.static_summary() == f"Booking {made['id']} · 120.00 EUR"
    details = await description.static_details() or ""
    assert made["provider_id"] in details
    shown = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert shown["BookingStatus"] == "PENDING"
    assert shown["NeedsAttention"] is False
    assert shown["ServiceId"] == str(shop.service_id)


# --- once ----------------------------------------------------------------------------------------


async def test_fifty_times_the_same_request_is_one_booking(
    api: httpx.AsyncClient, shop: Shop, database: Database, sdk: StripeClient, temporal: Client
) -> None:
    key, starts_at = str(uuid4()), soon()
    answers = await asyncio.gather(*(book(api, shop, key=key, starts_at=starts_at) for _ in range(CROWD)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    made = {answer.json()["id"] for answer in answers}
    assert made == {str(booking_id_for(shop.client_id, key))}
    intents = {answer.json()["payment"]["payment_intent_id"] for answer in answers}
    assert len(intents) == 1
    assert await count(database, Session, Session.provider_id == shop.provider_id) == 1
    row = await database.run(lambda session: session.get_one(ClientRow, shop.client_id))
    listed = await sdk.v1.payment_intents.list_async({"customer": str(row.stripe_customer_id)})
    assert [intent.id for intent in listed.data] == list(intents)
    assert await runs(temporal, workflow_id_for(booking_id_for(shop.client_id, key))) == 1


async def test_fifty_clients_and_one_slot_is_one_booking(
    api: httpx.AsyncClient, shop: Shop, database: Database
) -> None:
    starts = [soon(2 + 0.25 * (number % 3)) for number in range(CROWD)]
    answers = await asyncio.gather(
        *(book(api, shop, client=f"rival-{uuid4()}", starts_at=moment) for moment in starts)
    )
    found = Counter(answer.status_code for answer in answers)
    assert found == {201: 1, 409: CROWD - 1}
    assert {code(answer) for answer in answers if answer.is_error} == {"slot_taken"}
    holding = (Booking.provider_id == shop.provider_id) & Booking.status.in_(SEAT_HOLDING)
    assert await count(database, Booking, holding) == 1


async def test_the_same_request_again_is_the_booking_as_it_is_now(api: httpx.AsyncClient, shop: Shop) -> None:
    key, starts_at = "again", soon()
    first = await book(api, shop, key=key, starts_at=starts_at)
    second = await book(api, shop, key=key, starts_at=starts_at)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    cancelled = await api.post(f"/api/bookings/{first.json()['id']}/cancel", headers=as_client(shop))
    assert cancelled.json()["status"] == "CANCELLED"
    third = await book(api, shop, key=key, starts_at=starts_at)
    assert (third.status_code, third.json()["status"], third.json()["checkout"]) == (200, "CANCELLED", None)


async def test_an_instant_is_the_same_in_every_zone(api: httpx.AsyncClient, shop: Shop) -> None:
    starts_at = datetime.fromisoformat(soon())
    first = await book(api, shop, key="zone", starts_at=starts_at.isoformat())
    shifted = starts_at + timedelta(hours=9)
    elsewhere = shifted.replace(tzinfo=None).isoformat() + "+09:00"
    second = await book(api, shop, key="zone", starts_at=elsewhere)
    assert (second.status_code, second.json()["id"]) == (200, first.json()["id"])
    assert first.json()["session"]["starts_at"] == starts_at.astimezone(UTC).isoformat().replace(
        "+00:00", "Z"
    )


async def test_a_key_is_for_one_body(api: httpx.AsyncClient, shop: Shop) -> None:
    assert (await book(api, shop, key="one", starts_at=soon(2))).status_code == 201
    assert code(await book(api, shop, key="one", starts_at=soon(4))) == "idempotency_key_reused"


async def test_a_key_is_for_one_client(api: httpx.AsyncClient, shop: Shop) -> None:
    first = await book(api, shop, key="mine", starts_at=soon(2))
    other = await book(api, shop, key="mine", starts_at=soon(4), client=f"other-{uuid4()}")
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["id"] != other.json()["id"]


async def test_the_same_key_gets_the_same_refusal(api: httpx.AsyncClient, shop: Shop) -> None:
    starts_at, late = soon(), f"late-{uuid4()}"
    made = await booked(api, shop, starts_at=starts_at)
    assert code(await book(api, shop, key="late", client=late, starts_at=starts_at)) == "slot_taken"
    await api.post(f"/api/bookings/{made['id']}/cancel", headers=as_client(shop))
    assert code(await book(api, shop, key="late", client=late, starts_at=starts_at)) == "slot_taken"
    assert (await book(api, shop, key="new", client=late, starts_at=starts_at)).status_code == 201


async def test_without_a_key_every_request_is_new(api: httpx.AsyncClient, shop: Shop) -> None:
    starts_at = soon()
    assert (await book(api, shop, starts_at=starts_at)).status_code == 201
    assert code(await book(api, shop, starts_at=starts_at)) == "slot_taken"


async def test_a_booking_outlives_its_workflow(api: httpx.AsyncClient, shop: Shop, temporal: Client) -> None:
    first = await book(api, shop, key="outlived", starts_at=(starts_at := soon()))
    made = first.json()
    await api.post(f"/api/bookings/{made['id']}/cancel", headers=as_client(shop))
    await temporal.get_workflow_handle(made["workflow_id"]).result()
    again = await book(api, shop, key="outlived", starts_at=starts_at)
    assert (again.status_code, again.json()["status"]) == (200, "CANCELLED")


async def test_a_workflow_that_was_terminated_early_is_started_again(
    api: httpx.AsyncClient, shop: Shop, temporal: Client
) -> None:
    asked = shop.request(booking_id=booking_id_for(shop.client_id, "terminated"))
    handle = await temporal.start_workflow(
        BookingWorkflow.run,
        asked,
        id=workflow_id_for(asked.booking_id),
        task_queue=BOOKINGS_QUEUE,
        start_delay=timedelta(days=1),
    )
    await handle.terminate()
    answer = await book(api, shop, key="terminated", starts_at=asked.starts_at.isoformat())
    assert (answer.status_code, answer.json()["id"]) == (201, str(asked.booking_id))


async def count(database: Database, table: Any, condition: Any) -> int:
    query = select(func.count()).select_from(table).where(condition)
    async with database.transaction() as session:
        return await session.scalar(query) or 0


async def runs(temporal: Client, workflow_id: str) -> int:
    """How often a workflow was started, as soon as the console knows of it."""
    async with asyncio.timeout(30):
        while not (found := (await temporal.count_workflows(f"WorkflowId='{workflow_id}'")).count):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.05)
    return found
