"""The one door to Stripe: what its answers mean, and that nothing leaves without a key."""

import inspect
from dataclasses import replace
from datetime import timedelta

import pytest

from activities.errors import Failure, StripeFailure
from activities.stripe_gateway import StripeGateway
from activities.stripe_requests import CreateCustomer
from models.keys import APP
from tests.activities.desk import Desk, do, now
from tests.activities.money_steps import GIVE_BACK_REFUND, PAY_OUT

ANSWERS: list[tuple[int, str | None, Failure]] = [
    (400, None, Failure.STRIPE_REJECTED),
    (400, "parameter_invalid_empty", Failure.STRIPE_REJECTED),
    (400, "payment_intent_unexpected_state", Failure.UNEXPECTED_STATE),
    (400, "charge_expired_for_capture", Failure.AUTHORIZATION_EXPIRED),
    (400, "balance_insufficient", Failure.INSUFFICIENT_BALANCE),
    (400, "insufficient_capabilities_for_transfer", Failure.PROVIDER_NOT_PAYABLE),
    (400, "account_invalid", Failure.PROVIDER_NOT_PAYABLE),
    (403, "account_invalid", Failure.PROVIDER_NOT_PAYABLE),
    (401, None, Failure.STRIPE_AUTHENTICATION),
    (403, None, Failure.STRIPE_AUTHENTICATION),
    (402, "card_declined", Failure.CARD_DECLINED),
    (404, "resource_missing", Failure.STRIPE_REJECTED),
    (409, "idempotency_key_in_use", Failure.STRIPE_BUSY),
    (409, "lock_timeout", Failure.STRIPE_BUSY),
    (429, "rate_limit", Failure.STRIPE_RATE_LIMITED),
    (429, "lock_timeout", Failure.STRIPE_RATE_LIMITED),
    (500, None, Failure.STRIPE_INDETERMINATE),
    (502, None, Failure.STRIPE_INDETERMINATE),
    (503, None, Failure.STRIPE_INDETERMINATE),
]


@pytest.mark.fault("S5")
@pytest.mark.parametrize(("status", "code", "failure"), ANSWERS)
async def test_an_answer_to_a_write_has_one_meaning(
    desk: Desk, status: int, code: str | None, failure: Failure
) -> None:
    await desk.control.fault("fail_before", "/v1/customers", status=status, code=code)
    with pytest.raises(StripeFailure) as answered:
        await desk.gateway.create_customer(CreateCustomer(), key="k")
    assert (answered.value.failure, answered.value.code) == (failure, code)


@pytest.mark.fault("S1")
@pytest.mark.parametrize("status", [500, 503])
async def test_a_read_that_fails_says_nothing_about_any_write(desk: Desk, status: int) -> None:
    await desk.control.fault("fail_before", "/v1/customers", status=status, match={"method": "GET"})
    with pytest.raises(StripeFailure) as answered:
        await desk.gateway.find_customer(CreateCustomer(), "k", now())
    assert answered.value.failure is Failure.STRIPE_UNAVAILABLE


async def test_a_key_that_comes_again_with_another_request_is_a_conflict_and_no_answer(desk: Desk) -> None:
    await desk.gateway.create_customer(CreateCustomer(name="One"), key="k")
    with pytest.raises(StripeFailure) as answered:
        await desk.gateway.create_customer(CreateCustomer(name="Another"), key="k")
    assert (answered.value.failure, answered.value.definite) == (Failure.STRIPE_KEY_CONFLICT, False)


@pytest.mark.fault("S1")
async def test_a_stored_answer_is_told_from_a_fresh_one(desk: Desk) -> None:
    await desk.control.fault("cached_500", "/v1/customers")
    replayed = []
    for _ in range(2):
        with pytest.raises(StripeFailure) as answered:
            await desk.gateway.create_customer(CreateCustomer(), key="k")
        replayed.append(answered.value.replayed)
    assert replayed == [False, True]


async def test_a_look_up_turns_every_page(desk: Desk) -> None:
    first = await desk.gateway.create_customer(CreateCustomer(), key="the-first")
    for number in range(105):
        await desk.gateway.create_customer(CreateCustomer(), key=f"later-{number}")
    since = now() - timedelta(hours=1)
    assert await desk.gateway.find_customer(CreateCustomer(), "the-first", since) == first
    assert await desk.gateway.find_customer(CreateCustomer(), "never-sent", since) is None


def test_no_write_can_be_made_without_a_key() -> None:
    writes = [
        method
        for name, method in inspect.getmembers(StripeGateway, inspect.iscoroutinefunction)
        if name.startswith(("create_", "capture_", "cancel_"))
    ]
    assert len(writes) >= 6
    for write in writes:
        key = inspect.signature(write).parameters["key"]
        assert (key.kind, key.default) == (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty)


async def test_every_object_we_make_can_be_found_again_without_its_key(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await PAY_OUT.act(desk.activities(), booking_id)
    await GIVE_BACK_REFUND.act(desk.activities(), await GIVE_BACK_REFUND.prepare(desk))
    for kind in ("customer", "payment_intent", "transfer", "refund"):
        for made in await desk.control.objects(kind):
            assert made["metadata"]["app"] == APP
            assert made["metadata"]["op"].startswith("booking:")


async def test_two_bookings_of_one_client_share_one_customer(desk: Desk) -> None:
    shop = await desk.shop()
    bookings = [await desk.reserved(shop)]
    elsewhere = replace(await desk.shop(), client_id=shop.client_id)
    bookings.append(await desk.reserved(elsewhere))
    for booking_id in bookings:
        await desk.activities().payments.open_payment(do(booking_id))
    customers = {intent["customer"] for intent in await desk.control.objects("payment_intent")}
    assert len(customers) == len(await desk.control.objects("customer")) == 1


async def test_a_client_secret_is_never_shown(desk: Desk) -> None:
    booking_id = await desk.opened(await desk.shop())
    intent = await desk.gateway.retrieve_intent(await desk.intent_id(booking_id))
    assert intent.client_secret
    assert intent.client_secret not in repr(intent)
    (operation,) = await desk.operations(booking_id, "intent")
    assert intent.client_secret not in str(operation.request)
