"""Every rule of https://docs.stripe.com/api/idempotent_requests, through the SDK."""

import asyncio
from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.stripe.conftest import Control, until
from tests.sandbox.stripe.scenes import provider

KEY: Any = {"idempotency_key": "booking:1:create:1:1"}
INTENT: Any = {"amount": 5000, "currency": "usd"}
A_DAY = 24 * 3600


async def _headers(raw: httpx.AsyncClient, key: str, **form: Any) -> httpx.Response:
    return await raw.post("/v1/customers", data=form, headers={"Idempotency-Key": key})


async def test_a_key_makes_one_object_and_the_answer_is_repeated(
    api: stripe.StripeClient, raw: httpx.AsyncClient, control: Control
) -> None:
    first = await _headers(raw, "k1", email="a@example.com")
    again = await _headers(raw, "k1", email="a@example.com")
    assert first.content == again.content
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == "k1"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"] != again.headers["request-id"]
    assert len(await control.objects("customer")) == 1
    assert len((await api.v1.events.list_async()).data) == 1


async def test_a_repeated_answer_is_the_old_one_whatever_has_happened_since(api: stripe.StripeClient) -> None:
    created = await api.v1.payment_intents.create_async(INTENT, KEY)
    await api.v1.payment_intents.cancel_async(created.id)
    again = await api.v1.payment_intents.create_async(INTENT, KEY)
    assert again.status == "requires_payment_method"


@pytest.mark.parametrize("changed", ["amount", "path"])
async def test_a_key_belongs_to_its_request(api: stripe.StripeClient, changed: str) -> None:
    await api.v1.payment_intents.create_async(INTENT, KEY)
    other: dict[str, Any] = {
        "amount": lambda: api.v1.payment_intents.create_async(INTENT | {"amount": 5001}, KEY),
        "path": lambda: api.v1.customers.create_async({}, KEY),
    }
    with pytest.raises(stripe.IdempotencyError) as refused:
        await other[changed]()
    assert refused.value.http_status == 400


async def test_the_order_of_parameters_does_not_matter(raw: httpx.AsyncClient) -> None:
    first = await _headers(raw, "k", name="a", email="b")
    assert (await _headers(raw, "k", email="b", name="a")).content == first.content


async def test_a_key_in_use_is_a_conflict_and_then_repeats(
    api: stripe.StripeClient, control: Control
) -> None:
    await control.fault("slow", seconds=60)
    first = asyncio.create_task(api.v1.payment_intents.create_async(INTENT, KEY))

    async def taken() -> bool:
        return not (await control.ask("GET", "/faults"))["data"]

    await until(taken)
    with pytest.raises(stripe.APIError) as refused:
        await api.v1.payment_intents.create_async(INTENT, KEY)
    assert refused.value.error is not None
    assert (refused.value.http_status, refused.value.error.code) == (409, "idempotency_key_in_use")
    await control.ask("DELETE", "/faults")
    created = await first
    assert (await api.v1.payment_intents.create_async(INTENT, KEY)).id == created.id


async def test_fifty_at_once_make_one_object(api: stripe.StripeClient, control: Control) -> None:
    answers = await asyncio.gather(*(api.v1.payment_intents.create_async(INTENT, KEY) for _ in range(50)))
    assert len({answer.id for answer in answers}) == 1
    assert len(await control.objects("payment_intent")) == 1


async def test_a_refusal_is_repeated_once_execution_had_begun(api: stripe.StripeClient) -> None:
    intent = await api.v1.payment_intents.create_async(INTENT)
    declined: Any = {"payment_method": "pm_card_chargeDeclined"}
    messages = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refused:
            await api.v1.payment_intents.confirm_async(intent.id, declined, KEY)
        messages.append(refused.value.json_body)
    assert messages[0] == messages[1]
    charges = await api.v1.charges.list_async({"payment_intent": intent.id})
    assert len(charges.data) == 1


async def test_a_refusal_of_the_state_is_repeated_after_the_state_has_changed(
    api: stripe.StripeClient,
) -> None:
    intent = await api.v1.payment_intents.create_async(INTENT | {"capture_method": "manual"})
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await api.v1.payment_intents.capture_async(intent.id, {}, KEY)
        assert refused.value.code == "payment_intent_unexpected_state"
        if intent.status == "requires_payment_method":
            intent = await api.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})


async def test_what_was_refused_before_execution_may_come_again(
    api: stripe.StripeClient, raw: httpx.AsyncClient
) -> None:
    bad = [
        await _headers(raw, "k", nonsense="1"),
        await raw.post("/v1/payment_intents", headers={"Idempotency-Key": "k"}),
        await raw.post("/v1/customers", headers={"Idempotency-Key": "k", "Authorization": "Bearer sk_no"}),
        await raw.post("/v1/nothing", headers={"Idempotency-Key": "k"}),
    ]
    assert [answer.status_code for answer in bad] == [400, 400, 401, 404]
    assert (await _headers(raw, "k", email="a")).status_code == 200
    with pytest.raises(stripe.InvalidRequestError):
        await api.v1.payment_intents.create_async({"amount": 0, "currency": "usd"}, KEY)
    assert (await api.v1.payment_intents.create_async(INTENT, KEY)).amount == 5000


@pytest.mark.parametrize("action", ["rate_limit", "conflict", "fail_before"])
async def test_an_answer_from_before_execution_is_not_kept(
    api: stripe.StripeClient, control: Control, action: str
) -> None:
    await control.fault(action)
    with pytest.raises(stripe.StripeError):
        await api.v1.payment_intents.create_async(INTENT, KEY)
    assert await control.objects("payment_intent") == []
    created = await api.v1.payment_intents.create_async(INTENT, KEY)
    assert created.id.startswith("pi_")


async def test_a_key_expires_after_a_day(api: stripe.StripeClient, control: Control) -> None:
    first = await api.v1.payment_intents.create_async(INTENT, KEY)
    await control.ask("POST", "/clock", advance_seconds=A_DAY - 60)
    assert (await api.v1.payment_intents.create_async(INTENT, KEY)).id == first.id
    await control.ask("POST", "/clock", advance_seconds=61)
    assert (await api.v1.payment_intents.create_async(INTENT, KEY)).id != first.id


@pytest.mark.parametrize("body", [{}, {"keys": [KEY["idempotency_key"]]}])
async def test_keys_can_be_forgotten(api: stripe.StripeClient, control: Control, body: Any) -> None:
    first = await api.v1.payment_intents.create_async(INTENT, KEY)
    assert await control.ask("POST", "/idempotency/forget", **body) == {"forgotten": 1}
    assert (await api.v1.payment_intents.create_async(INTENT, KEY)).id != first.id


async def test_each_account_has_its_own_keys(api: stripe.StripeClient) -> None:
    account = await provider(api)
    here = await api.v1.customers.create_async({}, KEY)
    there = await api.v1.customers.create_async({}, KEY | {"stripe_account": account.id})
    assert here.id != there.id


async def test_a_key_has_a_length(raw: httpx.AsyncClient) -> None:
    assert (await _headers(raw, "k" * 255)).status_code == 200
    assert (await _headers(raw, "k" * 256)).status_code == 400
