"""Sessions beyond the reach of an authorization: the card is kept now and charged nearer the date."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient

from models.database import Database
from models.payments import Payment
from tests.api.calls import Json, as_client, as_provider, booked, code, problem, soon
from tests.api.journeys import act, look, until
from tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("running_worker")

FAR = 24 * 30


async def kept(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> Json:
    """A booking whose client has left its card, and said so."""
    made = await booked(api, shop, starts_at=soon(FAR))
    setup_id = made["payment"]["setup_intent_id"]
    await sdk.v1.setup_intents.confirm_async(setup_id, {"payment_method": "pm_card_visa"})
    answer = await api.post(
        "/api/bookings/confirm", json={"payment_intent_id": setup_id}, headers=as_client(shop)
    )
    assert answer.status_code == 200, answer.text
    confirmed: Json = answer.json()
    return confirmed


async def test_a_far_session_asks_for_a_card_and_no_money(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await booked(api, shop, starts_at=soon(FAR))
    assert (made["payment"]["plan"], made["payment"]["payment_intent_id"]) == ("authorize_later", None)
    setup_id = made["payment"]["setup_intent_id"]
    assert made["checkout"]["kind"] == "setup_intent"
    assert made["checkout"]["client_secret"].startswith(f"{setup_id}_secret_")
    path = f"/api/bookings/{made['id']}/checkout"
    assert (await api.get(path, headers=as_client(shop))).json() == made["checkout"]
    body = {"payment_intent_id": setup_id}
    answer = await api.post("/api/bookings/confirm", json=body, headers=as_client(shop))
    assert code(answer) == "payment_not_succeeded"
    await sdk.v1.setup_intents.confirm_async(setup_id, {"payment_method": "pm_card_visa"})
    assert code(await api.get(path, headers=as_client(shop))) == "invalid_state"


async def test_a_card_that_is_kept_confirms(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    made = await kept(api, shop, sdk)
    assert (made["status"], made["payment"]["status"]) == ("CONFIRMED", "SAVED")
    charged_at = datetime.fromisoformat(made["payment"]["authorize_at"])
    assert charged_at == datetime.fromisoformat(made["session"]["starts_at"]) - timedelta(hours=48)
    seen = (await api.get(f"/api/bookings/{made['id']}/timeline", headers=as_client(shop))).json()
    assert seen["awaiting"]["what"] == "authorization"
    assert datetime.fromisoformat(seen["awaiting"]["until"]) == charged_at


async def test_a_card_that_was_not_charged_costs_nothing(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await kept(api, shop, sdk)
    path = f"/api/bookings/{made['id']}/cancellation-quote"
    quote = (await api.get(path, headers=as_client(shop))).json()
    assert (quote["keep"], quote["booking_status"]) == (0, "CANCELLED")
    answer = await act(api, made, "cancel", as_client(shop))
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED"), answer.text


async def test_a_refused_card_is_repaired_by_its_client(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, database: Database
) -> None:
    """The day of the charge comes and the card wants its owner: as the saga would leave it."""
    made = await kept(api, shop, sdk)
    customer = (await sdk.v1.setup_intents.retrieve_async(made["payment"]["setup_intent_id"])).customer
    intent = await sdk.v1.payment_intents.create_async(
        {"amount": 12_000, "currency": "eur", "customer": str(customer), "capture_method": "manual"}
    )

    async def refused(session: AsyncSession) -> None:
        payments = select(Payment).where(Payment.booking_id == UUID(made["id"]))
        payment = (await session.scalars(payments)).one()
        payment.payment_intent_id = intent.id
        payment.fix_by = datetime.now(UTC) + timedelta(days=1)

    await database.run(refused)
    path = f"/api/bookings/{made['id']}"
    seen = await look(api, made, as_client(shop))
    assert seen["payment"]["fix_by"] is not None
    checkout = (await api.get(f"{path}/checkout", headers=as_client(shop))).json()
    assert checkout["client_secret"].startswith(f"{intent.id}_secret_")
    waiting = (await api.get(f"{path}/timeline", headers=as_client(shop))).json()["awaiting"]
    assert (waiting["what"], waiting["can_act"][0]["path"]) == ("card_repair", f"{path}/checkout")
    body = {"payment_intent_id": intent.id}
    answer = await api.post("/api/bookings/confirm", json=body, headers=as_client(shop))
    assert code(answer) == "payment_not_succeeded"
    assert code(await api.get(f"{path}/checkout", headers=as_provider(shop))) == "forbidden"


async def test_far_off_is_a_year_away(api: httpx.AsyncClient, shop: Shop) -> None:
    path = f"/api/services/{shop.service_id}/availability"
    query = {"from": soon(24 * 360), "to": soon(24 * 361)}
    assert (await api.get(path, params=query)).json()["slots"]
    found = problem(
        await api.post(
            "/api/bookings",
            json={"service_id": str(shop.service_id), "starts_at": soon(24 * 366)},
            headers=as_client(shop),
        )
    )
    assert found["errors"][0]["field"] == "body.starts_at"


async def test_a_booking_moved_far_away_lets_its_authorization_go(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient
) -> None:
    made = await booked(api, shop, starts_at=soon(48))
    await sdk.v1.payment_intents.confirm_async(
        made["payment"]["payment_intent_id"], {"payment_method": "pm_card_visa"}
    )
    body = {"payment_intent_id": made["payment"]["payment_intent_id"]}
    await api.post("/api/bookings/confirm", json=body, headers=as_client(shop))
    answer = await act(api, made, "reschedule", as_client(shop), starts_at=soon(FAR))
    assert answer.status_code == 200, answer.text
    seen = await until(
        lambda: look(api, made, as_client(shop)), lambda seen: seen["payment"]["status"] != "AUTHORIZED"
    )
    assert (seen["status"], seen["payment"]["status"]) == ("CONFIRMED", "SAVED")
