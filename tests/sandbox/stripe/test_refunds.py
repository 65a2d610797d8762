import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, charge_of, paid, types_of_events


async def test_a_refund_gives_everything_back_once(api: stripe.StripeClient) -> None:
    intent = await paid(api)
    refund = await api.v1.refunds.create_async(
        {"payment_intent": intent.id, "reason": "requested_by_customer", "metadata": {"op": "refund:1"}}
    )
    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 5000, charge_of(intent))
    charge = await api.v1.charges.retrieve_async(charge_of(intent))
    assert (charge.amount_refunded, charge.refunded) == (5000, True)
    assert charge.refunds is not None
    assert [shown.id for shown in charge.refunds.data] == [refund.id]
    assert (await types_of_events(api))[-4:] == [
        "charge.refunded",
        "refund.created",
        "charge.refund.updated",
        "refund.updated",
    ]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"


async def test_parts_are_refunded_up_to_what_was_captured(api: stripe.StripeClient) -> None:
    held = await authorized(api)
    intent = await api.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 4000})
    first = await api.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1500})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded") as refused:
        await api.v1.refunds.create_async({"charge": charge_of(intent), "amount": 2501})
    assert refused.value.param == "amount"
    rest = await api.v1.refunds.create_async({"charge": charge_of(intent)})
    assert rest.amount == 2500
    listed = await api.v1.refunds.list_async({"payment_intent": intent.id})
    assert [refund.id for refund in listed.data] == [rest.id, first.id]


async def test_a_refund_leaves_the_balance_and_stripes_fee_stays_paid(api: stripe.StripeClient) -> None:
    intent = await paid(api)
    refund = await api.v1.refunds.create_async(
        {"payment_intent": intent.id, "expand": ["balance_transaction"]}
    )
    transaction = refund.to_dict()["balance_transaction"]
    assert (transaction["amount"], transaction["fee"], transaction["type"]) == (-5000, 0, "refund")
    balance = await api.v1.balance.retrieve_async()
    assert balance.available[0].amount + balance.pending[0].amount == -175


async def test_what_is_only_held_is_not_refunded(api: stripe.StripeClient) -> None:
    held = await authorized(api)
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        await api.v1.refunds.create_async({"payment_intent": held.id})
    with pytest.raises(stripe.InvalidRequestError, match="has not been captured"):
        await api.v1.refunds.create_async({"charge": charge_of(held)})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.refunds.create_async({})
    assert refused.value.code == "parameter_missing"


async def test_a_refund_may_be_pending_first(api: stripe.StripeClient, control: Control) -> None:
    intent = await paid(api, payment_method="pm_card_pendingRefund")
    refund = await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "pending"
    await control.ask("POST", "/clock", advance_seconds=60)
    assert (await api.v1.refunds.retrieve_async(refund.id)).status == "succeeded"


@pytest.mark.parametrize("by", ["clock", "control"])
async def test_a_refund_may_fail_late_and_the_money_comes_back(
    api: stripe.StripeClient, control: Control, by: str
) -> None:
    intent = await paid(api, payment_method="pm_card_refundFail")
    refund = await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    if by == "clock":
        await control.ask("POST", "/clock", advance_seconds=60)
    else:
        await control.ask("POST", f"/refunds/{refund.id}", status="failed")
    failed = await api.v1.refunds.retrieve_async(refund.id)
    charge = await api.v1.charges.retrieve_async(charge_of(intent))
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert (await types_of_events(api))[-1] == "refund.failed"
    again = await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert again.amount == 5000


async def test_metadata_can_be_added_later(api: stripe.StripeClient) -> None:
    refund = await api.v1.refunds.create_async({"payment_intent": (await paid(api)).id})
    changed = await api.v1.refunds.update_async(refund.id, {"metadata": {"seen": "yes"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"seen": "yes"}


async def test_three_decimals_end_in_a_zero_wherever_money_moves(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="divisible by 10") as refused:
        await authorized(api, 12_345, currency="kwd")
    assert refused.value.param == "amount"
    held = await authorized(api, 12_340, currency="kwd")
    with pytest.raises(stripe.InvalidRequestError, match="divisible by 10"):
        await api.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 6_667})
    await api.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 6_660})
    with pytest.raises(stripe.InvalidRequestError, match="divisible by 10"):
        await api.v1.refunds.create_async({"payment_intent": held.id, "amount": 6_661})
    assert (await api.v1.refunds.create_async({"payment_intent": held.id})).amount == 6_660
