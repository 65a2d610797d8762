"""Every object carries exactly the fields of Stripe's published samples, and what newer objects add."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import authorized, charge_of, funded, paid, provider

# Names of the fields in Stripe's own API description, per object type.
FIELDS: dict[str, list[str]] = json.loads((Path(__file__).parent / "fields.json").read_text())
# Where a checkout has Stripe's published samples beside it, they are asked as well.
SAMPLES = Path(__file__).parents[4] / "shared" / "stripe" / "fixtures3.json"
OFFICIAL: dict[str, list[str]] = (
    {kind: list(sample) for kind, sample in json.loads(SAMPLES.read_text())["resources"].items()}
    if SAMPLES.exists()
    else FIELDS
)
Api = stripe.StripeClient


async def _transfer(api: Api) -> Any:
    account, intent = await provider(api), await paid(api)
    return await api.v1.transfers.create_async(
        {"amount": 1, "currency": "usd", "destination": account.id, "source_transaction": charge_of(intent)}
    )


async def _reversal(api: Api) -> Any:
    return await api.v1.transfers.reversals.create_async((await _transfer(api)).id)


async def _charge(api: Api) -> Any:
    return await api.v1.charges.retrieve_async(charge_of(await authorized(api)))


async def _refund(api: Api) -> Any:
    return await api.v1.refunds.create_async({"payment_intent": (await paid(api)).id})


async def _transaction(api: Api) -> Any:
    await paid(api)
    return (await api.v1.balance_transactions.list_async()).data[0]


async def _event(api: Api) -> Any:
    await api.v1.customers.create_async({})
    return (await api.v1.events.list_async()).data[0]


async def _price(api: Api) -> Any:
    return await api.v1.prices.create_async(
        {"currency": "usd", "unit_amount": 1, "product_data": {"name": "x"}}
    )


async def _deleted_customer(api: Api) -> Any:
    return await api.v1.customers.delete_async((await api.v1.customers.create_async({})).id)


async def _link(api: Api) -> Any:
    return await api.v1.account_links.create_async(
        {"account": (await provider(api)).id, "type": "account_onboarding"}
    )


async def _dispute(api: Api) -> Any:
    await paid(api, payment_method="pm_card_createDispute")
    return (await api.v1.disputes.list_async()).data[0]


async def _payout(api: Api) -> Any:
    there: Any = {"stripe_account": await funded(api)}
    return await api.v1.payouts.create_async({"amount": 1, "currency": "usd"}, there)


MAKERS: dict[str, Callable[[Api], Awaitable[Any]]] = {
    "account": provider,
    "account_link": _link,
    "balance": lambda api: api.v1.balance.retrieve_async(),
    "balance_transaction": _transaction,
    "charge": _charge,
    "customer": lambda api: api.v1.customers.create_async({}),
    "deleted_customer": _deleted_customer,
    "dispute": _dispute,
    "event": _event,
    "payment_intent": authorized,
    "payment_method": lambda api: api.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}
    ),
    "payout": _payout,
    "price": _price,
    "product": lambda api: api.v1.products.create_async({"name": "x"}),
    "refund": _refund,
    "setup_intent": lambda api: api.v1.setup_intents.create_async({}),
    "transfer": _transfer,
    "transfer_reversal": _reversal,
    "webhook_endpoint": lambda api: api.v1.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:9/", "enabled_events": ["invoice.paid"]}
    ),
}
SHOWN_ONCE = {"webhook_endpoint": {"secret"}}


@pytest.mark.parametrize("kind", MAKERS)
async def test_an_object_has_stripes_fields(api: Api, kind: str) -> None:
    made = (await MAKERS[kind](api)).to_dict()
    assert set(made) - SHOWN_ONCE.get(kind, set()) == set(FIELDS[kind]) == set(OFFICIAL[kind])


async def test_a_capability_has_stripes_fields(api: Api, control: Control) -> None:
    await control.ask("POST", f"/accounts/{(await provider(api)).id}", transfers="inactive")
    events = await control.objects("event")
    assert set(events[-1]["data"]["object"]) == set(FIELDS["capability"])


async def test_ids_have_stripes_prefixes(api: Api, control: Control) -> None:
    for make in MAKERS.values():
        await make(api)
    prefixes: dict[str, str | tuple[str, str]] = {
        "account": "acct_",
        "balance_transaction": "txn_",
        "charge": ("ch_", "py_"),
        "customer": "cus_",
        "dispute": "dp_",
        "event": "evt_",
        "payment_intent": "pi_",
        "payment_method": "pm_",
        "payout": "po_",
        "price": "price_",
        "product": "prod_",
        "refund": "re_",
        "setup_intent": "seti_",
        "transfer": "tr_",
        "transfer_reversal": "trr_",
        "webhook_endpoint": "we_",
    }
    for kind, prefix in prefixes.items():
        found = await control.objects(kind)
        assert found
        assert all(shown["id"].startswith(prefix) for shown in found)
        assert not any(name.startswith("_") for shown in found for name in shown)
