"""Temporal is killed in every wait of a booking, stays away, and is started again on the same file."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from sandbox.asking import Json
from sandbox.demo import figures
from sandbox.demo.audit import findings
from sandbox.demo.stage import Pace, Stage, at
from sandbox.launch import temporary_run_dir
from sandbox.person import has_status, outline
from tests.e2e.stacks import PATIENCE, Stack, running
from tests.e2e.temporal_server import OwnTemporal, own_temporal
from tests.e2e.waits import WAITS, WINDOW, Wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DELIVERED_WITHIN = 60.0
"""Seconds until what was told while Temporal was away has arrived."""

PACE = Pace(patience=PATIENCE)
UNDELIVERED = "SELECT * FROM stripe_events WHERE handled_at IS NULL"


@pytest.fixture(scope="module")
async def temporal() -> AsyncIterator[OwnTemporal]:
    with temporary_run_dir() as directory:
        async with own_temporal(directory.parent) as server:
            yield server


@pytest.fixture(scope="module")
async def stack(temporal: OwnTemporal) -> AsyncIterator[Stack]:
    """Its Temporal is not its own, so nobody starts it again behind the test's back."""
    with temporary_run_dir() as directory:
        async with running(directory, **temporal.told) as ready:
            yield ready


@asynccontextmanager
async def away(temporal: OwnTemporal) -> AsyncIterator[None]:
    """Temporal is not there while the block lasts."""
    await temporal.kill()
    try:
        yield
    finally:
        await temporal.start()


async def undelivered(stack: Stack) -> dict[str, str]:
    """Stripe's events that have been kept and not yet told to any workflow, and why not."""
    database = await asyncpg.connect(stack.described.database_url.replace("+asyncpg", ""))
    try:
        return {row["id"]: str(dict(row)) for row in await database.fetch(UNDELIVERED)}
    finally:
        await database.close()


async def until(stack: Stack, enough: Callable[[dict[str, str]], bool], within: float) -> set[str]:
    """Wait for what is undelivered to be so; answers with it."""
    deadline = time.monotonic() + within
    while not enough(kept := await undelivered(stack)):
        assert time.monotonic() < deadline, "\n".join(kept.values())
        await asyncio.sleep(0.1)
    return {*kept}


async def passed(instant: datetime) -> None:
    """Let the windows of those who wait for the clock end."""
    await asyncio.sleep(max((instant - datetime.now(UTC)).total_seconds(), 0))


def stage_of(stack: Stack, number: int) -> Stage:
    clients = (stack.outside.client, stack.outside.client2)
    return Stage(stack.outside, clients[number % len(clients)], PACE, lambda _: None)


@pytest.mark.fault("T1")
async def test_killed_in_every_wait_temporal_resumes_and_hears_what_was_said_meanwhile(
    stack: Stack, temporal: OwnTemporal, record_property: Callable[[str, Any], None]
) -> None:
    stages = {wait: stage_of(stack, number) for number, wait in enumerate(WAITS)}
    patient = [wait for wait in WAITS if not wait.by_the_clock]
    hurried = [wait for wait in WAITS if wait.by_the_clock]
    bookings: dict[Wait, Json] = {}
    for waits in (patient, hurried):
        reached = await asyncio.gather(*(wait.reach(stages[wait]) for wait in waits))
        bookings |= dict(zip(waits, reached, strict=True))
    windows_end = datetime.now(UTC) + WINDOW + PACE.completion_grace
    async with away(temporal):
        for wait, booking in bookings.items():
            seen = await stack.outside.ops.see(booking["id"])
            assert wait.shows(seen), f"{wait.name} was over too soon: {outline(seen)}"
        telling = [asyncio.create_task(wait.ends_it(stages[wait], bookings[wait])) for wait in WAITS]
        webhooks = sum(wait.by_webhook for wait in WAITS)
        await until(stack, lambda kept: len(kept) >= webhooks, PATIENCE)
        await passed(windows_end)
        kept = {*await undelivered(stack)}
    await until(stack, kept.isdisjoint, DELIVERED_WITHIN)
    await asyncio.gather(*telling)
    await asyncio.gather(*(wait.then(stages[wait], bookings[wait]) for wait in WAITS))
    await all_end_as_they_should(stack, stages, bookings)
    record_property("injected", len(WAITS))


async def all_end_as_they_should(stack: Stack, stages: dict[Wait, Stage], bookings: dict[Wait, Json]) -> None:
    ended = [await stages[wait].until(booking, wait.is_over, "its end") for wait, booking in bookings.items()]
    assert [findings(found) for found in await figures.gather(stack.outside, ended)] == [[]] * len(ended)
    for booking in ended:
        execution = await stack.closed(booking["workflow_id"])
        assert execution["status"] == "WORKFLOW_EXECUTION_STATUS_COMPLETED"


# --- and while it is away -------------------------------------------------------------------------


@pytest.mark.fault("T2")
async def test_a_webhook_that_comes_while_temporal_is_away_is_kept_and_delivered_later(
    stack: Stack, temporal: OwnTemporal
) -> None:
    stage = stage_of(stack, 0)
    booking = await stage.book()
    async with away(temporal):
        assert await stage.client.pay(booking["id"])
        kept = await until(stack, bool, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while not (sent := [each for each in await deliveries(stage) if each["event"] in kept]):  # noqa: ASYNC110 - it is behind HTTP
                await asyncio.sleep(0.1)
        assert {(each["status"], each["last_status"], each["attempts"]) for each in sent} == {
            ("delivered", 200, 1)
        }
        assert (await stage.client.see(booking["id"]))["status"] == "PENDING"
    await until(stack, kept.isdisjoint, DELIVERED_WITHIN)
    await stage.until(booking, has_status("CONFIRMED"), "what was kept")


async def deliveries(stage: Stage) -> list[Json]:
    return await stage.control.list("/deliveries", status="delivered")


@pytest.mark.fault("T2")
async def test_a_booking_that_temporal_could_not_start_is_503_and_one_booking_when_it_is_repeated(
    stack: Stack, temporal: OwnTemporal
) -> None:
    stage, key = stage_of(stack, 1), f"outage-{uuid4()}"
    service = await stage.offer()
    order = {"service_id": service["id"], "starts_at": at(timedelta(days=1)).isoformat()}
    headers = {"Authorization": f"Bearer {stage.client.token}", "Idempotency-Key": key}
    async with httpx.AsyncClient(base_url=stack.described.api_url, headers=headers, timeout=30) as http:
        async with away(temporal):
            refused = await http.post("/api/bookings", json=order)
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert refused.headers["Retry-After"]
        answer = await made(http, order)
        again = await made(http, order)
    assert answer["id"] == again["id"]
    mine = await stage.provider.get("/api/bookings")
    assert [each["id"] for each in mine["items"]] == [answer["id"]]
    paid = await stage.pay(answer)
    await stage.client.cancel(paid["id"])
    assert findings(*await figures.gather(stack.outside, [await stage.ended(paid, "its end")])) == []


async def made(http: httpx.AsyncClient, order: Json) -> Json:
    """Ask until the booking is made: a worker that hears again from Temporal may need its time, which is a 202."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await http.post("/api/bookings", json=order)).status_code not in (200, 201):
            assert answer.status_code in (202, 503), answer.text
            await asyncio.sleep(0.2)
    booking: Json = answer.json()
    return booking
