"""Payments that are under way before they are known to succeed."""

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, charge_of, paid, types_of_events

GOOD, CLOSED, NEVER = (
    "pm_usBankAccount_success",
    "pm_usBankAccount_accountClosed",
    "pm_usBankAccount_processing",
)


async def test_a_debit_is_processing_and_then_succeeds_by_the_clock(
    api: stripe.StripeClient, control: Control
) -> None:
    intent = await paid(api, payment_method=GOOD)
    assert intent.status == "processing"
    charge = await api.v1.charges.retrieve_async(charge_of(intent))
    assert (charge.status, charge.paid, charge.balance_transaction) == ("pending", False, None)
    await control.ask("POST", "/clock", advance_seconds=60)
    intent = await api.v1.payment_intents.retrieve_async(intent.id)
    charge = await api.v1.charges.retrieve_async(charge_of(intent))
    assert (intent.status, intent.amount_received) == ("succeeded", 5000)
    assert (charge.status, charge.paid, charge.captured) == ("succeeded", True, True)
    assert (await types_of_events(api))[-4:] == [
        "charge.pending",
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


async def test_a_debit_may_fail_and_another_way_to_pay_succeed(
    api: stripe.StripeClient, control: Control
) -> None:
    intent = await paid(api, payment_method=CLOSED)
    await control.ask("POST", "/clock", advance_seconds=60)
    failed = await api.v1.payment_intents.retrieve_async(intent.id)
    assert failed.last_payment_error is not None
    assert (failed.status, failed.last_payment_error.decline_code) == (
        "requires_payment_method",
        "account_closed",
    )
    again = await api.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    assert again.status == "succeeded"


@pytest.mark.parametrize(
    ("outcome", "status"), [("success", "succeeded"), ("fail", "requires_payment_method")]
)
async def test_a_debit_that_never_ends_is_ended_by_control(
    api: stripe.StripeClient, control: Control, outcome: str, status: str
) -> None:
    intent = await paid(api, payment_method=NEVER)
    await control.ask("POST", "/clock", advance_seconds=30 * 86400)
    assert (await api.v1.payment_intents.retrieve_async(intent.id)).status == "processing"
    ended = await control.ask("POST", f"/payment_intents/{intent.id}/settle", outcome=outcome)
    assert ended["status"] == status


async def test_what_is_under_way_cannot_be_canceled(api: stripe.StripeClient) -> None:
    intent = await paid(api, payment_method=GOOD)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_intents.cancel_async(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_a_debit_cannot_be_held(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await authorized(api, payment_method=GOOD)
    assert refused.value.param == "capture_method"
