"""The moments that tests begin from."""

from typing import Any

import stripe


async def authorized(api: stripe.StripeClient, amount: int = 5000, **params: Any) -> stripe.PaymentIntent:
    """An intent whose money is held on a good card."""
    request: Any = {
        "amount": amount,
        "currency": "usd",
        "capture_method": "manual",
        "confirm": True,
        "payment_method": "pm_card_visa",
        **params,
    }
    return await api.v1.payment_intents.create_async(request)


async def paid(api: stripe.StripeClient, amount: int = 5000, **params: Any) -> stripe.PaymentIntent:
    """An intent whose money was taken."""
    return await authorized(api, amount, capture_method="automatic", **params)


async def provider(api: stripe.StripeClient) -> stripe.Account:
    """A connected account that can be paid."""
    capabilities: Any = {"transfers": {"requested": True}}
    return await api.v1.accounts.create_async(
        {"type": "express", "country": "US", "email": "provider@example.com", "capabilities": capabilities}
    )


async def funded(api: stripe.StripeClient, amount: int = 4000) -> str:
    """An account with this much to pay out."""
    account = await provider(api)
    charge = charge_of(await paid(api, payment_method="pm_card_bypassPending"))
    await api.v1.transfers.create_async(
        {"amount": amount, "currency": "usd", "destination": account.id, "source_transaction": charge}
    )
    return account.id


async def types_of_events(api: stripe.StripeClient) -> list[str]:
    """Types of all events, oldest first."""
    page = await api.v1.events.list_async({"limit": 100})
    return [str(event.type) for event in page.data][::-1]


def charge_of(intent: stripe.PaymentIntent) -> str:
    """The id of an intent's latest charge."""
    assert isinstance(intent.latest_charge, str)
    return intent.latest_charge
