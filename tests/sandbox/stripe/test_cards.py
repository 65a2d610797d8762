from typing import Any, NamedTuple

import pytest
import stripe

from tests.sandbox.stripe.scenes import authorized, types_of_events


class Refusal(NamedTuple):
    number: str
    token: str
    code: str
    decline_code: str


REFUSALS = [
    Refusal("4000000000000002", "pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
    Refusal("4000000000000002", "pm_card_chargeDeclined", "card_declined", "generic_decline"),
    Refusal(
        "4000000000009995",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "card_declined",
        "insufficient_funds",
    ),
    Refusal(
        "4000000000009995", "pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"
    ),
    Refusal("4000000000009987", "pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
    Refusal("4000000000009979", "pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    Refusal("4000000000000069", "pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    Refusal("4000000000000127", "pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
    Refusal(
        "4000000000000119", "pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"
    ),
    Refusal("4000000000000341", "pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.token)
@pytest.mark.parametrize("by", ["number", "token"])
async def test_a_refused_card_says_why_and_leaves_the_intent_open(
    api: stripe.StripeClient, by: str, refusal: Refusal
) -> None:
    intent = await api.v1.payment_intents.create_async(
        {"amount": 5000, "currency": "usd", "capture_method": "manual"}
    )
    data: Any = {
        "type": "card",
        "card": {"number": refusal.number, "exp_month": 12, "exp_year": 2040, "cvc": "123"},
    }
    how: Any = {"payment_method": refusal.token} if by == "token" else {"payment_method_data": data}
    with pytest.raises(stripe.CardError) as refused:
        await api.v1.payment_intents.confirm_async(intent.id, how)

    error = refused.value.error
    assert error is not None
    assert (refused.value.http_status, refused.value.code, error.decline_code) == (
        402,
        refusal.code,
        refusal.decline_code,
    )
    assert error.payment_intent is not None
    assert error.payment_intent.status == "requires_payment_method"
    after = await api.v1.payment_intents.retrieve_async(intent.id)
    assert after.last_payment_error is not None
    assert (after.payment_method, after.last_payment_error.code) == (None, refusal.code)
    charge = await api.v1.charges.retrieve_async(str(error.charge))
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, refusal.code)
    assert (await types_of_events(api))[-2:] == ["charge.failed", "payment_intent.payment_failed"]

    paid = await api.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.last_payment_error) == ("requires_capture", None)


@pytest.mark.parametrize(
    ("token", "brand"),
    [("visa", "visa"), ("mastercard", "mastercard"), ("amex", "amex"), ("visa_debit", "visa")],
)
async def test_good_cards_are_charged(api: stripe.StripeClient, token: str, brand: str) -> None:
    held = await authorized(api, payment_method=f"pm_card_{token}", expand=["payment_method"])
    assert held.status == "requires_capture"
    assert held.to_dict()["payment_method"]["card"]["brand"] == brand


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("4242424242424241", "incorrect_number"),
        ("4111111111111111", "card_declined"),
        ("x", "incorrect_number"),
    ],
)
async def test_numbers_that_are_no_test_cards_are_refused(
    api: stripe.StripeClient, number: str, code: str
) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await api.v1.payment_methods.create_async({"type": "card", "card": {"number": number}})
    assert refused.value.code == code


async def test_a_customer_keeps_cards_and_not_those_that_are_refused(api: stripe.StripeClient) -> None:
    customer = await api.v1.customers.create_async({})
    method = await api.v1.payment_methods.create_async(
        {"type": "card", "card": {"number": "4000000000000341", "exp_month": 1, "exp_year": 2041}}
    )
    attached = await api.v1.payment_methods.attach_async(method.id, {"customer": customer.id})
    assert attached.customer == customer.id
    with pytest.raises(stripe.CardError) as refused:
        await api.v1.payment_methods.attach_async("pm_card_chargeDeclined", {"customer": customer.id})
    assert refused.value.code == "card_declined"
    kept = await api.v1.customers.payment_methods.list_async(customer.id, {"type": "card"})
    assert [card.id for card in kept.data] == [method.id]
    by_filter = await api.v1.payment_methods.list_async({"customer": customer.id})
    assert [card.id for card in by_filter.data] == [method.id]


async def test_a_card_that_no_customer_keeps_is_used_once(api: stripe.StripeClient) -> None:
    method = await api.v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    await authorized(api, payment_method=method.id)
    with pytest.raises(stripe.InvalidRequestError, match="previously used"):
        await authorized(api, payment_method=method.id)


async def test_a_card_set_up_for_future_use_is_kept_and_used_again(api: stripe.StripeClient) -> None:
    customer = await api.v1.customers.create_async({})
    first = await authorized(api, customer=customer.id, setup_future_usage="off_session")
    again = await authorized(api, customer=customer.id, payment_method=first.payment_method, off_session=True)
    assert again.status == "requires_capture"
    with pytest.raises(stripe.InvalidRequestError, match="belongs to"):
        await authorized(api, payment_method=first.payment_method)


async def test_a_token_can_be_looked_at(api: stripe.StripeClient) -> None:
    shown = await api.v1.payment_methods.retrieve_async("pm_card_visa")
    assert shown.card is not None
    assert (shown.id, shown.card.last4) == ("pm_card_visa", "4242")


async def test_a_detached_card_cannot_be_used(api: stripe.StripeClient) -> None:
    customer = await api.v1.customers.create_async({"payment_method": "pm_card_visa"})
    kept = await api.v1.customers.payment_methods.list_async(customer.id)
    await api.v1.payment_methods.detach_async(kept.data[0].id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await authorized(api, payment_method=kept.data[0].id)
