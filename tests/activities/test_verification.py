"""A payment that is not the one the booking asked for never confirms it (TRAPS 19)."""

from collections.abc import Callable
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import Failure, PaymentMismatch, StripeFailure, to_application_error
from activities.stripe_gateway import StripeGateway
from activities.stripe_objects import Intent
from sandbox.stripe.server import Running
from tests.activities.desk import Desk, do

TAMPERED: dict[str, dict[str, Any]] = {
    "amount": {"amount": 1},
    "currency": {"currency": "usd"},
    "livemode": {"livemode": True},
    "booking": {"metadata": {"booking_id": "another", "app": "durable-bookings"}},
    "no metadata": {"metadata": {}},
}
NAMED = {"no metadata": "booking"}


class Tampered(StripeGateway):
    """Stripe has another payment than the one we asked for."""

    changes: dict[str, Any]

    async def retrieve_intent(self, intent_id: str) -> Intent:
        return (await super().retrieve_intent(intent_id)).model_copy(update=self.changes)


@pytest.fixture
def tampered(outside: Running) -> Callable[[str], StripeGateway]:
    def make(how: str) -> StripeGateway:
        gateway = Tampered.connect(outside.secret_key, outside.url)
        gateway.changes = TAMPERED[how]
        return gateway

    return make


@pytest.mark.parametrize("how", TAMPERED)
@pytest.mark.parametrize("step", ["read_payment", "close_payment"])
async def test_a_payment_that_differs_is_never_recorded_and_parks(
    desk: Desk, tampered: Callable[[str], StripeGateway], how: str, step: str
) -> None:
    booking_id = await desk.paid(await desk.shop())
    gateway = tampered(how)
    payments = desk.activities(gateway=gateway).payments
    with pytest.raises(PaymentMismatch, match=NAMED.get(how, how)) as mismatch:
        await getattr(payments, step)(do(booking_id))
    await gateway.close()
    told = to_application_error(mismatch.value)
    assert isinstance(told, ApplicationError)
    assert (told.type, told.non_retryable) == (Failure.PAYMENT_MISMATCH, True)
    picture = await desk.picture(booking_id)
    assert (picture.booking, picture.payment, picture.intents) == (
        "PENDING",
        "PENDING",
        ("requires_capture",),
    )


async def test_a_payment_changed_at_stripe_after_it_was_opened_is_caught(desk: Desk) -> None:
    booking_id = await desk.opened(await desk.shop())
    await desk.sdk.v1.payment_intents.update_async(await desk.intent_id(booking_id), {"amount": 100})
    await desk.confirm_card(booking_id)
    with pytest.raises(PaymentMismatch, match="amount is 100, not 12000"):
        await desk.activities().payments.read_payment(do(booking_id))


async def test_the_same_payment_untouched_is_recorded(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop())
    await desk.activities().payments.read_payment(do(booking_id))
    assert (await desk.picture(booking_id)).payment == "AUTHORIZED"


@pytest.mark.parametrize("strict", [False, True])
async def test_a_refused_card_ends_a_booking_only_where_the_policy_is_strict(
    desk: Desk, *, strict: bool
) -> None:
    booking_id = await desk.opened(await desk.shop(policy={"strict_payment_failure": strict}))
    with pytest.raises(Exception, match="declined"):
        await desk.confirm_card(booking_id, "pm_card_chargeDeclined")
    state = await desk.activities().payments.read_payment(do(booking_id))
    assert state.payment_refused is strict
    await desk.confirm_card(booking_id)
    assert not (await desk.activities().payments.read_payment(do(booking_id))).payment_refused


@pytest.mark.parametrize("wrong", ["amount", "booking"])
async def test_ops_cannot_adopt_an_intent_of_another_booking_or_amount(desk: Desk, wrong: str) -> None:
    shop = await desk.shop()
    booking_id, other_id = await desk.reserved(shop), await desk.opened(await desk.shop())
    if wrong == "booking":
        foreign = await desk.intent_id(other_id)
    else:
        made = await desk.sdk.v1.payment_intents.create_async(
            {"amount": 100, "currency": "eur", "metadata": {"booking_id": str(booking_id)}}
        )
        foreign = made.id
    with pytest.raises(Exception, match="is not what intent") as refused:
        await desk.activities().payments.open_payment(do(booking_id, adopt=foreign))
    assert getattr(refused.value, "failure", None) is Failure.ADOPTION_REFUSED


async def test_ops_can_adopt_the_intent_that_was_made_for_the_booking(desk: Desk) -> None:
    booking_id = await desk.reserved(await desk.shop())
    await desk.control.fault("fail_before", "/v1/payment_intents", status=400, code="parameter_invalid")
    with pytest.raises(StripeFailure):
        await desk.activities().payments.open_payment(do(booking_id))
    (customer,) = await desk.control.objects("customer")
    made = await desk.sdk.v1.payment_intents.create_async(
        {
            "amount": 12_000,
            "currency": "eur",
            "customer": customer["id"],
            "metadata": {"booking_id": str(booking_id)},
        }
    )
    await desk.activities().payments.open_payment(do(booking_id, adopt=made.id))
    assert await desk.intent_id(booking_id) == made.id
    assert (await desk.picture(booking_id)).intents == ("requires_payment_method",)
