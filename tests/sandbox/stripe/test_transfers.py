"""Money from the platform to connected accounts and back, counted on both sides."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, charge_of, paid, provider, types_of_events

DAYS_UNTIL_AVAILABLE = 2 * 86400


async def funds(api: stripe.StripeClient, account: str | None = None) -> tuple[int, int]:
    """Available and pending."""
    balance = await api.v1.balance.retrieve_async(None, {"stripe_account": account})
    return balance.available[0].amount, balance.pending[0].amount


async def _transferred(api: stripe.StripeClient, amount: int = 4000) -> stripe.Transfer:
    intent, account = await paid(api, transfer_group="booking_1"), await provider(api)
    return await api.v1.transfers.create_async(
        {
            "amount": amount,
            "currency": "usd",
            "destination": account.id,
            "source_transaction": charge_of(intent),
            "metadata": {"op": "transfer:1"},
        }
    )


async def test_a_charges_money_is_transferred_before_it_is_available(
    api: stripe.StripeClient, control: Control
) -> None:
    transfer = await _transferred(api)
    account = str(transfer.destination)
    assert (transfer.transfer_group, transfer.reversed) == ("booking_1", False)
    assert (await funds(api), await funds(api, account)) == ((0, 825), (0, 4000))
    await control.ask("POST", "/clock", advance_seconds=DAYS_UNTIL_AVAILABLE)
    assert (await funds(api), await funds(api, account)) == ((825, 0), (4000, 0))
    there = await api.v1.balance_transactions.list_async({"type": "payment"}, {"stripe_account": account})
    assert [(moved.amount, moved.source) for moved in there.data] == [(4000, transfer.destination_payment)]
    here = await api.v1.balance_transactions.list_async({"source": transfer.id})
    assert [(moved.amount, moved.type) for moved in here.data] == [(-4000, "transfer")]
    assert (await types_of_events(api))[-1] == "transfer.created"


async def test_reversals_take_back_up_to_what_was_transferred(api: stripe.StripeClient) -> None:
    transfer = await _transferred(api)
    account = str(transfer.destination)
    reversal = await api.v1.transfers.reversals.create_async(
        transfer.id, {"amount": 1000, "metadata": {"op": "r"}}
    )
    assert (reversal.amount, reversal.transfer) == (1000, transfer.id)
    assert (sum(await funds(api)), sum(await funds(api, account))) == (1825, 3000)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.transfers.reversals.create_async(transfer.id, {"amount": 3001})
    assert refused.value.param == "amount"
    rest = await api.v1.transfers.reversals.create_async(transfer.id)
    after = await api.v1.transfers.retrieve_async(transfer.id)
    assert (rest.amount, after.amount_reversed, after.reversed) == (3000, 4000, True)
    assert [shown.id for shown in after.reversals.data] == [rest.id, reversal.id]
    listed = await api.v1.transfers.reversals.list_async(transfer.id, {"limit": 1})
    assert ([shown.id for shown in listed.data], listed.has_more) == ([rest.id], True)
    found = await api.v1.transfers.reversals.retrieve_async(transfer.id, reversal.id)
    assert found.metadata is not None
    assert found.metadata["op"] == "r"
    assert (await types_of_events(api)).count("transfer.reversed") == 2


async def test_the_other_side_of_a_transfer_is_a_payment(api: stripe.StripeClient) -> None:
    transfer = await _transferred(api)
    there: Any = {"stripe_account": transfer.destination}
    payment = await api.v1.charges.retrieve_async(
        str(transfer.destination_payment), {"expand": ["balance_transaction", "source_transfer"]}, there
    )
    fields = payment.to_dict()
    assert (fields["amount"], fields["balance_transaction"]["net"]) == (4000, 4000)
    assert fields["source_transfer"]["id"] == transfer.id
    await api.v1.transfers.reversals.create_async(transfer.id)
    payment = await api.v1.charges.retrieve_async(payment.id, None, there)
    assert (payment.amount_refunded, payment.refunded) == (4000, True)


async def test_a_reversal_needs_the_connected_accounts_money(api: stripe.StripeClient) -> None:
    transfer = await _transferred(api, 100)
    there: Any = {"stripe_account": transfer.destination}
    # A direct charge that is refunded costs the account its processing fee.
    direct: Any = {"amount": 5000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    intent = await api.v1.payment_intents.create_async(direct, there)
    await api.v1.refunds.create_async({"payment_intent": intent.id}, there)
    assert sum(await funds(api, str(transfer.destination))) == 100 - 175
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.transfers.reversals.create_async(transfer.id)
    assert refused.value.code == "balance_insufficient"


async def test_without_a_source_the_money_must_be_available(api: stripe.StripeClient) -> None:
    account = await provider(api)
    request: Any = {"amount": 1000, "currency": "usd", "destination": account.id, "transfer_group": "g"}
    await paid(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.transfers.create_async(request)
    assert refused.value.code == "balance_insufficient"
    await paid(api, payment_method="pm_card_bypassPending")
    transfer = await api.v1.transfers.create_async(request)
    assert (await funds(api))[0] == 4825 - 1000
    listed = await api.v1.transfers.list_async({"transfer_group": "g"})
    assert [found.id for found in listed.data] == [transfer.id]
    listed = await api.v1.transfers.list_async({"destination": account.id})
    assert [found.id for found in listed.data] == [transfer.id]


async def test_transfers_of_one_source_stay_within_it(api: stripe.StripeClient) -> None:
    account, charge = await provider(api), await _charge(api)
    request: Any = {"currency": "usd", "destination": account.id, "source_transaction": charge}
    await api.v1.transfers.create_async(request | {"amount": 4000})
    with pytest.raises(stripe.InvalidRequestError, match="must not exceed the source amount"):
        await api.v1.transfers.create_async(request | {"amount": 1001})
    await api.v1.transfers.create_async(request | {"amount": 1000})


async def test_what_is_only_held_is_no_source(api: stripe.StripeClient) -> None:
    account, held = await provider(api), await authorized(api)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.transfers.create_async(
            {"amount": 1, "currency": "usd", "destination": account.id, "source_transaction": charge_of(held)}
        )
    assert refused.value.param == "source_transaction"


@pytest.mark.parametrize("capability", ["inactive", "pending"])
async def test_an_account_must_be_able_to_receive(
    api: stripe.StripeClient, control: Control, capability: str
) -> None:
    account, charge = await provider(api), await _charge(api)
    await control.ask("POST", f"/accounts/{account.id}", transfers=capability)
    request: Any = {
        "amount": 100,
        "currency": "usd",
        "destination": account.id,
        "source_transaction": charge,
    }
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.transfers.create_async(request)
    assert refused.value.code == "insufficient_capabilities_for_transfer"
    await control.ask("POST", f"/accounts/{account.id}", transfers="active")
    assert (await api.v1.transfers.create_async(request)).amount == 100


async def test_an_account_that_left_is_no_destination(api: stripe.StripeClient, control: Control) -> None:
    account = await provider(api)
    await control.ask("POST", f"/accounts/{account.id}", deauthorized=True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.transfers.create_async({"amount": 1, "currency": "usd", "destination": account.id})
    assert (refused.value.http_status, refused.value.code) == (400, "resource_missing")
    with pytest.raises(stripe.PermissionError):
        await api.v1.accounts.retrieve_async(account.id)
    with pytest.raises(stripe.PermissionError):
        await api.v1.balance.retrieve_async(None, {"stripe_account": account.id})


async def test_fees_are_rounded_half_up(api: stripe.StripeClient) -> None:
    fees = []
    for amount in (50, 5000, 5001, 5017, 5018):
        intent = await paid(api, amount, expand=["latest_charge.balance_transaction"])
        fees.append(intent.to_dict()["latest_charge"]["balance_transaction"]["fee"])
    assert fees == [31, 175, 175, 175, 176]


async def _charge(api: stripe.StripeClient) -> str:
    return charge_of(await paid(api))
