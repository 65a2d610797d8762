"""What only seems to come from Stripe leaves no trace: asked over HTTP, looked for in the inbox."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select

from activities import stripe_webhooks
from api.app import build_app
from api.dependencies import Dependencies, utc_now
from models.database import Database
from models.records import StripeEvent
from tests.api.calls import CONNECT_SECRETS, Json, as_client, booked, calling, code, event, signed
from tests.api.forging import OLD_SECRET, forgeries, rotations
from tests.support.shop import Shop

PLATFORM, ALIAS, CONNECT = "/api/webhooks/stripe", "/api/payments/webhook", "/api/webhooks/stripe/connect"
SKEW = timedelta(minutes=10)
SOME = event("invoice.paid")


def now() -> datetime:
    return datetime.now(UTC)


async def send(
    api: httpx.AsyncClient, sent: Json, header: str | None, path: str = PLATFORM
) -> httpx.Response:
    headers = [] if header is None else [(b"Stripe-Signature", header.encode())]
    return await api.post(path, content=json.dumps(sent), headers=headers)


async def stored(database: Database, event_id: str) -> StripeEvent | None:
    return await database.run(lambda session: session.get(StripeEvent, event_id))


async def count(database: Database) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(StripeEvent)) or 0


@pytest.mark.fault("W3")
@pytest.mark.parametrize("path", [PLATFORM, ALIAS, CONNECT])
@pytest.mark.parametrize("kind", forgeries(SOME, now()))
async def test_a_forgery_leaves_no_row(
    api: httpx.AsyncClient, database: Database, kind: str, path: str
) -> None:
    sent = event("invoice.paid")
    before = await count(database)
    answer = await send(api, sent, forgeries(sent, now())[kind], path)
    assert code(answer) == "invalid_signature"
    assert (await count(database), await stored(database, sent["id"])) == (before, None)


@pytest.mark.fault("W3")
@pytest.mark.parametrize("kind", rotations(SOME, now()))
async def test_while_secrets_change_events_are_kept(
    api: httpx.AsyncClient, database: Database, kind: str
) -> None:
    sent = event("invoice.paid")
    assert (await send(api, sent, rotations(sent, now())[kind])).status_code == 200
    assert await stored(database, sent["id"]) is not None


@pytest.mark.fault("W3")
async def test_a_recording_that_is_played_again_changes_nothing(
    api: httpx.AsyncClient, database: Database
) -> None:
    sent = event("invoice.paid")
    header = signed(sent)[1]
    assert (await send(api, sent, header)).status_code == 200
    first, rows = await stored(database, sent["id"]), await count(database)
    assert (await send(api, sent, header)).status_code == 200
    second = await stored(database, sent["id"])
    assert first is not None
    assert second is not None
    assert (first.handled_at, first.attempts, rows) == (
        *(second.handled_at, second.attempts),
        await count(database),
    )


@pytest.mark.fault("N1")
async def test_without_the_check_a_forgery_is_stored(
    api: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_webhooks, "_signed_with", lambda *_: True)
    sent = event("invoice.paid")
    assert (await send(api, sent, forgeries(sent, now())["forged"])).status_code == 200
    assert await stored(database, sent["id"]) is not None


@pytest.mark.fault("N1")
async def test_without_the_window_an_old_recording_is_stored(
    api: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_webhooks, "_recent", lambda *_: True)
    monkeypatch.setattr(stripe_webhooks, "_signed_with", lambda *_: True)
    sent = event("invoice.paid")
    assert (await send(api, sent, forgeries(sent, now())["days old"])).status_code == 200
    assert await stored(database, sent["id"]) is not None


@pytest.mark.fault("C1")
@pytest.mark.parametrize("skew", [SKEW, -SKEW], ids=["fast", "slow"])
@pytest.mark.parametrize(("path", "secret"), [(PLATFORM, OLD_SECRET), (CONNECT, CONNECT_SECRETS[0])])
async def test_a_clock_that_is_off_shuts_the_door_until_it_is_right(
    deps: Dependencies, database: Database, skew: timedelta, path: str, secret: str
) -> None:
    sent = event("invoice.paid")
    header = signed(sent, secret)[1]
    async with calling(build_app(replace(deps, now=lambda: utc_now() + skew))) as off:
        assert code(await send(off, sent, header, path)) == "invalid_signature"
    assert await stored(database, sent["id"]) is None
    async with calling(build_app(deps)) as right:
        # Stripe tries again for days; nothing was lost.
        assert (await send(right, sent, header, path)).status_code == 200
    assert await stored(database, sent["id"]) is not None


@pytest.mark.fault("C1")
@pytest.mark.parametrize("skew", [SKEW, -SKEW], ids=["fast", "slow"])
@pytest.mark.usefixtures("running_worker")
async def test_a_booking_does_not_notice_the_apis_clock(
    deps: Dependencies, shop: Shop, skew: timedelta
) -> None:
    async with calling(build_app(replace(deps, now=lambda: utc_now() + skew))) as off:
        made = await booked(off, shop)
        path = f"/api/bookings/{made['id']}"
        expires_at = datetime.fromisoformat(made["expires_at"])
        created_at = datetime.fromisoformat(made["created_at"])
        assert abs(expires_at - created_at - timedelta(minutes=30)) < SKEW / 2
        assert (await off.get(f"{path}/timeline", headers=as_client(shop))).status_code == 200
        assert (await off.get(f"{path}/checkout", headers=as_client(shop))).json() == made["checkout"]
        cancelled = await off.post(f"{path}/cancel", headers=as_client(shop))
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
