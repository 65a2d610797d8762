"""The inbox over HTTP: verified, stored once, told, answered."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from stripe import StripeClient
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.inbox import Inbox
from api.app import build_app, rotation
from api.dependencies import Dependencies
from models.database import Database
from models.records import StripeEvent
from tests.api.calls import (
    CONNECT_SECRETS,
    WEBHOOK_SECRETS,
    Json,
    as_client,
    booked,
    calling,
    code,
    event,
    settings,
    signed,
)
from tests.support.shop import Shop

PLATFORM = "/api/webhooks/stripe"
CONNECT = "/api/webhooks/stripe/connect"
ALIAS = "/api/payments/webhook"


async def deliver(
    api: httpx.AsyncClient, sent: Json, path: str = PLATFORM, secret: str = WEBHOOK_SECRETS[0]
) -> httpx.Response:
    payload, header = signed(sent, secret)
    return await api.post(path, content=payload, headers={"Stripe-Signature": header})


async def stored(database: Database, event_id: str) -> StripeEvent | None:
    return await database.run(lambda session: session.get(StripeEvent, event_id))


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        (PLATFORM, WEBHOOK_SECRETS[0]),
        (PLATFORM, WEBHOOK_SECRETS[1]),
        (ALIAS, WEBHOOK_SECRETS[0]),
        (CONNECT, CONNECT_SECRETS[0]),
    ],
)
async def test_a_signed_event_is_kept(
    api: httpx.AsyncClient, database: Database, path: str, secret: str
) -> None:
    sent = event("invoice.paid", account="acct_1")
    answer = await deliver(api, sent, path, secret)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    row = await stored(database, sent["id"])
    assert row is not None
    assert (row.type, row.account, row.object_id) == ("invoice.paid", "acct_1", sent["data"]["object"]["id"])


@pytest.mark.fault("W3")
@pytest.mark.parametrize(("path", "secret"), [(PLATFORM, CONNECT_SECRETS[0]), (CONNECT, WEBHOOK_SECRETS[0])])
async def test_each_endpoint_has_its_own_secret(
    api: httpx.AsyncClient, database: Database, path: str, secret: str
) -> None:
    sent = event()
    assert code(await deliver(api, sent, path, secret)) == "invalid_signature"
    assert await stored(database, sent["id"]) is None


@pytest.mark.fault("W1")
async def test_a_replay_is_welcome_and_changes_nothing(api: httpx.AsyncClient, database: Database) -> None:
    sent = event("invoice.paid")
    answers = await asyncio.gather(*(deliver(api, sent) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    first = await stored(database, sent["id"])
    assert (await deliver(api, sent)).status_code == 200
    second = await stored(database, sent["id"])
    assert first is not None
    assert second is not None
    assert first.handled_at == second.handled_at is not None


@pytest.mark.usefixtures("running_worker")
async def test_a_paid_booking_is_confirmed(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, temporal: Client, database: Database
) -> None:
    made = await booked(api, shop)
    intent_id = made["payment"]["payment_intent_id"]
    await sdk.v1.payment_intents.confirm_async(intent_id, {"payment_method": "pm_card_visa"})
    kind = "payment_intent.amount_capturable_updated"
    sent = event(kind, data={"object": {"id": intent_id, "object": "payment_intent"}})
    assert (await deliver(api, sent)).status_code == 200
    row = await stored(database, sent["id"])
    assert row is not None
    assert row.handled_at is not None
    # A refused update says that the story has come this far: it is answered in order.
    await temporal.get_workflow_handle(made["workflow_id"]).execute_update("confirm")
    answer = await api.get(f"/api/bookings/{made['id']}", headers=as_client(shop))
    assert (answer.json()["status"], answer.json()["payment"]["status"]) == ("CONFIRMED", "AUTHORIZED")


@pytest.mark.fault("T2")
async def test_stored_is_enough_while_temporal_is_away(
    deps: Dependencies, shop: Shop, api: httpx.AsyncClient, running_worker: None
) -> None:
    del running_worker
    made = await booked(api, shop)
    away = await Client.connect("127.0.0.1:1", lazy=True, data_converter=pydantic_data_converter)
    subject: dict[str, Any] = {"id": made["payment"]["payment_intent_id"], "object": "payment_intent"}
    sent = event("payment_intent.processing", data={"object": subject})
    async with calling(build_app(replace(deps, inbox=Inbox(deps.database, away)))) as cut_off:
        assert (await deliver(cut_off, sent)).status_code == 200
    row = await stored(deps.database, sent["id"])
    assert row is not None
    assert row.handled_at is None


async def test_without_postgres_stripe_has_to_come_back(deps: Dependencies) -> None:
    nowhere = Database.connect("postgresql+asyncpg://postgres@127.0.0.1:1/none")
    async with calling(build_app(replace(deps, inbox=Inbox(nowhere, deps.temporal)))) as cut_off:
        answer = await deliver(cut_off, event())
    assert code(answer) == "unavailable"
    assert answer.headers["Retry-After"]


def test_rotating_secrets_are_separated_by_commas() -> None:
    assert rotation(settings().stripe_webhook_secret) == WEBHOOK_SECRETS


@pytest.mark.parametrize("secret", [" ", ",", " , "])
def test_an_empty_secret_refuses_to_start(secret: str) -> None:
    given = settings(stripe_webhook_secret=secret).stripe_webhook_secret
    with pytest.raises(ValueError, match="webhook secret"):
        rotation(given)
