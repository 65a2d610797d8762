"""The list of events, as a reconciler sweeps it: complete, whatever became of their deliveries."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Control, Receiver, until
from tests.sandbox.stripe.scenes import funded, paid, provider, types_of_events

PAYMENT = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "charge.dispute.created",
    "charge.dispute.funds_withdrawn",
]


async def test_a_sweep_finds_what_was_never_delivered(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url)
    await control.ask("POST", "/webhooks", mode="drop")
    await paid(api, payment_method="pm_card_createDispute")
    await control.ask("POST", "/webhooks", mode="normal")
    await api.v1.products.create_async({"name": "x"})
    await receiver.wait("product.created")
    assert receiver.types == ["product.created"]
    assert await types_of_events(api) == [*PAYMENT, "product.created"]
    dropped = (await control.get("/_control/deliveries?status=dropped")).json()["data"]
    assert [delivery["type"] for delivery in dropped] == PAYMENT
    # A moved clock wakes everything that waits; what was dropped does not wait.
    await control.ask("POST", "/clock", advance_seconds=4 * 86400)
    await control.ask("POST", "/webhooks/resend", events=[dropped[-1]["event"]])
    await receiver.wait(PAYMENT[-1])
    assert receiver.types == ["product.created", PAYMENT[-1]]


async def test_events_are_paged_oldest_to_newest_and_back(api: stripe.StripeClient) -> None:
    for _ in range(5):
        await api.v1.customers.create_async({})
    newest = await api.v1.events.list_async({"limit": 2})
    found = [event.id async for event in newest.auto_paging_iter()]
    assert (len(set(found)), newest.has_more) == (5, True)
    later = await api.v1.events.list_async({"ending_before": found[-1], "limit": 3})
    assert ([event.id for event in later.data], later.has_more) == (found[1:4], True)


async def test_a_sweep_starts_where_the_last_one_ended(api: stripe.StripeClient, control: Control) -> None:
    await paid(api)
    before = (await control.ask("GET", "/clock"))["now"]
    await control.ask("POST", "/clock", advance_seconds=3600)
    await api.v1.customers.create_async({})
    asked: list[tuple[Any, list[str]]] = [
        ({"created": {"gte": before + 3600}}, ["customer.created"]),
        (
            {"created": {"lt": before + 3600}, "types": ["charge.succeeded", "customer.created"]},
            ["charge.succeeded"],
        ),
        ({"created": {"gte": before + 3600}, "type": "charge.*"}, []),
    ]
    for params, expected in asked:
        page = await api.v1.events.list_async(params)
        assert [event.type for event in page.data] == expected


async def test_every_account_has_events_of_its_own(api: stripe.StripeClient, control: Control) -> None:
    first, second = await funded(api), (await provider(api)).id
    await control.ask("POST", f"/accounts/{first}", drain=True)
    await control.ask("POST", f"/accounts/{second}", payouts_enabled=False)
    heard = {}
    for account in (first, second):
        page = await api.v1.events.list_async({"created": {"gte": 1}}, {"stripe_account": account})
        heard[account] = [(event.type, event.account) for event in page.data]
    assert heard == {
        first: [("payout.created", first)],
        second: [("account.updated", second)],
    }
    assert "payout.created" not in await types_of_events(api)


@pytest.mark.parametrize("mode", ["drop", "normal"])
async def test_events_are_listed_by_whether_they_arrived(
    api: stripe.StripeClient, control: Control, receiver: Receiver, mode: str
) -> None:
    await control.endpoint(receiver.url, enabled_events=["customer.*"])
    await control.ask("POST", "/webhooks", mode=mode)
    await api.v1.customers.create_async({})

    async def arrived() -> list[Any]:
        found = (await control.get("/_control/deliveries")).json()["data"]
        return [delivery for delivery in found if delivery["status"] in {"dropped", "delivered"}]

    await until(arrived)
    listed = {
        success: (await api.v1.events.list_async({"delivery_success": success})).data
        for success in (True, False)
    }
    expected = (
        {True: [], False: ["customer.created"]} if mode == "drop" else {True: ["customer.created"], False: []}
    )
    assert {success: [event.type for event in events] for success, events in listed.items()} == expected
