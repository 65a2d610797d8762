"""The catalogue: prices from Stripe, rules that make sense, free slots."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from stripe import StripeClient

from api.dependencies import Dependencies
from models.database import Database
from tests.api.calls import Json, as_client, as_ops, as_provider, bearer, booked, code, problem, soon
from tests.support.shop import Shop, open_shop

NEW: Json = {"name": "Lesson", "duration_minutes": 60, "amount": 10_001, "currency": "eur"}


async def offer(api: httpx.AsyncClient, shop: Shop, **changes: Any) -> httpx.Response:
    body = {name: value for name, value in (NEW | changes).items() if value is not None}
    return await api.post("/api/services", json=body, headers=as_provider(shop))


async def set_terms(api: httpx.AsyncClient, shop: Shop, **terms: Any) -> httpx.Response:
    """As ops do, who alone may."""
    path = f"/api/services/{shop.service_id}"
    return await api.patch(path, json={"policy": terms}, headers=as_ops())


async def test_a_service_shows_who_gets_what(api: httpx.AsyncClient, shop: Shop) -> None:
    terms = {"provider_id": str(shop.provider_id), "policy": {"platform_fee_bps": 1500}}
    answer = await api.post("/api/services", json=NEW | terms, headers=as_ops())
    assert answer.status_code == 201, answer.text
    made = answer.json()
    price = made["price"]
    assert (price["amount"], price["display"]) == (10_001, "100.01 EUR")
    assert (price["platform_fee"], price["provider_share"]) == (1_500, 8_501)
    assert made["cancellation_tiers"] == [
        {"hours_before": 24, "refund_bps": 10_000},
        {"hours_before": 0, "refund_bps": 5_000},
    ]
    assert made["policy"]["payment_window"] == "PT30M"
    assert (await api.get(f"/api/services/{made['id']}")).json() == made


async def test_the_price_is_stripes(api: httpx.AsyncClient, shop: Shop, sdk: StripeClient) -> None:
    product = await sdk.v1.products.create_async({"name": "Lesson"})
    price = await sdk.v1.prices.create_async({"product": product.id, "unit_amount": 777, "currency": "jpy"})
    made = (await offer(api, shop, price_id=price.id, amount=None, currency=None)).json()
    assert (made["price"]["amount"], made["price"]["display"]) == (777, "777 JPY")
    await sdk.v1.prices.update_async(price.id, {"active": False})
    archived = await offer(api, shop, price_id=price.id, amount=None, currency=None)
    assert code(archived) == "validation_failed"


@pytest.mark.parametrize(("amount", "currency"), [(1234, "kwd"), (100_000_000, "eur")])
async def test_a_price_that_can_never_be_charged_is_refused(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, amount: int, currency: str
) -> None:
    product = await sdk.v1.products.create_async({"name": "Lesson"})
    price = await sdk.v1.prices.create_async(
        {"product": product.id, "unit_amount": amount, "currency": currency}
    )
    refused = await offer(api, shop, price_id=price.id, amount=None, currency=None)
    assert code(refused) == "validation_failed"


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None, "currency": None},
        {"currency": None},
        {"amount": None},
        {"price_id": "price_1"},
        {"price_id": "price_unknown", "amount": None, "currency": None},
        {"price_id": "../accounts", "amount": None, "currency": None},
        {"amount": 0},
        {"amount": 10**9},
        {"amount": 1001, "currency": "kwd"},
        {"currency": "xxx1"},
        {"duration_minutes": 0},
        {"duration_minutes": 1441},
        {"duration_minutes": "60"},
        {"name": ""},
        {"name": "two\nlines"},
        {"policy": []},
        {"capacity": 0},
    ],
    ids=str,
)
async def test_an_offer_has_a_shape(api: httpx.AsyncClient, shop: Shop, changes: Json) -> None:
    assert code(await offer(api, shop, **changes)) == "validation_failed"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"policy": {"payment_window": "soon"}}, "payment_window"),
        ({"policy": {"payment_window": -1}}, "payment_window"),
        ({"policy": {"payout_hold": "PT0.5S"}}, "payout_hold: durations are whole seconds"),
        ({"policy": {"surprise": 1}}, "surprise"),
        ({"policy": {"platform_fee_bps": 10_001}}, "platform_fee_bps"),
        ({"policy": {"cancellation_tiers": [{"hours_before": 1, "refund_bps": 0}] * 2}}, "same hour"),
        (
            {
                "policy": {
                    "cancellation_tiers": [
                        {"hours_before": 24, "refund_bps": 0},
                        {"hours_before": 0, "refund_bps": 1},
                    ]
                }
            },
            "never give more back",
        ),
        ({"policy": {"cancellation_tiers": [{"hours_before": 10**9, "refund_bps": 0}]}}, "hours_before"),
        ({"policy": {"authorization_lead": "P4D"}}, "4.75 days"),
        ({"policy": {"payout_schedule": "manual"}}, "automatic schedule"),
        ({"policy": {"calendar": "calcom"}}, "not offered yet"),
        ({"policy": {"meeting": "jitsi"}}, "not offered yet"),
        ({"policy": {"min_attendance": 2}}, "not offered yet"),
    ],
    ids=str,
)
async def test_rules_that_make_no_sense_say_why(
    api: httpx.AsyncClient, shop: Shop, changes: Json, why: str
) -> None:
    found = problem(await offer(api, shop, **changes))
    assert found["code"] == "policy_invalid"
    assert why in found["detail"]


async def test_what_flows_exist_for_can_be_offered(api: httpx.AsyncClient, shop: Shop) -> None:
    rules = {"approval": "provider", "authorization_expiry": "reauthorize"}
    answer = await offer(api, shop, capacity=8, policy=rules)
    assert answer.status_code == 201, answer.text
    assert answer.json()["capacity"] == 8
    assert answer.json()["policy"]["approval"] == "provider"


async def test_the_account_decides_who_pays_out(api: httpx.AsyncClient) -> None:
    subject = f"provider-{uuid4()}"
    new = {"name": "A", "email": "a@example.com", "time_zone": "Europe/Berlin", "country": "DE"}
    headers = bearer("provider", subject)
    made = (
        await api.post("/api/providers", json=new | {"payout_schedule": "manual"}, headers=headers)
    ).json()
    assert made["payout_schedule"] == "manual"
    service = (await api.post("/api/services", json=NEW, headers=headers)).json()
    assert service["policy"]["payout_schedule"] == "manual"
    path, silent = f"/api/services/{service['id']}", {"policy": {"completion_grace": "PT1H"}}
    changed = (await api.patch(path, json=silent, headers=headers)).json()
    assert changed["policy"]["payout_schedule"] == "manual"
    other = {"policy": {"payout_schedule": "automatic"}}
    assert code(await api.patch(path, json=other, headers=headers)) == "policy_invalid"


async def test_only_your_own_services_are_yours(
    api: httpx.AsyncClient, shop: Shop, deps: Dependencies
) -> None:
    other = await open_shop(deps.database, deps.gateway)
    path = f"/api/services/{shop.service_id}"
    assert code(await api.patch(path, json={"active": False}, headers=as_provider(other))) == "forbidden"
    assert code(await offer(api, shop, provider_id=str(other.provider_id))) == "forbidden"
    unregistered = await api.post("/api/services", json=NEW, headers=bearer("provider", "nobody"))
    assert code(unregistered) == "not_found"


async def test_ops_offer_for_a_provider(api: httpx.AsyncClient, shop: Shop) -> None:
    assert code(await api.post("/api/services", json=NEW, headers=as_ops())) == "validation_failed"
    named = NEW | {"provider_id": str(shop.provider_id)}
    answer = await api.post("/api/services", json=named, headers=as_ops())
    assert answer.json()["provider_id"] == str(shop.provider_id)
    nobody = NEW | {"provider_id": str(uuid4())}
    assert code(await api.post("/api/services", json=nobody, headers=as_ops())) == "not_found"


@pytest.mark.usefixtures("running_worker")
async def test_a_change_is_for_later_bookings(api: httpx.AsyncClient, shop: Shop) -> None:
    made = await booked(api, shop, starts_at=soon(2))
    change = {"name": "Longer", "amount": 20_000, "currency": "eur", "policy": {"platform_fee_bps": 0}}
    answer = await api.patch(f"/api/services/{shop.service_id}", json=change, headers=as_ops())
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert (changed["name"], changed["price"]["amount"], changed["price"]["platform_fee"]) == (
        "Longer",
        20_000,
        0,
    )
    kept = (await api.get(f"/api/bookings/{made['id']}", headers=as_client(shop))).json()
    assert (kept["payment"]["amount"], kept["payment"]["platform_fee"]) == (12_000, 2_400)
    later = await booked(api, shop, starts_at=soon(4))
    assert (later["payment"]["amount"], later["payment"]["platform_fee"]) == (20_000, 0)


@pytest.mark.parametrize(
    "terms",
    [{"platform_fee_bps": 0}, {"payout_hold": "PT0S"}, {"payout_patience": "P99D"}, {"debt_cap_bps": 0}],
    ids=lambda terms: next(iter(terms)),
)
async def test_the_platforms_terms_are_for_ops_to_set(
    api: httpx.AsyncClient, shop: Shop, terms: Json
) -> None:
    (rule,) = terms
    refused = await offer(api, shop, policy=terms)
    assert code(refused) == "policy_invalid"
    assert refused.json()["errors"][0]["field"] == f"body.policy.{rule}"
    path = f"/api/services/{shop.service_id}"
    assert code(await api.patch(path, json={"policy": terms}, headers=as_provider(shop))) == "policy_invalid"
    assert (await set_terms(api, shop, **terms)).json()["policy"][rule] == terms[rule]
    # Its provider keeps them, and may say so.
    kept = {"policy": terms | {"payment_window": "PT20M"}}
    assert (await api.patch(path, json=kept, headers=as_provider(shop))).status_code == 200
    silent = {"policy": {"payment_window": "PT25M"}}
    assert code(await api.patch(path, json=silent, headers=as_provider(shop))) == "policy_invalid"


async def test_two_who_change_different_things_at_once_both_have_their_way(
    api: httpx.AsyncClient, shop: Shop
) -> None:
    path = f"/api/services/{shop.service_id}"
    for go in range(5):
        renamed, ruled = await asyncio.gather(
            api.patch(path, json={"name": f"Name {go}"}, headers=as_provider(shop)),
            set_terms(api, shop, platform_fee_bps=go),
        )
        assert (renamed.status_code, ruled.status_code) == (200, 200)
        seen = (await api.get(path)).json()
        assert (seen["name"], seen["policy"]["platform_fee_bps"]) == (f"Name {go}", go)


async def test_a_change_is_checked_like_an_offer(api: httpx.AsyncClient, shop: Shop) -> None:
    path = f"/api/services/{shop.service_id}"
    answer = await api.patch(path, json={"policy": {"meeting": "jitsi"}}, headers=as_provider(shop))
    assert code(answer) == "policy_invalid"
    longer = await api.patch(path, json={"duration_minutes": 1440}, headers=as_provider(shop))
    assert longer.json()["duration_minutes"] == 1440
    assert code(await api.patch(f"/api/services/{uuid4()}", json={}, headers=as_ops())) == "not_found"


async def test_the_catalogue_has_pages_and_only_what_is_on_offer(api: httpx.AsyncClient, shop: Shop) -> None:
    mine = [(await offer(api, shop, name=f"Lesson {number}")).json()["id"] for number in range(3)]
    await api.patch(f"/api/services/{mine[1]}", json={"active": False}, headers=as_provider(shop))
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (
            await api.get("/api/services", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen))
    assert {mine[0], mine[2]} <= set(seen)
    assert mine[1] not in seen
    assert (await api.get(f"/api/services/{mine[1]}")).json()["active"] is False


# --- availability --------------------------------------------------------------------------------


async def availability(api: httpx.AsyncClient, shop: Shop, **query: str) -> httpx.Response:
    return await api.get(f"/api/services/{shop.service_id}/availability", params=query)


@pytest.mark.usefixtures("running_worker")
async def test_what_is_booked_is_not_free(api: httpx.AsyncClient, shop: Shop) -> None:
    now = datetime.now(UTC)
    found = (await availability(api, shop, to=(now + timedelta(days=1)).isoformat())).json()
    assert found["time_zone"] == "Europe/Berlin"
    assert len(found["slots"]) in {23, 24, 25}
    slot = found["slots"][3]
    made = await booked(api, shop, starts_at=slot)
    again = (await availability(api, shop, to=(now + timedelta(days=1)).isoformat())).json()
    assert set(found["slots"]) - set(again["slots"]) == {slot}
    await api.post(f"/api/bookings/{made['id']}/cancel", headers=as_client(shop))
    assert slot in (await availability(api, shop, **{"from": slot})).json()["slots"]


async def test_slots_lie_on_the_providers_wall_clock(api: httpx.AsyncClient, shop: Shop) -> None:
    found = (await availability(api, shop)).json()
    assert {
        datetime.fromisoformat(slot).astimezone(ZoneInfo("Europe/Berlin")).minute for slot in found["slots"]
    } == {0}


async def test_slots_reach_beyond_an_authorization(api: httpx.AsyncClient, shop: Shop) -> None:
    found = (await availability(api, shop, **{"from": soon(24 * 20), "to": soon(24 * 21)})).json()
    assert len(found["slots"]) in {23, 24, 25}
    assert found["sessions"] == []


async def test_slots_keep_the_notice(api: httpx.AsyncClient, deps: Dependencies, database: Database) -> None:
    shop = await open_shop(database, deps.gateway, policy={"min_notice": "P2D"})
    found = (await availability(api, shop)).json()
    assert datetime.fromisoformat(found["slots"][0]) >= datetime.now(UTC) + timedelta(days=2, minutes=-1)


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-01-01T00:00:00"},
        {"to": "tomorrow"},
        {"from": soon(48), "to": soon(24)},
        {"from": soon(1), "to": soon(24 * 33)},
        {"from": "0001-01-01T00:00:00Z", "to": soon(24)},
    ],
    ids=range(5),
)
async def test_a_range_has_bounds(api: httpx.AsyncClient, shop: Shop, query: dict[str, str]) -> None:
    assert code(await availability(api, shop, **query)) == "validation_failed"


@pytest.mark.parametrize(
    "query", [{"from": soon(24 * 400)}, {"to": soon(-24)}, {"from": "9999-12-31T00:00:00Z"}], ids=range(3)
)
async def test_there_is_nothing_beyond_the_horizon(
    api: httpx.AsyncClient, shop: Shop, query: dict[str, str]
) -> None:
    answer = await availability(api, shop, **query)
    assert (answer.status_code, answer.json()["slots"]) == (200, [])


async def test_what_is_not_offered_has_no_slots(api: httpx.AsyncClient, shop: Shop) -> None:
    path = f"/api/services/{shop.service_id}"
    await api.patch(path, json={"active": False}, headers=as_provider(shop))
    assert code(await availability(api, shop)) == "not_found"
