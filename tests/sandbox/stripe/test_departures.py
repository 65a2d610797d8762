"""Accounts that leave the platform, come back, or are followed by another."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control, Receiver
from tests.sandbox.stripe.scenes import funded, provider


async def test_an_account_that_left_comes_back(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url, connect=True)
    account = await funded(api)
    there: Any = {"stripe_account": account}
    await control.ask("POST", f"/accounts/{account}", deauthorized=True)
    await receiver.wait("account.application.deauthorized")
    assert receiver.events[0]["account"] == account
    with pytest.raises(stripe.PermissionError) as refused:
        await api.v1.payouts.create_async({"amount": 1, "currency": "usd"}, there)
    assert refused.value.error is not None
    assert (refused.value.http_status, refused.value.error.code) == (403, "account_invalid")
    with pytest.raises(stripe.PermissionError):
        await api.v1.events.list_async(None, there)
    transfer: Any = {"amount": 1, "currency": "usd", "destination": account}
    await control.ask("POST", "/balance", amount=1)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await api.v1.transfers.create_async(transfer)
    assert (missing.value.http_status, missing.value.code, missing.value.param) == (
        400,
        "resource_missing",
        "destination",
    )
    await control.ask("POST", f"/accounts/{account}", deauthorized=False)
    await receiver.wait("account.application.authorized", "account.updated")
    assert (await api.v1.transfers.create_async(transfer)).amount == 1
    assert (await api.v1.payouts.create_async({"amount": 1, "currency": "usd"}, there)).status == "pending"


async def test_another_account_takes_over(api: stripe.StripeClient, control: Control) -> None:
    """A provider that connected anew: the old account is gone, the money goes to the new one."""
    old, new = await funded(api), await provider(api)
    await control.ask("POST", f"/accounts/{old}", deauthorized=True)
    await control.ask("POST", "/balance", amount=1000)
    moved = await api.v1.transfers.create_async({"amount": 1000, "currency": "usd", "destination": new.id})
    assert moved.destination == new.id
    (earlier,) = (await api.v1.transfers.list_async({"destination": old})).data
    reversal = await api.v1.transfers.reversals.create_async(earlier.id, {"amount": 400})
    assert reversal.amount == 400
