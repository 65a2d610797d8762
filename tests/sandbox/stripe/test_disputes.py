"""Disputes: money that the cardholder's bank takes, and gives back when it is persuaded."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, charge_of, paid, types_of_events

OPENED = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
ANSWER = {"evidence": {"uncategorized_text": "They came."}}


async def _disputed(api: stripe.StripeClient, control: Control, **how: Any) -> stripe.Dispute:
    charge = charge_of(await paid(api))
    opened = await control.ask("POST", f"/charges/{charge}/dispute", **how)
    return await api.v1.disputes.retrieve_async(opened["id"])


async def _total(api: stripe.StripeClient) -> int:
    balance = await api.v1.balance.retrieve_async()
    return balance.available[0].amount + balance.pending[0].amount


async def _dispute_events(api: stripe.StripeClient) -> list[str]:
    return [kind for kind in await types_of_events(api) if kind.startswith("charge.dispute")]


@pytest.mark.parametrize(("asked", "amount"), [({}, 5000), ({"amount": 1200}, 1200)])
async def test_opening_withdraws_the_amount_and_a_fee(
    api: stripe.StripeClient, control: Control, asked: Any, amount: int
) -> None:
    dispute = await _disputed(api, control, **asked)
    charge = await api.v1.charges.retrieve_async(str(dispute.charge))
    assert (dispute.status, dispute.amount, dispute.is_charge_refundable) == ("needs_response", amount, False)
    assert (charge.disputed, dispute.payment_intent) == (True, charge.payment_intent)
    (withdrawn,) = dispute.balance_transactions
    assert (withdrawn.amount, withdrawn.fee, withdrawn.net) == (-amount, 1500, -amount - 1500)
    assert (withdrawn.source, withdrawn.reporting_category) == (dispute.id, "dispute")
    assert await _total(api) == 4825 - amount - 1500
    events = [event for event in await control.objects("event") if event["type"] in OPENED]
    assert [event["type"] for event in events] == OPENED
    assert {event["data"]["object"]["payment_intent"] for event in events} == {charge.payment_intent}
    assert [len(event["data"]["object"]["balance_transactions"]) for event in events] == [0, 1]


async def test_the_fee_is_counted_in_the_currencys_own_units(
    api: stripe.StripeClient, control: Control
) -> None:
    intent = await paid(api, currency="jpy")
    await control.ask("POST", f"/charges/{charge_of(intent)}/dispute")
    (dispute,) = (await api.v1.disputes.list_async({"payment_intent": intent.id})).data
    assert dispute.balance_transactions[0].fee == 15


@pytest.mark.parametrize("path", [["won"], ["under_review", "won"]])
async def test_what_is_won_comes_back_without_the_fee(
    api: stripe.StripeClient, control: Control, path: list[str]
) -> None:
    dispute = await _disputed(api, control)
    for status in path:
        await control.ask("POST", f"/disputes/{dispute.id}", status=status)
    won = await api.v1.disputes.retrieve_async(dispute.id)
    assert [(moved.amount, moved.fee) for moved in won.balance_transactions] == [(-5000, 1500), (5000, 0)]
    assert (won.status, await _total(api)) == ("won", 4825 - 1500)
    assert (await _dispute_events(api))[-2:] == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    assert (await api.v1.refunds.create_async({"charge": str(dispute.charge)})).status == "succeeded"


async def test_what_is_won_may_come_back_later_than_it_is_won(
    api: stripe.StripeClient, control: Control
) -> None:
    await control.ask("POST", "/settings", reinstatement_delay="PT1H")
    dispute = await _disputed(api, control)
    await control.ask("POST", f"/disputes/{dispute.id}", status="won")
    won = await api.v1.disputes.retrieve_async(dispute.id)
    assert (won.status, [moved.amount for moved in won.balance_transactions]) == ("won", [-5000])
    assert (await _dispute_events(api))[-1] == "charge.dispute.closed"
    await control.ask("POST", "/clock", advance_seconds=3600)
    back = await api.v1.disputes.retrieve_async(dispute.id)
    assert [moved.amount for moved in back.balance_transactions] == [-5000, 5000]
    assert (await _dispute_events(api))[-1] == "charge.dispute.funds_reinstated"


@pytest.mark.parametrize("by", ["control", "close", "losing_evidence"])
async def test_what_is_lost_stays_lost(api: stripe.StripeClient, control: Control, by: str) -> None:
    dispute = await _disputed(api, control)
    if by == "control":
        await control.ask("POST", f"/disputes/{dispute.id}", status="lost")
    elif by == "close":
        await api.v1.disputes.close_async(dispute.id)
    else:
        await api.v1.disputes.update_async(dispute.id, {"evidence": {"uncategorized_text": by}})
    lost = await api.v1.disputes.retrieve_async(dispute.id)
    assert (lost.status, len(lost.balance_transactions)) == ("lost", 1)
    assert (await _dispute_events(api))[-1] == "charge.dispute.closed"
    assert "charge.dispute.funds_reinstated" not in await _dispute_events(api)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be closed"):
        await api.v1.disputes.close_async(dispute.id)


@pytest.mark.parametrize("ended", [[], ["under_review"], ["lost"]])
async def test_money_at_the_bank_is_not_refunded(
    api: stripe.StripeClient, control: Control, ended: list[str]
) -> None:
    dispute = await _disputed(api, control)
    for status in ended:
        await control.ask("POST", f"/disputes/{dispute.id}", status=status)
    for target in ({"charge": dispute.charge}, {"payment_intent": dispute.payment_intent}):
        request: Any = {**target, "amount": 100}
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await api.v1.refunds.create_async(request)
        assert refused.value.code == "charge_disputed"


async def test_an_inquiry_moves_no_money_until_it_is_escalated(
    api: stripe.StripeClient, control: Control
) -> None:
    dispute = await _disputed(api, control, inquiry=True, reason="product_not_received")
    assert (dispute.status, dispute.is_charge_refundable) == ("warning_needs_response", True)
    assert (dispute.balance_transactions, await _total(api)) == ([], 4825)
    await api.v1.refunds.create_async({"charge": str(dispute.charge), "amount": 100})
    await control.ask("POST", f"/disputes/{dispute.id}", status="needs_response")
    assert await _total(api) == 4825 - 100 - 5000 - 1500
    assert await _dispute_events(api) == [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]


async def test_an_inquiry_may_just_end(api: stripe.StripeClient, control: Control) -> None:
    dispute = await _disputed(api, control, inquiry=True)
    await control.ask("POST", f"/disputes/{dispute.id}", status="warning_closed")
    assert (await _dispute_events(api), await _total(api)) == (
        ["charge.dispute.created", "charge.dispute.closed"],
        4825,
    )


async def test_evidence_is_staged_and_submitted(api: stripe.StripeClient, control: Control) -> None:
    dispute = await _disputed(api, control)
    staged: Any = {**ANSWER, "submit": False, "metadata": {"seen": "yes"}}
    kept = await api.v1.disputes.update_async(dispute.id, staged)
    assert (kept.status, kept.evidence_details.has_evidence) == ("needs_response", True)
    submitted = await api.v1.disputes.update_async(dispute.id, {"submit": True})
    assert (submitted.status, submitted.evidence_details.submission_count) == ("under_review", 1)
    assert submitted.metadata is not None
    assert submitted.metadata["seen"] == "yes"
    late: Any = ANSWER
    with pytest.raises(stripe.InvalidRequestError, match="no longer"):
        await api.v1.disputes.update_async(dispute.id, late)
    misspelt: Any = {"evidence": {"uncategorised_text": "x"}}
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        await api.v1.disputes.update_async((await _disputed(api, control)).id, misspelt)


async def test_a_date_that_is_missed_is_noted(api: stripe.StripeClient, control: Control) -> None:
    dispute = await _disputed(api, control)
    assert dispute.evidence_details.due_by is not None
    await control.ask("POST", "/clock", set=dispute.evidence_details.due_by)
    assert (await api.v1.disputes.retrieve_async(dispute.id)).evidence_details.past_due


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [
        ("pm_card_createDispute", "needs_response", "fraudulent"),
        ("pm_card_createDisputeProductNotReceived", "needs_response", "product_not_received"),
        ("pm_card_createDisputeInquiry", "warning_needs_response", "fraudulent"),
    ],
)
@pytest.mark.parametrize("capture", ["automatic", "manual"])
async def test_some_cards_are_disputed_as_soon_as_they_are_captured(
    api: stripe.StripeClient, token: str, status: str, reason: str, capture: str
) -> None:
    intent = await authorized(api, payment_method=token, capture_method=capture)
    if capture == "manual":
        assert (await api.v1.disputes.list_async()).data == []
        await api.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 4000})
    (dispute,) = (await api.v1.disputes.list_async({"charge": charge_of(intent)})).data
    assert (dispute.status, dispute.reason) == (status, reason)
    assert dispute.amount == (4000 if capture == "manual" else 5000)
    assert (await types_of_events(api)).index("payment_intent.succeeded") < (
        await types_of_events(api)
    ).index("charge.dispute.created")


async def test_disputes_are_listed_by_what_they_are_about(api: stripe.StripeClient, control: Control) -> None:
    first, second = await _disputed(api, control), await _disputed(api, control)
    assert [found.id for found in (await api.v1.disputes.list_async()).data] == [second.id, first.id]
    by_intent = await api.v1.disputes.list_async({"payment_intent": str(first.payment_intent)})
    assert [found.id for found in by_intent.data] == [first.id]
    assert (await api.v1.disputes.list_async({"created": {"gt": second.created}})).data == []


async def test_control_refuses_what_no_bank_would_do(api: stripe.StripeClient, control: Control) -> None:
    held = charge_of(await authorized(api))
    dispute = await _disputed(api, control)
    asked = [
        (f"/charges/{held}/dispute", {}, 409),
        (f"/charges/{dispute.charge}/dispute", {}, 409),
        (f"/charges/{charge_of(await paid(api))}/dispute", {"amount": 5001}, 400),
        ("/charges/ch_none/dispute", {}, 404),
        (f"/disputes/{dispute.id}", {"status": "warning_closed"}, 409),
        (f"/disputes/{dispute.id}", {"status": "needs_response"}, 200),
    ]
    for path, body, status in asked:
        assert (await control.post(f"/_control{path}", json=body)).status_code == status, path
    assert await _dispute_events(api) == OPENED
