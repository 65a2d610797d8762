from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.stripe.conftest import Control
from tests.sandbox.stripe.scenes import provider, types_of_events

CONTROLLER: Any = {
    "controller": {
        "fees": {"payer": "application"},
        "losses": {"payments": "application"},
        "stripe_dashboard": {"type": "express"},
        "requirement_collection": "stripe",
    },
    "capabilities": {"transfers": {"requested": True}, "card_payments": {"requested": True}},
}


@pytest.mark.parametrize("params", [CONTROLLER, {"type": "express"}, {"type": "custom", "country": "DE"}])
async def test_an_account_is_ready_to_be_paid_at_once(api: stripe.StripeClient, params: Any) -> None:
    account = await api.v1.accounts.create_async(params)
    assert account.capabilities is not None
    assert (account.charges_enabled, account.payouts_enabled, account.details_submitted) == (True, True, True)
    assert account.capabilities.transfers == "active"
    assert account.type == params.get("type", "none")
    assert account.country == params.get("country", "US")
    assert (await api.v1.accounts.retrieve_async(account.id)).id == account.id


async def test_the_payout_schedule_can_be_chosen(api: stripe.StripeClient) -> None:
    settings: Any = {"payouts": {"schedule": {"interval": "manual"}}}
    created = await api.v1.accounts.create_async({"type": "express", "settings": settings})
    updated = await api.v1.accounts.update_async(
        (await provider(api)).id, {"settings": settings, "metadata": {"provider": "p1"}}
    )
    for account in (created, updated):
        assert account.settings is not None
        assert account.settings.payouts is not None
        assert account.settings.payouts.schedule.interval == "manual"


async def test_control_takes_readiness_away_and_says_so(api: stripe.StripeClient, control: Control) -> None:
    account = await provider(api)
    await control.ask("POST", f"/accounts/{account.id}", transfers="inactive", payouts_enabled=False)
    after = await api.v1.accounts.retrieve_async(account.id)
    assert after.requirements is not None
    assert (after.payouts_enabled, after.requirements.disabled_reason) == (False, "requirements.past_due")
    events = await control.objects("event")
    heard = [(event["type"], event.get("account")) for event in events if "account" in event]
    assert heard == [("account.updated", account.id), ("capability.updated", account.id)]


async def test_a_link_leads_back(api: stripe.StripeClient, raw: httpx.AsyncClient) -> None:
    account = await provider(api)
    link = await api.v1.account_links.create_async(
        {
            "account": account.id,
            "type": "account_onboarding",
            "return_url": "https://shop.example/done?a=1&b=2",
            "refresh_url": "https://shop.example/again",
        }
    )
    back = await raw.get(link.url)
    assert (back.status_code, back.headers["location"]) == (303, "https://shop.example/done?a=1&b=2")


async def test_an_account_that_is_not_ours_is_out_of_reach(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.PermissionError) as refused:
        await api.v1.accounts.retrieve_async("acct_other")
    assert refused.value.http_status == 403
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await api.v1.account_links.create_async({"account": "acct_other", "type": "account_onboarding"})
    assert missing.value.code == "resource_missing"


async def test_objects_belong_to_the_account_they_were_made_on(api: stripe.StripeClient) -> None:
    account = await provider(api)
    theirs = await api.v1.customers.create_async({}, {"stripe_account": account.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.customers.retrieve_async(theirs.id)
    assert refused.value.http_status == 404
    found = await api.v1.customers.retrieve_async(theirs.id, None, {"stripe_account": account.id})
    assert found.id == theirs.id
    assert await types_of_events(api) == []
    listed = await api.v1.accounts.list_async()
    assert [shown.id for shown in listed.data] == [account.id]
    assert (await api.v1.accounts.delete_async(account.id)).deleted
