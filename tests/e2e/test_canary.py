"""People and secrets stay where they belong: in no log, at any level, and in no workflow, whatever goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from sandbox import keys
from sandbox.asking import Json
from sandbox.client import Outside
from sandbox.configuration import Configuration
from sandbox.demo.stage import Pace, Stage
from sandbox.demo.stories import booking, cards, outcomes
from sandbox.person import Person
from tests.e2e.stacks import Stack, running
from tests.e2e.test_journeys import payloads

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.fault("A3")]

PACE: Final = Pace(
    payment_window=timedelta(seconds=60),
    unpaid_window=timedelta(seconds=4),
    completion_grace=timedelta(seconds=2),
    payout_hold=timedelta(seconds=1),
    ahead=timedelta(seconds=5),
)
STORIES: Final = (
    booking.happy_path,
    booking.declined_then_paid,
    booking.rejected,
    cards.authorized_later,
    outcomes.objection_released,
)

SHOWN_NOW: Final = "__temporal_workflow_metadata"
"""The query behind what the console shows as current details."""


@dataclass(frozen=True)
class Canaries:
    """What nobody else is called, and what nobody else writes."""

    client: str
    provider: str
    words: str

    @classmethod
    def hatch(cls) -> "Canaries":
        """Three that were never seen before."""
        return cls(*(f"canary-{uuid4().hex}" for _ in range(3)))


def name(canary: str) -> Json:
    return {"name": canary.upper(), "email": f"{canary}@leak.example"}


def named(everybody: Outside, canaries: Canaries) -> Outside:
    """The same outside world, with a client of this name."""
    token = everybody.issuer.token("client", f"client-{uuid4()}", **name(canaries.client))
    client = Person(everybody.client.api, everybody.client.browser, token)
    return replace(everybody, client=client, client2=client)


async def stage_of(everybody: Outside, canaries: Canaries) -> Stage:
    """A stage whose provider is called like this, too."""
    stage = Stage(everybody, everybody.client, PACE, lambda _: None)
    token = everybody.issuer.token("provider", f"provider-{uuid4()}", **name(canaries.provider))
    stage.provider = Person(everybody.client.api, everybody.client.browser, token)
    await stage.opened(**name(canaries.provider))
    return stage


async def with_words(stage: Stage, canaries: Canaries) -> Json:
    """Booked with a note, and cancelled with a reason."""
    service = await stage.offer()
    starts_at = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0).isoformat()
    wanted = {"service_id": service["id"], "starts_at": starts_at, "notes": canaries.words}
    made = await stage.client.post("/api/bookings", wanted)
    return await stage.client.tell(made["id"], "cancel", reason=canaries.words)


@asynccontextmanager
async def faulty(stage: Stage, method: str, path: str, **fault: object) -> AsyncIterator[None]:
    """Stripe misbehaves like this for as long as the block lasts."""
    made = await stage.control.post("/faults", match={"method": method, "path": path}, **fault)
    try:
        yield
    finally:
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.delete(f"{stage.outside.stack.stripe_control_url}/faults/{made['id']}")


async def parked(stage: Stage) -> Json:
    """Stripe refuses the transfer for good: the step asks for a person, who lets it try again."""
    made = await stage.booked()
    async with faulty(stage, "POST", "/v1/transfers", action="fail_before", status=400, times=-1):
        await stage.complete(made)
        await stage.until(made, lambda it: it["attention"] is not None, "the step to park")
    seen = await stage.ops.see(made["id"])
    await stage.ops.resolve(made["id"], seen["attention"]["step"], "retry", "Stripe is well again")
    return await stage.ended(made, "the provider's share")


async def lost_answers(stage: Stage) -> Json:
    """Stripe acts, and its answers get lost or are errors."""
    async with (
        faulty(stage, "POST", "/v1/customers", action="reset_after", times=1),
        faulty(stage, "POST", "/v1/payment_intents", action="fail_before", status=500, times=1),
    ):
        return await booking.happy_path(stage)


async def refusing_mail(stack: Stack, kind: str) -> None:
    async with httpx.AsyncClient(base_url=str(stack.described.mail_url), trust_env=False) as http:
        (await http.put("/fault", json={"kind": kind})).raise_for_status()


async def play(stack: Stack, canaries: Canaries) -> list[Json]:
    """Stories that go well and stories that do not; while the first are played, no mail is taken."""
    everybody = named(stack.outside, canaries)
    await refusing_mail(stack, "reject")
    stages = [await stage_of(everybody, canaries) for _ in range(len(STORIES) + 1)]
    ended = await asyncio.gather(
        with_words(stages[-1], canaries),
        *(story(stage) for story, stage in zip(STORIES, stages[:-1], strict=True)),
    )
    await refusing_mail(stack, "none")
    # Faults befall whoever asks Stripe first: these have it for themselves.
    ended.append(await lost_answers(await stage_of(everybody, canaries)))
    ended.append(await parked(await stage_of(everybody, canaries)))
    return list(ended)


async def secrets_of(stack: Stack, canaries: Canaries) -> dict[str, str]:
    """Everything that has no business in a log or a history, by what it is."""
    everybody = stack.outside
    drawn = keys.load(stack.process.run_dir, Configuration())
    found = {
        "the client": canaries.client,
        "the provider": canaries.provider,
        "what was written": canaries.words,
        "Stripe's secret key": drawn.stripe_secret_key,
        "the webhook secret": drawn.webhook_secret,
        "the Connect webhook secret": drawn.connect_webhook_secret,
        "the secret of tokens": drawn.jwt_secret,
        "a token": everybody.ops.token.split(".")[2],
        "any token": "eyJhbGciOi",
        "any client secret": "_secret_",
    }
    for intents in (
        await everybody.stripe.v1.payment_intents.list_async({"limit": 100}),
        await everybody.stripe.v1.setup_intents.list_async({"limit": 100}),
    ):
        found |= {f"the secret of {each.id}": str(each.client_secret) for each in intents.data}
    return found


def logs_of(run_dir: Path) -> dict[str, str]:
    """Everything that every process of a stack said."""
    files = [run_dir.with_name(f"{run_dir.name}.log"), *sorted((run_dir / "logs").glob("*.log"))]
    return {file.name: file.read_text(errors="replace") for file in files}


async def workflows_of(stack: Stack) -> dict[str, str]:
    """Everything that Temporal knows: histories, memos, search attributes, summaries, details."""
    client = await Client.connect(stack.described.temporal_address, data_converter=pydantic_data_converter)
    told = {}
    async for found in client.list_workflows():
        handle = client.get_workflow_handle(found.id, run_id=found.run_id)
        history = (await handle.fetch_history()).to_json_dict()
        description = MessageToDict((await handle.describe()).raw_description)
        now = MessageToDict(await handle.query(SHOWN_NOW, result_type=WorkflowMetadata))
        told[f"{found.id} {found.run_id}"] = "\n".join(payloads([history, description, now]))
    return told


def leaks(haystacks: dict[str, str], needles: dict[str, str]) -> set[tuple[str, str]]:
    """What was found, and where."""
    return {
        (what, where)
        for where, text in haystacks.items()
        for what, needle in needles.items()
        if needle.casefold() in text.casefold()
    }


async def kept_by(stack: Stack, canaries: Canaries) -> dict[str, str]:
    """Where people may be known: Postgres, Stripe, and their own letters."""
    connection = await asyncpg.connect(stack.described.database_url.replace("+asyncpg", ""))
    try:
        rows = await connection.fetch(
            "SELECT name || email AS who FROM clients UNION ALL SELECT name || email FROM providers "
            "UNION ALL SELECT notes FROM booking_requests"
        )
    finally:
        await connection.close()
    customers = await stack.outside.stripe.v1.customers.list_async({"limit": 100})
    async with httpx.AsyncClient(base_url=str(stack.described.mail_url), trust_env=False) as http:
        address = f"{canaries.client}@leak.example"
        letters = (await http.get("/messages", params={"to": address})).json()
    return {
        "Postgres": "\n".join(str(row["who"]) for row in rows),
        "Stripe": "\n".join(f"{each.name} {each.email}" for each in customers.data),
        "mail": json.dumps(letters),
    }


async def test_no_log_and_no_workflow_tells_of_people_or_secrets(
    run_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    canaries = Canaries.hatch()
    async with running(run_dir, LOG_LEVEL="DEBUG") as stack:
        ended = await play(stack, canaries)
        needles = await secrets_of(stack, canaries)
        workflows, kept = await workflows_of(stack), await kept_by(stack, canaries)
    record_property("injected", len(needles))
    logs = logs_of(run_dir)
    assert (leaks(logs, needles), leaks(workflows, needles)) == (set(), set())
    # What may be found is found, by the same search.
    assert leaks(kept, {"client": canaries.client}) == {("client", where) for where in kept}
    assert ("words", "Postgres") in leaks(kept, {"words": canaries.words})
    assert ("provider", "Postgres") in leaks(kept, {"provider": canaries.provider})
    ids = {each["id"]: each["id"] for each in ended}
    assert {what for what, _ in leaks(workflows, ids)} == set(ids)
    assert {what for what, where in leaks(logs, ids) if where == "worker.log"} == set(ids)
    assert '"event": "request"' in logs["api.log"]
    assert '"level": "debug"' in logs["worker.log"]
