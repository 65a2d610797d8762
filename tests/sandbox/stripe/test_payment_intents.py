from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, charge_of, paid, types_of_events


async def test_a_manual_intent_is_created_confirmed_and_captured(api: stripe.StripeClient) -> None:
    customer = await api.v1.customers.create_async({"email": "client@example.com"})
    created = await api.v1.payment_intents.create_async(
        {
            "amount": 5000,
            "currency": "usd",
            "customer": customer.id,
            "capture_method": "manual",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "setup_future_usage": "off_session",
            "transfer_group": "booking_1",
            "metadata": {"op": "booking:1"},
        }
    )
    assert (created.status, created.metadata["op"]) == ("requires_payment_method", "booking:1")

    held = await api.v1.payment_intents.confirm_async(created.id, {"payment_method": "pm_card_visa"})
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 5000, 0)

    taken = await api.v1.payment_intents.capture_async(created.id)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 5000)
    charge = await api.v1.charges.retrieve_async(charge_of(taken))
    assert (charge.captured, charge.amount_captured, charge.transfer_group) == (True, 5000, "booking_1")
    assert await types_of_events(api) == [
        "customer.created",
        "payment_intent.created",
        "payment_method.attached",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]


async def test_a_partial_capture_is_final_and_lets_the_rest_go(api: stripe.StripeClient) -> None:
    held = await authorized(api)
    taken = await api.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 3000})
    assert (taken.status, taken.amount, taken.amount_received) == ("succeeded", 5000, 3000)
    charge = await api.v1.charges.retrieve_async(charge_of(taken))
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (5000, 3000, 0)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 2000})
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_what_is_released_can_be_booked_as_stripe_books_it(
    api: stripe.StripeClient, control: Control
) -> None:
    await control.ask("POST", "/settings", release_as_refund=True)
    taken = await api.v1.payment_intents.capture_async(
        (await authorized(api)).id, {"amount_to_capture": 3000, "expand": ["latest_charge"]}
    )
    charge = await api.v1.charges.retrieve_async(str(taken.to_dict()["latest_charge"]["id"]))
    assert (charge.amount_refunded, charge.refunded) == (2000, False)
    refunds = await api.v1.refunds.list_async({"payment_intent": taken.id})
    assert [(refund.amount, refund.balance_transaction) for refund in refunds.data] == [(2000, None)]
    given_back = await api.v1.refunds.create_async({"payment_intent": taken.id})
    assert given_back.amount == 3000


async def test_more_than_was_authorized_cannot_be_captured(api: stripe.StripeClient) -> None:
    held = await authorized(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 5001})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")


@pytest.mark.parametrize("confirmed", [False, True])
async def test_cancelling_ends_an_intent_and_releases_what_it_held(
    api: stripe.StripeClient, *, confirmed: bool
) -> None:
    intent = await authorized(api) if confirmed else await _unpaid(api)
    canceled = await api.v1.payment_intents.cancel_async(intent.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.amount_capturable) == ("canceled", 0)
    assert (canceled.cancellation_reason, canceled.canceled_at is None) == ("abandoned", False)
    assert (await types_of_events(api))[-1] == "payment_intent.canceled"


async def test_every_move_that_the_status_forbids_is_refused(api: stripe.StripeClient) -> None:
    intents = api.v1.payment_intents
    unpaid, succeeded, canceled = await _unpaid(api), await paid(api), await _unpaid(api)
    await intents.cancel_async(canceled.id)
    moves: list[tuple[Any, stripe.PaymentIntent]] = [
        (intents.capture_async, unpaid),
        (intents.capture_async, succeeded),
        (intents.capture_async, canceled),
        (intents.cancel_async, succeeded),
        (intents.cancel_async, canceled),
        (intents.confirm_async, unpaid),
        (intents.confirm_async, succeeded),
        (intents.confirm_async, canceled),
    ]
    for move, intent in moves:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await move(intent.id)
        assert (refused.value.http_status, refused.value.code) == (400, "payment_intent_unexpected_state")
        assert refused.value.error is not None
        assert refused.value.error.payment_intent is not None
        assert refused.value.error.payment_intent.id == intent.id


async def test_automatic_capture_takes_the_money_at_once(api: stripe.StripeClient) -> None:
    taken = await paid(api, expand=["latest_charge.balance_transaction"])
    assert (taken.status, taken.amount_received) == ("succeeded", 5000)
    transaction = taken.to_dict()["latest_charge"]["balance_transaction"]
    assert (transaction["amount"], transaction["fee"], transaction["net"]) == (5000, 175, 4825)
    assert "payment_intent.amount_capturable_updated" not in await types_of_events(api)


@pytest.mark.parametrize(("amount", "code"), [(49, "amount_too_small"), (100_000_000, "amount_too_large")])
async def test_amounts_have_bounds(api: stripe.StripeClient, amount: int, code: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_intents.create_async({"amount": amount, "currency": "usd"})
    assert refused.value.code == code


async def test_an_unpaid_intent_can_be_changed(api: stripe.StripeClient) -> None:
    intent = await _unpaid(api)
    changed = await api.v1.payment_intents.update_async(
        intent.id, {"amount": 7000, "metadata": {"op": "", "new": "yes"}}
    )
    assert (changed.amount, changed.metadata.to_dict()) == (7000, {"new": "yes"})
    held = await authorized(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_intents.update_async(held.id, {"amount": 1})
    assert refused.value.code == "payment_intent_unexpected_state"


async def _unpaid(api: stripe.StripeClient) -> stripe.PaymentIntent:
    return await api.v1.payment_intents.create_async(
        {"amount": 5000, "currency": "usd", "metadata": {"op": "unpaid"}}
    )
