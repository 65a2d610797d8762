"""Cards that are kept now and charged later, with nobody there."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, types_of_events

GOOD = "pm_card_visa"
ALWAYS = "pm_card_authenticationRequired"
ON_SETUP = "pm_card_authenticationRequiredOnSetup"
CHARGE_FAILS = "pm_card_chargeCustomerFail"
DECLINED = "pm_card_chargeDeclined"


async def _opened(api: stripe.StripeClient, **params: Any) -> stripe.SetupIntent:
    customer = await api.v1.customers.create_async({})
    request: Any = {"customer": customer.id, "usage": "off_session", **params}
    return await api.v1.setup_intents.create_async(request)


async def _by_browser(
    browser: stripe.StripeClient, intent: stripe.SetupIntent, **form: Any
) -> stripe.SetupIntent:
    """As Stripe.js confirms; the server-side parameter type does not know client_secret."""
    shown: Any = {"client_secret": intent.client_secret, "return_url": "https://shop.example/back?a=1"}
    return await browser.v1.setup_intents.confirm_async(intent.id, shown | form)


async def _set_up(
    api: stripe.StripeClient, browser: stripe.StripeClient, control: Control, token: str
) -> stripe.SetupIntent:
    intent = await _by_browser(browser, await _opened(api), payment_method=token)
    if intent.status == "requires_action":
        await control.ask("POST", f"/setup_intents/{intent.id}/authenticate", outcome="success")
    return await api.v1.setup_intents.retrieve_async(intent.id)


@pytest.mark.parametrize("token", [GOOD, ALWAYS, ON_SETUP, CHARGE_FAILS])
async def test_a_browser_sets_a_card_up_and_the_customer_keeps_it(
    api: stripe.StripeClient, browser: stripe.StripeClient, control: Control, token: str
) -> None:
    intent = await _set_up(api, browser, control, token)
    assert (intent.status, intent.next_action, intent.last_setup_error) == ("succeeded", None, None)
    kept = await api.v1.customers.payment_methods.list_async(str(intent.customer))
    assert [method.id for method in kept.data] == [intent.payment_method]
    asked = ["setup_intent.requires_action"] if token in {ALWAYS, ON_SETUP} else []
    assert await types_of_events(api) == [
        "customer.created",
        "setup_intent.created",
        *asked,
        "payment_method.attached",
        "setup_intent.succeeded",
    ]


@pytest.mark.parametrize(
    ("token", "code"),
    [(GOOD, None), (ON_SETUP, None), (ALWAYS, "authentication_required"), (CHARGE_FAILS, "card_declined")],
)
async def test_a_card_that_was_set_up_is_charged_while_nobody_is_there(
    api: stripe.StripeClient, browser: stripe.StripeClient, control: Control, token: str, code: str | None
) -> None:
    kept = await _set_up(api, browser, control, token)
    charge: Any = {"customer": kept.customer, "payment_method": kept.payment_method, "off_session": True}
    if code is None:
        assert (await authorized(api, **charge)).status == "requires_capture"
        return
    with pytest.raises(stripe.CardError) as refused:
        await authorized(api, **charge)
    assert (refused.value.http_status, refused.value.code) == (402, code)


async def test_a_card_that_was_not_set_up_asks_when_nobody_is_there(api: stripe.StripeClient) -> None:
    customer = await api.v1.customers.create_async({"payment_method": ON_SETUP})
    (method,) = (await api.v1.customers.payment_methods.list_async(customer.id)).data
    with pytest.raises(stripe.CardError) as refused:
        await authorized(api, customer=customer.id, payment_method=method.id, off_session=True)
    assert refused.value.code == "authentication_required"


async def test_the_server_sets_a_card_up_in_one_request(api: stripe.StripeClient) -> None:
    intent = await _opened(
        api,
        payment_method=GOOD,
        confirm=True,
        allowed_payment_method_types=["card"],
        metadata={"op": "setup:1"},
    )
    assert (intent.status, intent.usage, intent.payment_method_types) == (
        "succeeded",
        "off_session",
        ["card"],
    )
    assert intent.automatic_payment_methods is None
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.setup_intents.confirm_async(intent.id, {"payment_method": GOOD})
    assert refused.value.code == "setup_intent_unexpected_state"
    changed = await api.v1.setup_intents.update_async(intent.id, {"metadata": {"seen": "yes"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"op": "setup:1", "seen": "yes"}
    with pytest.raises(stripe.InvalidRequestError, match="cannot update"):
        await api.v1.setup_intents.update_async(intent.id, {"payment_method": GOOD})


async def test_a_refused_card_leaves_the_intent_open(
    api: stripe.StripeClient, browser: stripe.StripeClient
) -> None:
    opened = await _opened(api)
    with pytest.raises(stripe.CardError) as refused:
        await _by_browser(browser, opened, payment_method=DECLINED)
    assert refused.value.error is not None
    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
    assert refused.value.error.setup_intent is not None
    assert refused.value.error.setup_intent.status == "requires_payment_method"
    failed = await api.v1.setup_intents.retrieve_async(opened.id)
    assert failed.last_setup_error is not None
    assert (failed.payment_method, failed.last_setup_error.code) == (None, "card_declined")
    assert (await types_of_events(api))[-1] == "setup_intent.setup_failed"
    again = await _by_browser(browser, opened, payment_method=GOOD)
    assert (again.status, again.last_setup_error) == ("succeeded", None)


@pytest.mark.parametrize(("button", "result"), [("success", "succeeded"), ("fail", "failed")])
async def test_the_banks_page_sends_the_cardholder_back(
    api: stripe.StripeClient, browser: stripe.StripeClient, raw: httpx.AsyncClient, button: str, result: str
) -> None:
    asked = await _by_browser(browser, await _opened(api), payment_method=ALWAYS)
    assert asked.next_action is not None
    assert asked.next_action.redirect_to_url is not None
    page = str(asked.next_action.redirect_to_url.url)
    assert "kept for later payments" in (await raw.get(page)).text
    back = await raw.post(page, content=f"outcome={button}")
    query = parse_qs(urlsplit(back.headers["location"]).query)
    assert (back.status_code, query["redirect_status"], query["a"]) == (303, [result], ["1"])
    assert (query["setup_intent"], query["setup_intent_client_secret"]) == ([asked.id], [asked.client_secret])
    status = "succeeded" if button == "success" else "requires_payment_method"
    assert (await api.v1.setup_intents.retrieve_async(asked.id)).status == status


async def test_a_failed_authentication_says_so(
    api: stripe.StripeClient, browser: stripe.StripeClient, control: Control
) -> None:
    asked = await _by_browser(browser, await _opened(api), payment_method=ALWAYS)
    path = f"/setup_intents/{asked.id}/authenticate"
    after = await control.ask("POST", path, outcome="fail")
    assert after["last_setup_error"]["code"] == "setup_intent_authentication_failure"
    assert (await types_of_events(api))[-1] == "setup_intent.setup_failed"
    assert (await control.post(f"/_control{path}", json={"outcome": "success"})).status_code == 409


async def test_a_browser_types_the_cards_number(
    api: stripe.StripeClient, browser: stripe.StripeClient
) -> None:
    typed = {"number": "4242 4242 4242 4242", "exp_month": 12, "exp_year": 34, "cvc": "123"}
    data: Any = {"type": "card", "card": typed}
    intent = await _by_browser(
        browser, await _opened(api), payment_method_data=data, expected_payment_method_type="card"
    )
    assert intent.status == "succeeded"


@pytest.mark.parametrize("secret", [None, "seti_x_secret_y"])
async def test_a_browser_needs_the_client_secret(
    api: stripe.StripeClient, browser: stripe.StripeClient, secret: str | None
) -> None:
    opened = await _opened(api)
    shown = await browser.v1.setup_intents.retrieve_async(
        opened.id, {"client_secret": opened.client_secret or ""}
    )
    assert shown.id == opened.id
    with pytest.raises(stripe.InvalidRequestError, match="client_secret"):
        await browser.v1.setup_intents.retrieve_async(
            opened.id, {"client_secret": secret} if secret else None
        )


async def test_an_open_intent_is_canceled_once(api: stripe.StripeClient) -> None:
    opened = await _opened(api)
    canceled = await api.v1.setup_intents.cancel_async(opened.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert (await types_of_events(api))[-1] == "setup_intent.canceled"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.setup_intents.cancel_async(opened.id)
    assert refused.value.code == "setup_intent_unexpected_state"


async def test_intents_are_listed_by_customer(api: stripe.StripeClient) -> None:
    first, second = await _opened(api), await _opened(api)
    mine = await api.v1.setup_intents.list_async(
        {"customer": str(first.customer), "created": {"gte": first.created}}
    )
    assert [found.id for found in mine.data] == [first.id]
    every = await api.v1.setup_intents.list_async({"limit": 1})
    assert ([found.id for found in every.data], every.has_more) == ([second.id], True)


async def test_a_card_of_somebody_else_is_refused(api: stripe.StripeClient) -> None:
    other = await _opened(api, payment_method=GOOD, confirm=True)
    with pytest.raises(stripe.InvalidRequestError, match="belongs to"):
        await _opened(api, payment_method=other.payment_method)
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await _opened(api, confirm=True)
