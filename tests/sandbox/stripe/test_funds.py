"""What happens when money is needed that is not there."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control, Receiver
from tests.sandbox.stripe.scenes import charge_of, funded, paid, provider

DAYS_UNTIL_AVAILABLE = 2 * 86400


async def _funds(api: stripe.StripeClient, account: str | None = None) -> tuple[int, int]:
    balance = await api.v1.balance.retrieve_async(None, {"stripe_account": account})
    return balance.available[0].amount, balance.pending[0].amount


async def _transfer(api: stripe.StripeClient, account: str, amount: int) -> stripe.Transfer:
    """Of money that is pending for two days."""
    return await api.v1.transfers.create_async(
        {
            "amount": amount,
            "currency": "usd",
            "destination": account,
            "source_transaction": charge_of(await paid(api)),
        }
    )


async def test_the_platform_is_funded_and_defunded(api: stripe.StripeClient, control: Control) -> None:
    await control.ask("POST", "/balance", amount=5000, currency="usd")
    assert await _funds(api) == (5000, 0)
    after = await control.ask("POST", "/balance", amount=-6000)
    assert after["available"][0]["amount"] == -1000
    page = await api.v1.balance_transactions.list_async()
    assert [(moved.amount, moved.type) for moved in page.data] == [(-6000, "topup_reversal"), (5000, "topup")]
    account = await provider(api)
    await control.ask("POST", "/balance", amount=700, account=account.id)
    assert await _funds(api, account.id) == (700, 0)
    for body in ({"amount": 0}, {"amount": 1, "currency": "dollars"}):
        assert (await control.post("/_control/balance", json=body)).status_code == 400


async def test_a_transfer_without_source_waits_for_funds(api: stripe.StripeClient, control: Control) -> None:
    account = await provider(api)
    request: Any = {"amount": 1000, "currency": "usd", "destination": account.id}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.transfers.create_async(request)
    assert refused.value.code == "balance_insufficient"
    await control.ask("POST", "/balance", amount=1000)
    await api.v1.transfers.create_async(request)
    assert (await _funds(api), await _funds(api, account.id)) == ((0, 0), (1000, 0))


async def test_a_drained_account_cannot_give_back(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url, enabled_events=["transfer.*"])
    account = await funded(api)
    (transfer,) = (await api.v1.transfers.list_async({"destination": account})).data
    await control.ask("POST", f"/accounts/{account}", drain=True)
    await _transfer(api, account, 4000)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.transfers.reversals.create_async(transfer.id, {"amount": 1000})
    assert (refused.value.http_status, refused.value.code) == (400, "balance_insufficient")
    await control.ask("POST", "/balance", amount=1000, account=account)
    await api.v1.transfers.reversals.create_async(transfer.id, {"amount": 1000})
    await receiver.wait("transfer.reversed")
    assert receiver.events[-1]["data"]["object"]["amount_reversed"] == 1000
    assert "account" not in receiver.events[-1]
    assert await _funds(api, account) == (0, 4000)


async def test_what_is_still_pending_is_taken_back_from_itself(
    api: stripe.StripeClient, control: Control
) -> None:
    account = (await provider(api)).id
    transfer = await _transfer(api, account, 4000)
    await api.v1.transfers.reversals.create_async(transfer.id, {"amount": 1500})
    assert (await _funds(api), await _funds(api, account)) == ((0, 825 + 1500), (0, 2500))
    await control.ask("POST", "/clock", advance_seconds=DAYS_UNTIL_AVAILABLE)
    assert (await _funds(api), await _funds(api, account)) == ((825 + 1500, 0), (2500, 0))


async def test_what_was_reversed_can_be_transferred_again(api: stripe.StripeClient) -> None:
    account = (await provider(api)).id
    first = await _transfer(api, account, 4000)
    request: Any = {
        "amount": 3000,
        "currency": "usd",
        "destination": account,
        "source_transaction": first.source_transaction,
    }
    with pytest.raises(stripe.InvalidRequestError, match=r"1000 left") as refused:
        await api.v1.transfers.create_async(request)
    assert refused.value.param == "amount"
    reversal = await api.v1.transfers.reversals.create_async(first.id, {"amount": 2000})
    assert (await api.v1.transfers.create_async(request)).amount == 3000
    changed = await api.v1.transfers.reversals.update_async(
        first.id, reversal.id, {"metadata": {"op": "r:1"}}
    )
    assert changed.metadata is not None
    assert changed.metadata["op"] == "r:1"


async def _waiting_refund(api: stripe.StripeClient, control: Control) -> stripe.Refund:
    await control.ask("POST", "/settings", refunds_need_funds=True)
    intent = await paid(api)
    refund = await api.v1.refunds.create_async({"payment_intent": intent.id})
    assert (refund.status, refund.pending_reason, refund.balance_transaction) == (
        "pending",
        "insufficient_funds",
        None,
    )
    return refund


async def test_a_refund_waits_until_the_platform_has_funds(
    api: stripe.StripeClient, control: Control
) -> None:
    refund = await _waiting_refund(api, control)
    await control.ask("POST", "/balance", amount=4999)
    assert (await api.v1.refunds.retrieve_async(refund.id)).status == "pending"
    after = await control.ask("POST", "/balance", amount=1)
    assert after["available"][0]["amount"] == 0
    sent = (await api.v1.refunds.retrieve_async(refund.id, {"expand": ["balance_transaction"]})).to_dict()
    assert (sent["status"], sent.get("pending_reason")) == ("succeeded", None)
    assert sent["balance_transaction"]["amount"] == -5000


async def test_a_refund_is_sent_when_funds_become_available(
    api: stripe.StripeClient, control: Control
) -> None:
    refund = await _waiting_refund(api, control)
    await paid(api)
    await control.ask("POST", "/clock", advance_seconds=60)
    assert (await api.v1.refunds.retrieve_async(refund.id)).status == "pending"
    await control.ask("POST", "/clock", advance_seconds=DAYS_UNTIL_AVAILABLE)
    assert (await api.v1.refunds.retrieve_async(refund.id)).status == "succeeded"


async def test_a_refund_that_never_got_its_funds_fails_without_moving_any(
    api: stripe.StripeClient, control: Control
) -> None:
    refund = await _waiting_refund(api, control)
    await control.ask("POST", f"/refunds/{refund.id}", status="failed")
    failed = await api.v1.refunds.retrieve_async(refund.id)
    charge = await api.v1.charges.retrieve_async(str(refund.charge))
    assert (failed.status, failed.failure_reason) == ("failed", "insufficient_funds")
    assert (charge.amount_refunded, await _funds(api)) == (0, (0, 4825))
    again = await api.v1.refunds.create_async({"charge": charge.id})
    assert again.amount == 5000
