"""Registering once, and getting ready to be paid."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient

from activities.stripe_gateway import StripeGateway
from api.app import build_app
from api.dependencies import Dependencies
from models.catalogue import Provider
from models.database import Database
from models.payments import Payout, ProviderDebt
from models.states import PayoutStatus
from tests.api.calls import Json, as_ops, as_provider, bearer, booked, calling, code, soon
from tests.api.journeys import held
from tests.support.shop import Shop

NEW: Json = {"name": "Ada Lehmann", "email": "ada@example.com", "time_zone": "Europe/Berlin", "country": "DE"}


async def register(api: httpx.AsyncClient, subject: str, **changes: Any) -> httpx.Response:
    return await api.post("/api/providers", json=NEW | changes, headers=bearer("provider", subject))


async def test_a_provider_registers_and_can_sell(api: httpx.AsyncClient) -> None:
    subject = f"provider-{uuid4()}"
    answer = await register(api, subject)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["Location"] == f"/api/providers/{made['id']}"
    assert made["stripe_account_id"].startswith("acct_")
    assert [window["weekday"] for window in made["opening_hours"]] == [0, 1, 2, 3, 4, 5, 6]
    assert {(window["opens_minute"], window["closes_minute"]) for window in made["opening_hours"]} == {
        (0, 1440)
    }
    service = {"name": "Lesson", "duration_minutes": 60, "amount": 100, "currency": "eur"}
    offered = await api.post("/api/services", json=service, headers=bearer("provider", subject))
    assert offered.json()["provider_id"] == made["id"]


async def test_registering_at_once_is_registering_once(api: httpx.AsyncClient) -> None:
    subject = f"provider-{uuid4()}"
    answers = await asyncio.gather(*(register(api, subject) for _ in range(10)))
    assert max(answer.status_code for answer in answers if answer.is_success) == 201
    assert {answer.status_code for answer in answers} <= {200, 201, 502}
    again = await register(api, subject, name="Somebody else")
    assert (again.status_code, again.json()["name"]) == (200, "Ada Lehmann")


async def test_ops_register_as_many_as_they_like(api: httpx.AsyncClient) -> None:
    hours = [{"weekday": 6, "opens_minute": 0, "closes_minute": 1440}]
    first = await api.post("/api/providers", json=NEW | {"opening_hours": hours}, headers=as_ops())
    second = await api.post("/api/providers", json=NEW, headers=as_ops())
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]
    assert first.json()["opening_hours"] == hours


@pytest.mark.parametrize(
    "changes",
    [
        {"time_zone": "Europe/Atlantis"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "\x00"},
        {"country": "de"},
        {"country": "DEU"},
        {"email": "ada"},
        {"email": "ada@exam ple.com"},
        {"name": ""},
        {"name": "A\x00da"},
        {"opening_hours": [{"weekday": 7, "opens_minute": 0, "closes_minute": 60}]},
        {"opening_hours": [{"weekday": 0, "opens_minute": 60, "closes_minute": 60}]},
        {"opening_hours": [{"weekday": 0, "opens_minute": False, "closes_minute": 60}]},
        {"opening_hours": [{"weekday": "0", "opens_minute": 0, "closes_minute": 60}]},
        {"opening_hours": [{"weekday": 0, "opens_minute": 0, "closes_minute": 60}] * 2},
        {
            "opening_hours": [
                {"weekday": 0, "opens_minute": 0, "closes_minute": 120},
                {"weekday": 0, "opens_minute": 60, "closes_minute": 180},
            ]
        },
        {"payout_schedule": "weekly"},
        {"surprise": 1},
    ],
    ids=str,
)
async def test_a_provider_has_a_shape(api: httpx.AsyncClient, changes: Json) -> None:
    assert code(await register(api, f"provider-{uuid4()}", **changes)) == "validation_failed"


async def test_windows_may_touch(api: httpx.AsyncClient) -> None:
    hours = [
        {"weekday": 0, "opens_minute": 0, "closes_minute": 60},
        {"weekday": 0, "opens_minute": 60, "closes_minute": 120},
    ]
    assert (await register(api, f"provider-{uuid4()}", opening_hours=hours)).status_code == 201


async def test_only_its_own_provider_and_ops_look(api: httpx.AsyncClient, shop: Shop) -> None:
    path = f"/api/providers/{shop.provider_id}"
    assert (await api.get(path, headers=as_provider(shop))).json()["ready"] is True
    assert (await api.get(path, headers=as_ops())).status_code == 200
    assert code(await api.get(path, headers=bearer("provider", "other"))) == "not_found"
    assert code(await api.get(f"/api/providers/{uuid4()}", headers=as_ops())) == "not_found"
    other = await api.post(f"{path}/onboarding", headers=bearer("provider", "other"))
    assert code(other) == "not_found"


async def test_readiness_is_read_again_until_it_is_there(
    api: httpx.AsyncClient, shop: Shop, database: Database
) -> None:
    async def forget(session: AsyncSession) -> None:
        row = await session.get_one(Provider, shop.provider_id)
        row.transfers_active = row.payouts_enabled = False

    await database.run(forget)
    answer = await api.get(f"/api/providers/{shop.provider_id}", headers=as_provider(shop))
    assert answer.json()["ready"] is True


@pytest.mark.usefixtures("running_worker")
async def test_a_provider_sees_what_it_owes_and_what_is_blocked(
    api: httpx.AsyncClient, shop: Shop, sdk: StripeClient, database: Database
) -> None:
    made = [await held(api, shop, sdk)]
    made.append(await booked(api, shop, starts_at=soon(4)))

    async def trouble(session: AsyncSession) -> None:
        for number, each in enumerate(made):
            owed = ProviderDebt(
                booking_id=UUID(each["id"]), provider_id=shop.provider_id, currency="eur", raised=700
            )
            owed.settled = 200 * number
            session.add(owed)
        payout = (await session.scalars(select(Payout).where(Payout.booking_id == made[0]["id"]))).one()
        payout.status, payout.blocked_at = PayoutStatus.BLOCKED, datetime(2026, 11, 1, tzinfo=UTC)

    await database.run(trouble)
    seen = (await api.get(f"/api/providers/{shop.provider_id}", headers=as_provider(shop))).json()
    assert seen["debts"] == [{"currency": "eur", "amount": 1_200}]
    assert seen["blocked_payouts"] == [
        {
            "booking_id": made[0]["id"],
            "amount": 9_600,
            "currency": "eur",
            "since": "2026-11-01T00:00:00Z",
        }
    ]


async def test_an_account_on_a_manual_schedule_is_made_as_one(
    api: httpx.AsyncClient, sdk: StripeClient
) -> None:
    made = (await register(api, f"provider-{uuid4()}", payout_schedule="manual")).json()
    assert (made["payout_schedule"], made["debts"], made["blocked_payouts"]) == ("manual", [], [])
    account = await sdk.v1.accounts.retrieve_async(made["stripe_account_id"])
    assert account.to_dict()["settings"]["payouts"]["schedule"]["interval"] == "manual"


async def test_onboarding_goes_on_at_stripe(api: httpx.AsyncClient, shop: Shop) -> None:
    path = f"/api/providers/{shop.provider_id}/onboarding"
    for headers in (as_provider(shop), as_ops()):
        answer = await api.post(path, headers=headers)
        assert answer.status_code == 200, answer.text
        assert shop.account_id in answer.json()["url"]


async def test_without_stripe_registering_can_be_repeated(deps: Dependencies, api: httpx.AsyncClient) -> None:
    subject = f"provider-{uuid4()}"
    nowhere = StripeGateway.connect("sk_test_x", "http://127.0.0.1:1")
    async with calling(build_app(replace(deps, gateway=nowhere))) as cut_off:
        assert code(await register(cut_off, subject)) == "stripe_unavailable"
    await nowhere.close()
    answer = await register(api, subject)
    assert (answer.status_code, answer.json()["ready"]) == (201, True)
