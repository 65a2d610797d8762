"""Payouts: from a connected account's available balance to its bank, and back when the bank refuses."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import SECRET, Control, Receiver, until
from tests.sandbox.stripe.scenes import charge_of, funded, paid

DELAY = 2
HELD = 3600


async def _pay_out(
    api: stripe.StripeClient, account: str, amount: int = 1000, **params: Any
) -> stripe.Payout:
    request: Any = {"amount": amount, "currency": "usd", **params}
    return await api.v1.payouts.create_async(request, {"stripe_account": account})


async def _found(api: stripe.StripeClient, account: str, payout: stripe.Payout) -> stripe.Payout:
    return await api.v1.payouts.retrieve_async(payout.id, None, {"stripe_account": account})


async def _available(api: stripe.StripeClient, account: str) -> int:
    return (await api.v1.balance.retrieve_async(None, {"stripe_account": account})).available[0].amount


async def _events(api: stripe.StripeClient, account: str) -> list[str]:
    page = await api.v1.events.list_async({"type": "payout.*"}, {"stripe_account": account})
    return [str(event.type) for event in page.data][::-1]


@pytest.fixture(autouse=True)
async def _slow_bank(control: Control) -> None:
    """No payout arrives unless the clock is moved."""
    await control.ask("POST", "/settings", payout_delay=f"PT{HELD}S")


async def test_a_payout_leaves_at_once_and_arrives_later(api: stripe.StripeClient, control: Control) -> None:
    account = await funded(api)
    payout = await _pay_out(api, account, metadata={"op": "payout:1"})
    assert (payout.status, payout.amount, payout.automatic) == ("pending", 1000, False)
    assert payout.arrival_date == payout.created + HELD
    assert await _available(api, account) == 3000
    moved = await api.v1.balance_transactions.retrieve_async(
        str(payout.balance_transaction), None, {"stripe_account": account}
    )
    assert (moved.amount, moved.type, moved.source) == (-1000, "payout", payout.id)
    await control.ask("POST", "/clock", advance_seconds=HELD)
    arrived = await _found(api, account, payout)
    assert (arrived.status, arrived.metadata) == ("paid", payout.metadata)
    assert await _events(api, account) == ["payout.created", "payout.paid"]
    assert (await api.v1.payouts.list_async()).data == []


async def test_a_payout_arrives_while_nobody_asks(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.ask("POST", "/settings", payout_delay="PT0S")
    await control.endpoint(f"{receiver.url}/platform")
    await control.endpoint(f"{receiver.url}/connect", connect=True, enabled_events=["payout.*"])
    account = await funded(api)
    payout = await _pay_out(api, account)
    await receiver.wait("payout.created", "payout.paid")
    told = [
        (event["account"], event["data"]["object"]["id"])
        for event in receiver.events
        if event["type"].startswith("payout.")
    ]
    assert told == [(account, payout.id)] * 2
    headers, body = receiver.requests[-1]
    assert stripe.Webhook.construct_event(body, headers["stripe-signature"], SECRET).type == "payout.paid"


async def test_only_what_is_available_is_paid_out(api: stripe.StripeClient, control: Control) -> None:
    account = await funded(api)
    pending = charge_of(await paid(api))
    await api.v1.transfers.create_async(
        {"amount": 500, "currency": "usd", "destination": account, "source_transaction": pending}
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await _pay_out(api, account, 4001)
    assert (refused.value.http_status, refused.value.code) == (400, "balance_insufficient")
    await control.ask("POST", "/clock", advance_seconds=2 * 86400)
    assert (await _pay_out(api, account, 4500)).status == "pending"
    with pytest.raises(stripe.InvalidRequestError) as other:
        await _pay_out(api, account, 1, currency="eur")
    assert other.value.code == "balance_insufficient"


async def test_an_account_may_have_its_payouts_disabled(api: stripe.StripeClient, control: Control) -> None:
    account = await funded(api)
    await control.ask("POST", f"/accounts/{account}", payouts_enabled=False)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await _pay_out(api, account)
    assert refused.value.code == "payouts_not_allowed"
    await control.ask("POST", f"/accounts/{account}", payouts_enabled=True)
    assert (await _pay_out(api, account)).status == "pending"


@pytest.mark.parametrize("before", [[], ["in_transit"], ["paid"]])
@pytest.mark.parametrize("code", ["account_closed", None])
async def test_what_fails_however_late_comes_back(
    api: stripe.StripeClient, control: Control, before: list[str], code: str | None
) -> None:
    account = await funded(api)
    payout = await _pay_out(api, account)
    for status in before:
        await control.ask("POST", f"/payouts/{payout.id}", status=status)
    await control.ask("POST", f"/payouts/{payout.id}", status="failed", failure_code=code)
    failed = await _found(api, account, payout)
    assert (failed.status, failed.failure_code) == ("failed", code or "could_not_process")
    back = await api.v1.balance_transactions.retrieve_async(
        str(failed.failure_balance_transaction), None, {"stripe_account": account}
    )
    assert (back.amount, back.type, await _available(api, account)) == (1000, "payout_failure", 4000)
    await control.ask("POST", "/clock", advance_seconds=HELD)
    between = [f"payout.{'updated' if status == 'in_transit' else status}" for status in before]
    assert await _events(api, account) == ["payout.created", *between, "payout.failed"]


async def test_an_accounts_bank_refuses_until_told_otherwise(
    api: stripe.StripeClient, control: Control
) -> None:
    account = await funded(api)
    await control.ask("POST", f"/accounts/{account}", payouts_fail="account_closed")
    refused = await _pay_out(api, account)
    await control.ask("POST", "/clock", advance_seconds=HELD)
    assert (await _found(api, account, refused)).failure_code == "account_closed"
    await control.ask("POST", f"/accounts/{account}", payouts_fail=None)
    taken = await _pay_out(api, account)
    await control.ask("POST", "/clock", advance_seconds=HELD)
    assert (await _found(api, account, taken)).status == "paid"
    assert "account.updated" not in [event["type"] for event in await control.objects("event")]


async def test_a_payout_is_called_back_while_it_is_pending(
    api: stripe.StripeClient, control: Control
) -> None:
    account = await funded(api)
    payout = await _pay_out(api, account)
    there: Any = {"stripe_account": account}
    canceled = await api.v1.payouts.cancel_async(payout.id, None, there)
    assert (canceled.status, await _available(api, account)) == ("canceled", 4000)
    await control.ask("POST", "/clock", advance_seconds=HELD)
    assert await _events(api, account) == ["payout.created", "payout.canceled"]
    sent = await _pay_out(api, account)
    await control.ask("POST", f"/payouts/{sent.id}", status="in_transit")
    with pytest.raises(stripe.InvalidRequestError, match="only be canceled"):
        await api.v1.payouts.cancel_async(sent.id, None, there)


async def test_payouts_are_listed_by_account_status_and_age(
    api: stripe.StripeClient, control: Control
) -> None:
    account = await funded(api)
    first, second = await _pay_out(api, account), await _pay_out(api, account)
    await control.ask("POST", f"/payouts/{first.id}", status="paid")
    there: Any = {"stripe_account": account}
    asked: list[tuple[Any, list[str]]] = [
        ({}, [second.id, first.id]),
        ({"status": "paid"}, [first.id]),
        ({"created": {"gte": first.created}, "limit": 1}, [second.id]),
        ({"created": {"gt": second.created + 60}}, []),
    ]
    for params, expected in asked:
        listed = await api.v1.payouts.list_async(params, there)
        assert [found.id for found in listed.data] == expected
    changed = await api.v1.payouts.update_async(first.id, {"metadata": {"seen": "yes"}}, there)
    assert changed.metadata is not None
    assert changed.metadata["seen"] == "yes"


async def test_an_account_is_drained(api: stripe.StripeClient, control: Control) -> None:
    account = await funded(api)
    await control.ask("POST", f"/accounts/{account}", drain=True)
    (payout,) = (await api.v1.payouts.list_async(None, {"stripe_account": account})).data
    assert (payout.amount, payout.automatic, await _available(api, account)) == (4000, True, 0)
    with pytest.raises(stripe.InvalidRequestError, match="only be canceled"):
        await api.v1.payouts.cancel_async(payout.id, None, {"stripe_account": account})
    await control.ask("POST", f"/accounts/{account}", drain=True)
    assert await _events(api, account) == ["payout.created"]


async def test_the_delay_is_two_seconds_unless_set(api: stripe.StripeClient, control: Control) -> None:
    await control.ask("POST", "/reset", webhook_endpoints=True)
    account = await funded(api)
    payout = await _pay_out(api, account)
    assert payout.arrival_date == payout.created + DELAY

    async def arrived() -> bool:
        return (await _found(api, account, payout)).status == "paid"

    await control.ask("POST", "/clock", advance_seconds=DELAY)
    assert await until(arrived)


async def test_control_refuses_what_no_bank_would_do(api: stripe.StripeClient, control: Control) -> None:
    account = await funded(api)
    payout = await _pay_out(api, account)
    await control.ask("POST", f"/payouts/{payout.id}", status="failed")
    asked = [
        (f"/payouts/{payout.id}", {"status": "paid"}, 409),
        (f"/payouts/{payout.id}", {"status": "failed"}, 200),
        (f"/payouts/{payout.id}", {"status": "failed", "failure_code": "bored"}, 400),
        (f"/accounts/{account}", {"payouts_fail": "bored"}, 400),
        ("/payouts/po_none", {"status": "paid"}, 404),
    ]
    for path, body, status in asked:
        assert (await control.post(f"/_control{path}", json=body)).status_code == status, path
    assert await _available(api, account) == 4000
