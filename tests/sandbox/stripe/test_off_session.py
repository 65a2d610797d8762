"""Charging a card that a customer keeps, with nobody there, and carrying on when somebody is."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, types_of_events

GOOD = "pm_card_visa"
ALWAYS = "pm_card_authenticationRequired"
CHARGE_FAILS = "pm_card_chargeCustomerFail"
REFUSED = [(ALWAYS, "authentication_required"), (CHARGE_FAILS, "card_declined")]


async def _kept(api: stripe.StripeClient, control: Control, token: str) -> stripe.SetupIntent:
    customer = await api.v1.customers.create_async({})
    intent = await api.v1.setup_intents.create_async(
        {"customer": customer.id, "payment_method": token, "confirm": True}
    )
    if intent.status == "requires_action":
        await control.ask("POST", f"/setup_intents/{intent.id}/authenticate", outcome="success")
    return await api.v1.setup_intents.retrieve_async(intent.id)


async def _attempt(api: stripe.StripeClient, kept: stripe.SetupIntent, by: str) -> stripe.PaymentIntent:
    """Charge what is kept, in one request or in two."""
    how: Any = {"payment_method": kept.payment_method, "off_session": True}
    if by == "create":
        return await authorized(api, customer=kept.customer, **how)
    opened = await authorized(api, customer=kept.customer, confirm=False, payment_method=None)
    return await api.v1.payment_intents.confirm_async(opened.id, how)


async def _refused(api: stripe.StripeClient, kept: stripe.SetupIntent, by: str) -> stripe.CardError:
    with pytest.raises(stripe.CardError) as refused:
        await _attempt(api, kept, by)
    return refused.value


def _intent_of(refused: stripe.CardError) -> stripe.PaymentIntent:
    assert refused.error is not None
    assert refused.error.payment_intent is not None
    return refused.error.payment_intent


@pytest.mark.parametrize("by", ["create", "confirm"])
async def test_a_kept_card_is_held(api: stripe.StripeClient, control: Control, by: str) -> None:
    held = await _attempt(api, await _kept(api, control, GOOD), by)
    assert (held.status, held.amount_capturable) == ("requires_capture", 5000)


@pytest.mark.parametrize("by", ["create", "confirm"])
@pytest.mark.parametrize(("token", "code"), REFUSED)
async def test_a_refusal_names_the_intent_and_leaves_it_open(
    api: stripe.StripeClient, control: Control, by: str, token: str, code: str
) -> None:
    kept = await _kept(api, control, token)
    refused = await _refused(api, kept, by)
    assert (refused.http_status, refused.code) == (402, code)
    assert refused.error is not None
    assert refused.error.payment_method is not None
    assert refused.error.payment_method.id == kept.payment_method
    intent = await api.v1.payment_intents.retrieve_async(_intent_of(refused).id)
    assert intent.last_payment_error is not None
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", code)
    assert (await types_of_events(api))[-2:] == ["charge.failed", "payment_intent.payment_failed"]


async def _confirmed_in_a_browser(
    browser: stripe.StripeClient, opened: stripe.PaymentIntent, method: str | None
) -> stripe.PaymentIntent:
    form: Any = {"client_secret": opened.client_secret, "payment_method": method}
    return await browser.v1.payment_intents.confirm_async(opened.id, form)


@pytest.mark.parametrize("token", [ALWAYS, CHARGE_FAILS])
@pytest.mark.parametrize("card", [GOOD, ALWAYS])
async def test_the_client_carries_on_with_another_card(
    api: stripe.StripeClient, browser: stripe.StripeClient, control: Control, token: str, card: str
) -> None:
    opened = _intent_of(await _refused(api, await _kept(api, control, token), "create"))
    confirmed = await _confirmed_in_a_browser(browser, opened, card)
    if card == ALWAYS:
        assert confirmed.status == "requires_action"
        await control.ask("POST", f"/payment_intents/{opened.id}/authenticate", outcome="success")
    held = await api.v1.payment_intents.retrieve_async(opened.id)
    assert (held.status, held.last_payment_error) == ("requires_capture", None)


async def test_the_client_carries_on_with_the_same_card(
    api: stripe.StripeClient, browser: stripe.StripeClient, control: Control
) -> None:
    kept = await _kept(api, control, ALWAYS)
    opened = _intent_of(await _refused(api, kept, "create"))
    confirmed = await _confirmed_in_a_browser(browser, opened, str(kept.payment_method))
    assert confirmed.status == "requires_action"
    await control.ask("POST", f"/payment_intents/{opened.id}/authenticate", outcome="success")
    held = await api.v1.payment_intents.retrieve_async(opened.id)
    assert (held.status, held.payment_method) == ("requires_capture", kept.payment_method)


async def test_a_card_that_fails_fails_again(
    api: stripe.StripeClient, browser: stripe.StripeClient, control: Control
) -> None:
    kept = await _kept(api, control, CHARGE_FAILS)
    opened = _intent_of(await _refused(api, kept, "create"))
    with pytest.raises(stripe.CardError):
        await _confirmed_in_a_browser(browser, opened, str(kept.payment_method))


@pytest.mark.parametrize("when", ["open", "held", "captured"])
async def test_metadata_can_be_changed_whatever_the_status(api: stripe.StripeClient, when: str) -> None:
    how: Any = {"confirm": False, "payment_method": None} if when == "open" else {}
    intent = await authorized(api, metadata={"op": "p:1"}, **how)
    if when == "captured":
        await api.v1.payment_intents.capture_async(intent.id)
    changed = await api.v1.payment_intents.update_async(intent.id, {"metadata": {"op": "p:2", "a": "b"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"op": "p:2", "a": "b"}
    found = await api.v1.payment_intents.retrieve_async(intent.id)
    assert (found.metadata, found.status) == (
        changed.metadata,
        intent.status if when != "captured" else "succeeded",
    )


async def test_the_methods_of_a_payment_can_be_listed(api: stripe.StripeClient) -> None:
    listed = await authorized(api, allowed_payment_method_types=["card", "us_bank_account"])
    assert (listed.payment_method_types, listed.automatic_payment_methods) == (
        ["card", "us_bank_account"],
        None,
    )
