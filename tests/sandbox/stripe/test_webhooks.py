"""Webhooks: signed, sent after the change is committed, retried, and disturbed on request."""

import json
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import SECRET, Control, Receiver, receiving, until
from tests.sandbox.stripe.scenes import paid, provider

CREATED = "customer.created"


async def _customers(api: stripe.StripeClient, count: int) -> list[str]:
    return [(await api.v1.customers.create_async({})).id for _ in range(count)]


def _ids(receiver: Receiver) -> list[str]:
    return [event["data"]["object"]["id"] for event in receiver.events]


async def test_an_event_is_signed_and_tells_what_happened(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url)
    customer = await api.v1.customers.create_async({"email": "a@example.com"}, {"idempotency_key": "k"})
    await receiver.wait(CREATED)
    headers, body = receiver.requests[0]
    event = stripe.Webhook.construct_event(body, headers["stripe-signature"], SECRET)
    assert (event.type, event.data.object["id"], event.pending_webhooks) == (CREATED, customer.id, 1)
    assert event.request is not None
    assert event.request.idempotency_key == "k"
    assert (await api.v1.events.retrieve_async(event.id)).data.object == customer
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, headers["stripe-signature"], "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", headers["stripe-signature"], SECRET)


async def test_an_event_is_sent_when_its_change_can_be_read(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url)
    intent = await paid(api)
    await receiver.wait("payment_intent.succeeded")
    assert (await api.v1.payment_intents.retrieve_async(intent.id)).status == "succeeded"


async def test_a_refused_event_is_sent_again_until_it_is_taken(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    receiver.answers = [500, 302, 404]
    await control.endpoint(receiver.url)
    await _customers(api, 1)
    await receiver.wait(*[CREATED] * 4)
    assert len(set(_ids(receiver))) == 1

    async def done() -> list[Any]:
        found: list[Any] = (await control.get("/_control/deliveries?status=delivered")).json()["data"]
        return found

    (delivery,) = await until(done)
    assert (delivery["type"], delivery["attempts"], delivery["last_status"]) == (CREATED, 4, 200)


async def test_an_event_reaches_a_receiver_that_was_away(api: stripe.StripeClient, control: Control) -> None:
    async with receiving() as gone:
        await control.endpoint(gone.url)
    await _customers(api, 1)

    async def tried() -> list[Any]:
        found: list[Any] = (await control.get("/_control/deliveries?status=pending")).json()["data"]
        return [delivery for delivery in found if delivery["attempts"]]

    assert "Connect" in (await until(tried))[0]["last_error"]
    async with receiving(int(gone.url.split(":")[2].split("/")[0])) as back:
        await back.wait(CREATED)


async def test_endpoints_get_what_they_ask_for(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    created = await api.v1.webhook_endpoints.create_async(
        {"url": f"{receiver.url}/some", "enabled_events": ["product.created"], "metadata": {"a": "b"}}
    )
    assert created.secret is not None
    assert (await api.v1.webhook_endpoints.retrieve_async(created.id)).to_dict().get("secret") is None
    await control.endpoint(f"{receiver.url}/all")
    await api.v1.products.create_async({"name": "x"})
    await api.v1.customers.create_async({})
    await receiver.wait("product.created", "product.created", CREATED)
    assert len(receiver.requests) == 3
    await api.v1.webhook_endpoints.update_async(created.id, {"disabled": True})
    await api.v1.products.create_async({"name": "y"})
    await receiver.wait(*["product.created"] * 3)
    assert (await api.v1.webhook_endpoints.delete_async(created.id)).deleted
    assert len((await api.v1.webhook_endpoints.list_async()).data) == 1


async def test_connected_accounts_have_endpoints_of_their_own(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(f"{receiver.url}/platform")
    await control.endpoint(f"{receiver.url}/connect", connect=True, secret="whsec_connect")
    account = await provider(api)
    await control.ask("POST", f"/accounts/{account.id}", payouts_enabled=False)
    await receiver.wait("account.updated")
    await control.ask("POST", f"/accounts/{account.id}", deauthorized=True)
    await receiver.wait("account.application.deauthorized")
    assert len(receiver.requests) == 2
    headers, body = receiver.requests[0]
    event = stripe.Webhook.construct_event(body, headers["stripe-signature"], "whsec_connect")
    assert (event.account, event.data.object["payouts_enabled"]) == (account.id, False)


async def test_an_endpoint_is_registered_once(control: Control, receiver: Receiver) -> None:
    first = await control.endpoint(receiver.url)
    again = await control.endpoint(receiver.url, secret="whsec_new", enabled_events=[CREATED])
    connect = await control.endpoint(receiver.url, connect=True)
    assert first["id"] == again["id"] != connect["id"]
    assert again["enabled_events"] == [CREATED]


async def test_dropped_events_never_come_but_can_be_sent_again(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url)
    await control.ask("POST", "/webhooks", mode="drop", times=1, types=[CREATED])
    await api.v1.products.create_async({"name": "x"})
    lost, kept = await _customers(api, 2)
    await receiver.wait("product.created", CREATED)
    assert lost not in _ids(receiver)
    assert kept in _ids(receiver)
    dropped = (await control.get("/_control/deliveries?status=dropped")).json()["data"]
    event = next(e["id"] for e in await control.objects("event") if e["data"]["object"]["id"] == lost)
    assert [delivery["event"] for delivery in dropped] == [event]
    assert await control.ask("POST", "/webhooks/resend", events=[event, "evt_unknown"]) == {"queued": 1}
    await receiver.wait(CREATED, CREATED)
    assert lost in _ids(receiver)


async def test_duplicates_come_as_often_as_asked(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url)
    await control.ask("POST", "/webhooks", mode="duplicate", factor=50, times=1)
    await _customers(api, 2)
    await receiver.wait(*[CREATED] * 51)
    assert len({event["id"] for event in receiver.events}) == 2


async def test_events_can_come_newest_first(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url)
    await control.ask("POST", "/webhooks", mode="reorder", factor=4, seconds=60)
    made = await _customers(api, 4)
    await receiver.wait(*[CREATED] * 4)
    assert _ids(receiver) == made[::-1]


@pytest.mark.parametrize("mode", ["delay", "reorder"])
async def test_what_is_held_back_comes_when_all_is_normal_again(
    api: stripe.StripeClient, control: Control, receiver: Receiver, mode: str
) -> None:
    await control.endpoint(receiver.url)
    await control.ask("POST", "/webhooks", mode=mode, factor=9, seconds=3600)
    (held,) = await _customers(api, 1)
    await control.ask("POST", "/webhooks", mode="normal")
    await receiver.wait(CREATED)
    assert _ids(receiver) == [held]


async def test_a_delay_ends_by_itself(api: stripe.StripeClient, control: Control, receiver: Receiver) -> None:
    await control.endpoint(receiver.url)
    await control.ask("POST", "/webhooks", mode="delay", seconds=0.3, types=[CREATED])
    await _customers(api, 1)
    await receiver.wait(CREATED)


async def test_events_are_listed_by_type(api: stripe.StripeClient) -> None:
    await paid(api)
    page = await api.v1.events.list_async({"type": "payment_intent.*"})
    assert [event.type for event in page.data] == ["payment_intent.succeeded", "payment_intent.created"]
    page = await api.v1.events.list_async({"types": ["charge.succeeded", "payment_intent.created"]})
    assert [event.type for event in page.data] == ["charge.succeeded", "payment_intent.created"]
    assert (await api.v1.events.list_async({"type": "invoice.paid"})).data == []
    assert json.loads(json.dumps(page.data[0].to_dict()))["livemode"] is False
