"""What both sides decide: approving, not coming, moving."""

import asyncio
from datetime import datetime
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient
from temporalio.client import Client

from activities.stripe_gateway import StripeGateway
from models.bookings import Booking
from models.database import Database
from tests.api.calls import Json, as_client, as_ops, as_provider, book, booked, code, problem, soon
from tests.api.journeys import act, confirmed, look, paid, pay, until
from tests.support.shop import Shop, open_shop

pytestmark = pytest.mark.usefixtures("running_worker")


@pytest.fixture
async def careful(database: Database, gateway: StripeGateway) -> Shop:
    """A shop whose provider wants to be asked."""
    return await open_shop(database, gateway, policy={"approval": "provider"})


async def asked(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> Json:
    made = await booked(api, shop)
    await pay(sdk, made)
    said = await confirmed(api, shop, made)
    return await until(
        lambda: look(api, said, as_client(shop)), lambda seen: seen["status"] == "AWAITING_APPROVAL"
    )


# --- approval ------------------------------------------------------------------------------------


async def test_a_paid_booking_waits_for_its_provider(
    api: httpx.AsyncClient, careful: Shop, sdk: StripeClient
) -> None:
    made = await asked(api, careful, sdk)
    assert made["payment"]["status"] == "AUTHORIZED"
    assert code(await act(api, made, "approve", as_client(careful))) == "forbidden"
    assert code(await act(api, made, "approve", as_ops())) == "forbidden"
    answer = await act(api, made, "approve", as_provider(careful))
    assert (answer.status_code, answer.json()["status"]) == (200, "CONFIRMED"), answer.text
    again = await act(api, made, "approve", as_provider(careful))
    assert (again.status_code, again.json()["status"]) == (200, "CONFIRMED")
    assert code(await act(api, made, "reject", as_provider(careful))) == "invalid_state"


async def test_a_rejected_booking_is_not_charged_and_says_why(
    api: httpx.AsyncClient, careful: Shop, sdk: StripeClient, temporal: Client
) -> None:
    made = await asked(api, careful, sdk)
    answer = await act(api, made, "reject", as_provider(careful), reason="I am away, sorry 🙁")
    assert (answer.status_code, answer.json()["status"]) == (200, "REJECTED"), answer.text
    assert answer.json()["payment"]["status"] == "VOIDED"
    handle = temporal.get_workflow_handle(made["workflow_id"])
    await handle.result()
    assert "I am away" not in (await handle.fetch_history()).to_json()
    again = await act(api, made, "reject", as_provider(careful), reason="I am away, sorry 🙁")
    assert (again.status_code, again.json()["status"]) == (200, "REJECTED")
    seen = await api.get(f"/api/bookings/{made['id']}/timeline", headers=as_client(careful))
    said = [line for line in seen.json()["happened"] if line["kind"] == "remark"]
    assert [(line["about"], line["words"]) for line in said] == [("reject", "I am away, sorry 🙁")]
    assert code(await act(api, made, "approve", as_provider(careful))) == "invalid_state"


async def test_of_two_answers_one_stands(api: httpx.AsyncClient, careful: Shop, sdk: StripeClient) -> None:
    made = await asked(api, careful, sdk)
    answers = await asyncio.gather(
        *(act(api, made, what, as_provider(careful)) for what in ("approve", "reject"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_nobody_approves_what_was_not_asked(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk)
    found = problem(await act(api, made, "approve", as_provider(shop)))
    assert (found["code"], found["booking_id"]) == ("invalid_state", made["id"])
    assert "CONFIRMED" in found["detail"]


# --- no-shows ------------------------------------------------------------------------------------


async def test_a_client_that_did_not_come_pays(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    made = await paid(api, shop, sdk, hours=0)
    answer = await act(api, made, "no-show", as_provider(shop), who="client")
    assert (answer.status_code, answer.json()["status"]) == (200, "NO_SHOW"), answer.text
    assert answer.json()["payment"]["amount_captured"] == 12_000
    again = await act(api, made, "no-show", as_ops(), who="client")
    assert (again.status_code, again.json()["status"]) == (200, "NO_SHOW")
    found = problem(await act(api, made, "complete", as_client(shop)))
    assert found["code"] == "invalid_state"


@pytest.mark.parametrize("who", ["client", "provider"])
async def test_nobody_reports_itself(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, who: str) -> None:
    made = await paid(api, shop, sdk, hours=0)
    headers = as_client(shop) if who == "client" else as_provider(shop)
    assert code(await act(api, made, "no-show", headers, who=who)) == "forbidden"


async def test_a_session_that_has_not_started_has_no_no_show(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk, hours=2)
    assert code(await act(api, made, "no-show", as_provider(shop), who="client")) == "invalid_state"


async def test_a_providers_no_show_is_a_claim_until_it_answers(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk, hours=0)
    answer = await act(api, made, "no-show", as_client(shop), who="provider")
    assert (answer.status_code, answer.json()["status"]) == (200, "CONFIRMED"), answer.text
    assert answer.json()["reported_outcome"] == "provider_no_show"
    again = await act(api, made, "no-show", as_client(shop), who="provider")
    assert again.json() == answer.json()
    contradicted = await act(api, made, "complete", as_provider(shop))
    assert (contradicted.status_code, contradicted.json()["status"]) == (200, "CONFIRMED")
    path = f"/api/bookings/{made['id']}/timeline"
    waiting = (await api.get(path, headers=as_client(shop))).json()["awaiting"]
    assert (waiting["what"], [can["role"] for can in waiting["can_act"]]) == ("contradiction", ["ops"])
    decision = {"step": "reports", "action": "refund", "reason": "the door was locked"}

    async def decide() -> Json:
        answer = await act(api, made, "resolve", as_ops(), **decision)
        return {"status": answer.status_code}

    # The question is asked a moment after the report was noted.
    await until(decide, lambda seen: seen["status"] == 200)
    ended = await until(lambda: look(api, made, as_client(shop)), lambda seen: seen["status"] != "CONFIRMED")
    assert (ended["status"], ended["payment"]["status"]) == ("CANCELLED", "VOIDED")


# --- moving --------------------------------------------------------------------------------------


async def test_a_booking_moves_and_lets_its_old_time_go(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk, hours=48)
    to = soon(50)
    answer = await act(api, made, "reschedule", as_client(shop), starts_at=to)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert datetime.fromisoformat(body["session"]["starts_at"]) == datetime.fromisoformat(to)
    assert body["payment"] | {"capture_before": None} == made["payment"] | {"capture_before": None}
    again = await act(api, made, "reschedule", as_client(shop), starts_at=to)
    assert (again.status_code, again.json()) == (200, body)
    assert (await book(api, shop, client="other", starts_at=soon(48))).status_code == 201
    assert code(await book(api, shop, client="another", starts_at=to)) == "slot_taken"


async def test_a_taken_time_is_no_destination(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    made = await paid(api, shop, sdk, hours=48)
    await booked(api, shop, client="other", starts_at=(taken := soon(50)))
    found = problem(await act(api, made, "reschedule", as_client(shop), starts_at=taken))
    assert (found["code"], found["booking_id"]) == ("slot_taken", made["id"])
    kept = await look(api, made, as_client(shop))
    assert kept["session"] == made["session"]


async def test_a_client_moves_until_the_cutoff_and_a_provider_until_the_start(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await paid(api, shop, sdk, hours=2)
    assert code(await act(api, made, "reschedule", as_client(shop), starts_at=soon(4))) == "too_late"
    answer = await act(api, made, "reschedule", as_provider(shop), starts_at=soon(4))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"starts_at": soon(-2)},
        {"starts_at": soon(24 * 400)},
        {"session_id": "00000000-0000-0000-0000-000000000001"},
        {"starts_at": "2026-12-01T10:00:00"},
        {"starts_at": soon(2), "session_id": "00000000-0000-0000-0000-000000000001"},
        {"surprise": 1},
    ],
    ids=range(6),
)
async def test_a_destination_has_a_shape(api: httpx.AsyncClient, shop: Shop, body: Json) -> None:
    made = await booked(api, shop)
    found = problem(await act(api, made, "reschedule", as_client(shop), **body))
    assert found["code"] == "validation_failed"
    assert found["errors"]


async def test_an_unpaid_booking_does_not_move(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop)
    assert code(await act(api, made, "reschedule", as_client(shop), starts_at=soon(9))) == "invalid_state"


async def test_a_moved_booking_wins_no_tier_back(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, database: Database
) -> None:
    made = await paid(api, shop, sdk, hours=72)

    async def cap(session: AsyncSession) -> None:
        row = await session.get_one(Booking, UUID(made["id"]))
        row.refund_cap_bps = 5_000

    await database.run(cap)
    path = f"/api/bookings/{made['id']}/cancellation-quote"
    quote = (await api.get(path, headers=as_client(shop))).json()
    assert (quote["keep"], quote["give_back"], quote["booking_status"]) == (6_000, 6_000, "CANCELLED")
