"""3D Secure, and what a browser may do."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import stripe

from sandbox.stripe.server import Running
from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, types_of_events

ASKING = [
    "pm_card_authenticationRequired",
    "pm_card_authenticationRequiredOnSetup",
    "pm_card_threeDSecure2Required",
]


async def _asked(api: stripe.StripeClient, token: str = ASKING[0]) -> stripe.PaymentIntent:
    intent = await authorized(api, payment_method=token, return_url="https://shop.example/back?a=1")
    assert intent.status == "requires_action"
    return intent


def _page(intent: stripe.PaymentIntent) -> str:
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    assert intent.next_action.redirect_to_url.url is not None
    return intent.next_action.redirect_to_url.url


@pytest.mark.parametrize("token", ASKING)
async def test_a_browser_confirms_and_the_cardholder_approves(
    api: stripe.StripeClient, browser: stripe.StripeClient, control: Control, token: str
) -> None:
    created = await api.v1.payment_intents.create_async(
        {"amount": 5000, "currency": "usd", "capture_method": "manual"}
    )
    assert created.client_secret is not None
    # The server-side parameter type does not know client_secret.
    form: Any = {"payment_method": token, "client_secret": created.client_secret}
    asked = await browser.v1.payment_intents.confirm_async(created.id, form)
    assert asked.status == "requires_action"
    await control.ask("POST", f"/payment_intents/{created.id}/authenticate", outcome="success")
    held = await browser.v1.payment_intents.retrieve_async(
        created.id, {"client_secret": created.client_secret}
    )
    assert (held.status, held.next_action) == ("requires_capture", None)
    assert (await types_of_events(api))[-3:] == [
        "payment_intent.requires_action",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
    ]


@pytest.mark.parametrize(
    ("button", "status", "result"),
    [("success", "requires_capture", "succeeded"), ("fail", "requires_payment_method", "failed")],
)
async def test_the_banks_page_sends_the_cardholder_back(
    api: stripe.StripeClient, raw: httpx.AsyncClient, button: str, status: str, result: str
) -> None:
    intent = await _asked(api)
    assert "Complete authentication" in (await raw.get(_page(intent))).text
    back = await raw.post(_page(intent), content=f"outcome={button}")
    query = parse_qs(urlsplit(back.headers["location"]).query)
    assert (back.status_code, query["redirect_status"], query["a"]) == (303, [result], ["1"])
    assert query["payment_intent"] == [intent.id]
    assert (await api.v1.payment_intents.retrieve_async(intent.id)).status == status
    assert "Nothing to approve" in (await raw.get(_page(intent))).text


async def test_a_failed_authentication_leaves_the_intent_open(
    api: stripe.StripeClient, control: Control
) -> None:
    intent = await _asked(api)
    await control.ask("POST", f"/payment_intents/{intent.id}/authenticate", outcome="fail")
    failed = await api.v1.payment_intents.retrieve_async(intent.id)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert (await types_of_events(api))[-1] == "payment_intent.payment_failed"
    again = await api.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    assert again.status == "requires_capture"


async def test_a_card_may_be_declined_after_authentication(
    api: stripe.StripeClient, control: Control
) -> None:
    intent = await _asked(api, "pm_card_threeDSecureRequiredChargeDeclined")
    after = await control.ask("POST", f"/payment_intents/{intent.id}/authenticate", outcome="success")
    assert (after["status"], after["last_payment_error"]["code"]) == (
        "requires_payment_method",
        "card_declined",
    )


async def test_off_session_a_card_that_asks_is_declined(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await authorized(api, payment_method=ASKING[0], off_session=True)
    assert refused.value.code == "authentication_required"


async def test_a_card_set_up_with_authentication_is_spared_off_session(
    api: stripe.StripeClient, control: Control
) -> None:
    customer = await api.v1.customers.create_async({})
    first = await authorized(
        api, customer=customer.id, payment_method=ASKING[1], setup_future_usage="off_session"
    )
    await control.ask("POST", f"/payment_intents/{first.id}/authenticate", outcome="success")
    again = await authorized(api, customer=customer.id, payment_method=first.payment_method, off_session=True)
    assert again.status == "requires_capture"


async def test_who_cannot_ask_is_told_so_instead(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await authorized(api, payment_method=ASKING[0], error_on_requires_action=True)
    assert refused.value.code == "authentication_required"


async def test_an_intent_waits_for_no_second_answer(api: stripe.StripeClient, control: Control) -> None:
    intent = await _asked(api)
    path = f"/payment_intents/{intent.id}/authenticate"
    await control.ask("POST", path, outcome="success")
    assert (await control.post(f"/_control{path}", json={"outcome": "fail"})).status_code == 409


async def test_an_intent_that_waits_can_be_canceled(api: stripe.StripeClient) -> None:
    canceled = await api.v1.payment_intents.cancel_async((await _asked(api)).id)
    assert canceled.status == "canceled"


@pytest.mark.parametrize("secret", ["", "pi_x_secret_y"])
async def test_a_browser_needs_the_client_secret(
    api: stripe.StripeClient, browser: stripe.StripeClient, secret: str
) -> None:
    intent = await api.v1.payment_intents.create_async({"amount": 5000, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="client_secret"):
        await browser.v1.payment_intents.retrieve_async(intent.id, {"client_secret": secret})


async def test_a_browser_may_do_nothing_else(browser: stripe.StripeClient) -> None:
    with pytest.raises(stripe.AuthenticationError) as refused:
        await browser.v1.payment_intents.create_async({"amount": 5000, "currency": "usd"})
    assert refused.value.error is not None
    assert refused.value.error.code == "secret_key_required"


async def test_stripe_js_puts_its_key_into_the_form(sandbox: Running, api: stripe.StripeClient) -> None:
    intent = await api.v1.payment_intents.create_async({"amount": 5000, "currency": "usd"})
    form = {
        "key": sandbox.publishable_key,
        "client_secret": intent.client_secret or "",
        "payment_method_data[type]": "card",
        "payment_method_data[card][number]": "4242 4242 4242 4242",
        "payment_method_data[card][exp_month]": "12",
        "payment_method_data[card][exp_year]": "34",
        "expected_payment_method_type": "card",
        "use_stripe_sdk": "true",
    }
    async with httpx.AsyncClient(base_url=sandbox.url) as page:
        confirmed = await page.post(
            f"/v1/payment_intents/{intent.id}/confirm", data=form, headers={"Origin": "https://shop.example"}
        )
    assert (confirmed.status_code, confirmed.json()["status"]) == (200, "succeeded")
    assert confirmed.headers["access-control-allow-origin"] == "*"
