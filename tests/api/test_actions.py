"""Cancelling, completing, confirming, resolving: decided by the workflow, answered from Postgres."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient
from temporalio.client import Client

from models.bookings import Booking, Session
from models.database import Database
from tests.api.calls import Json, as_client, as_ops, as_provider, bearer, booked, code, problem, soon
from tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("running_worker")


async def paid(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, hours: float = 2) -> Json:
    """A booking whose client has paid, and said so."""
    made = await booked(api, shop, starts_at=soon(hours))
    intent_id = made["payment"]["payment_intent_id"]
    await sdk.v1.payment_intents.confirm_async(intent_id, {"payment_method": "pm_card_visa"})
    answer = await confirm(api, shop, intent_id)
    assert answer.status_code == 200, answer.text
    confirmed: Json = answer.json()
    return confirmed


async def confirm(api: httpx.AsyncClient, shop: Shop, intent_id: str) -> httpx.Response:
    body = {"payment_intent_id": intent_id}
    return await api.post("/api/bookings/confirm", json=body, headers=as_client(shop))


async def act(
    api: httpx.AsyncClient, made: Json, what: str, headers: dict[str, str], /, **body: str
) -> httpx.Response:
    path = f"/api/bookings/{made['id']}/{what}"
    return await api.post(path, headers=headers, json=body) if body else await api.post(path, headers=headers)


# --- confirm -------------------------------------------------------------------------------------


async def test_paying_confirms(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    made = await paid(api, shop, sdk)
    assert (made["status"], made["session"]["status"]) == ("CONFIRMED", "SCHEDULED")
    assert made["payment"]["status"] == "AUTHORIZED"
    assert made["accepted_at"] is not None


async def test_confirming_fifty_times_answers_alike(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await booked(api, shop)
    intent_id = made["payment"]["payment_intent_id"]
    await sdk.v1.payment_intents.confirm_async(intent_id, {"payment_method": "pm_card_visa"})
    answers = await asyncio.gather(*(confirm(api, shop, intent_id) for _ in range(50)))
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "CONFIRMED")}


async def test_an_unpaid_booking_is_not_confirmed(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    found = problem(await confirm(api, shop, made["payment"]["payment_intent_id"]))
    assert (found["code"], found["booking_id"]) == ("payment_not_succeeded", made["id"])
    assert "requires_payment_method" in found["detail"]


async def test_an_intent_of_somebody_else_does_not_exist(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    body = {"payment_intent_id": made["payment"]["payment_intent_id"]}
    other = bearer("client", "other")
    assert code(await api.post("/api/bookings/confirm", json=body, headers=other)) == "not_found"
    assert code(await confirm(api, shop, "pi_nobody")) == "not_found"


async def test_a_payment_that_does_not_match_never_confirms(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await booked(api, shop)
    intent_id = made["payment"]["payment_intent_id"]
    await sdk.v1.payment_intents.update_async(intent_id, {"metadata": {"booking_id": str(uuid4())}})
    await sdk.v1.payment_intents.confirm_async(intent_id, {"payment_method": "pm_card_visa"})
    found = problem(await confirm(api, shop, intent_id))
    assert found["code"] == "payment_metadata_mismatch"
    assert intent_id not in found["detail"]
    aborted = {"step": "read_payment", "action": "abort", "reason": "not ours"}
    answer = await act(api, made, "resolve", as_ops(), **aborted)
    assert answer.status_code in {200, 202}, answer.text


async def test_confirming_a_cancelled_booking_names_its_state(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    await act(api, made, "cancel", as_client(shop))
    found = problem(await confirm(api, shop, made["payment"]["payment_intent_id"]))
    assert found["code"] == "invalid_state"
    assert "CANCELLED" in found["detail"]


# --- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["client", "provider", "ops"])
async def test_whoever_cancels_is_named(api: httpx.AsyncClient, shop: Shop, role: str) -> None:
    made = await booked(api, shop)
    headers = {"client": as_client(shop), "provider": as_provider(shop), "ops": as_ops()}[role]
    answer = await act(api, made, "cancel", headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["status_reason"]) == ("CANCELLED", f"cancelled_by_{role}")
    assert body["payment"]["status"] == "VOIDED"
    assert (body["payment"]["platform_fee"], body["payment"]["provider_share"]) == (0, 0)


async def test_words_are_kept_in_postgres_alone(
    api: httpx.AsyncClient, shop: Shop, database: Database, temporal: Client
) -> None:
    made = await booked(api, shop)
    await act(api, made, "cancel", as_client(shop), reason="I am ill")
    row = await database.run(lambda session: session.get_one(Booking, UUID(made["id"])))
    assert row.cancellation_note == "I am ill"
    history = await temporal.get_workflow_handle(made["workflow_id"]).fetch_history()
    assert "I am ill" not in history.to_json()
    await act(api, made, "cancel", as_provider(shop), reason="so am I")
    row = await database.run(lambda session: session.get_one(Booking, UUID(made["id"])))
    assert row.cancellation_note == "I am ill"


async def test_cancelling_again_is_cancelled(api: httpx.AsyncClient, shop: Shop, temporal: Client) -> None:
    made = await booked(api, shop)
    first = await act(api, made, "cancel", as_client(shop))
    await temporal.get_workflow_handle(made["workflow_id"]).result()
    second = await act(api, made, "cancel", as_provider(shop))
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json() == first.json()


async def test_cancelling_at_once_is_one_cancellation(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk, hours=48)
    answers = await asyncio.gather(*(act(api, made, "cancel", as_client(shop)) for _ in range(10)))
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "CANCELLED")}


async def test_the_quote_is_what_is_charged(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    made = await paid(api, shop, sdk, hours=2)
    path = f"/api/bookings/{made['id']}/cancellation-quote"
    quote = (await api.get(path, headers=as_client(shop))).json()
    assert (quote["keep"], quote["give_back"], quote["booking_status"]) == (6_000, 6_000, "FORFEIT")
    theirs = (await api.get(path, headers=as_provider(shop))).json()
    assert (theirs["keep"], theirs["give_back"]) == (0, 12_000)
    answer = await act(api, made, "cancel", as_client(shop))
    assert answer.json()["status"] == quote["booking_status"]
    assert answer.json()["payment"]["amount_captured"] == quote["keep"]
    assert code(await api.get(path, headers=as_client(shop))) == "invalid_state"


async def test_an_unpaid_booking_costs_nothing_to_cancel(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    answer = await api.get(f"/api/bookings/{made['id']}/cancellation-quote", headers=as_client(shop))
    assert (answer.json()["keep"], answer.json()["give_back"]) == (0, 12_000)


# --- complete ------------------------------------------------------------------------------------


async def test_a_session_that_has_not_started_is_not_complete(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk)
    found = problem(await act(api, made, "complete", as_client(shop)))
    assert (found["code"], found["booking_id"]) == ("invalid_state", made["id"])


async def test_an_unpaid_booking_cannot_be_completed(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop, starts_at=soon(0))
    assert code(await act(api, made, "complete", as_client(shop))) == "invalid_state"


async def test_completing_captures_and_holds(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    made = await paid(api, shop, sdk, hours=0)
    answer = await act(api, made, "complete", as_provider(shop))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["payment"]["status"]) == ("COMPLETED", "CAPTURED")
    assert body["payment"]["amount_captured"] == 12_000
    assert (body["payout"]["status"], body["payout"]["amount"]) == ("HELD", 9_600)
    again = await act(api, made, "complete", as_client(shop))
    assert (again.status_code, again.json()["status"]) == (200, "COMPLETED")
    found = problem(await act(api, made, "cancel", as_client(shop)))
    assert found["code"] == "invalid_state"
    assert "COMPLETED" in found["detail"]


async def test_a_client_cannot_cancel_what_has_started(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk, hours=0)
    assert code(await act(api, made, "cancel", as_client(shop))) == "too_late"
    path = f"/api/bookings/{made['id']}/cancellation-quote"
    assert code(await api.get(path, headers=as_client(shop))) == "too_late"


@pytest.mark.parametrize("what", ["complete", "cancel"])
async def test_who_is_refused_by_a_time_that_is_the_booking_s_no_more_is_asked_to_try_again(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, database: Database, what: str
) -> None:
    made = await paid(api, shop, sdk, hours=2 if what == "complete" else 0)
    old = await moved_to(database, made, datetime.fromisoformat(soon(5)))  # its workflow has not heard of it
    answer = await act(api, made, what, as_client(shop))
    assert (code(answer), answer.headers["Retry-After"]) == ("unavailable", "5")
    await moved_to(database, made, old)
    refused = {"complete": "invalid_state", "cancel": "too_late"}
    assert code(await act(api, made, what, as_client(shop))) == refused[what]


async def moved_to(database: Database, made: Json, starts_at: datetime) -> datetime:
    """Move a session in Postgres alone; answers when it started."""

    async def work(session: AsyncSession) -> datetime:
        block = await session.get_one(Session, UUID(made["session"]["id"]))
        before, length = block.starts_at, block.ends_at - block.starts_at
        block.starts_at, block.ends_at = starts_at, starts_at + length
        return before

    return await database.run(work)


async def test_completing_a_cancelled_booking_names_its_state(
    api: httpx.AsyncClient, shop: Shop, temporal: Client
) -> None:
    made = await booked(api, shop)
    await act(api, made, "cancel", as_client(shop))
    await temporal.get_workflow_handle(made["workflow_id"]).result()
    found = problem(await act(api, made, "complete", as_client(shop)))
    assert found["code"] == "invalid_state"
    assert "CANCELLED" in found["detail"]


# --- checkout and resolve ------------------------------------------------------------------------


async def test_the_client_gets_a_fresh_secret_while_it_can_pay(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await booked(api, shop)
    path = f"/api/bookings/{made['id']}/checkout"
    fresh = (await api.get(path, headers=as_client(shop))).json()
    assert fresh == made["checkout"]
    await sdk.v1.payment_intents.confirm_async(
        made["payment"]["payment_intent_id"], {"payment_method": "pm_card_visa"}
    )
    assert code(await api.get(path, headers=as_client(shop))) == "invalid_state"


async def test_nothing_is_parked(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    decision = {"step": "settle", "action": "retry", "reason": "why not"}
    assert code(await act(api, made, "resolve", as_ops(), **decision)) == "invalid_state"


@pytest.mark.parametrize(
    "changes", [{"action": "release"}, {"step": "dance"}, {"reason": ""}, {"amount": "1"}]
)
async def test_a_decision_has_a_shape(api: httpx.AsyncClient, shop: Shop, changes: dict[str, str]) -> None:
    made = await booked(api, shop)
    decision = {"step": "settle", "action": "retry", "reason": "why not"} | changes
    assert code(await act(api, made, "resolve", as_ops(), **decision)) == "validation_failed"


async def test_only_ops_read_what_broke(api: httpx.AsyncClient, shop: Shop, database: Database) -> None:
    made = await booked(api, shop)

    async def park(session: AsyncSession) -> None:
        row = await session.get_one(Booking, UUID(made["id"]))
        row.attention_step, row.attention_message = "settle", "StripeRejected: no such charge ch_1"
        row.attention_since = datetime.now(UTC) - timedelta(hours=1)

    await database.run(park)
    path = f"/api/bookings/{made['id']}"
    theirs = (await api.get(path, headers=as_client(shop))).json()["attention"]
    ours = (await api.get(path, headers=as_ops())).json()["attention"]
    assert theirs["step"] == ours["step"] == "settle"
    assert "ch_1" in ours["message"]
    assert "ch_1" not in theirs["message"]
