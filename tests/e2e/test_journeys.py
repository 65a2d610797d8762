"""Bookings from the outside: everything known of them comes from HTTP, Stripe's SDK and the `temporal` program."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.asking import Json
from sandbox.demo import figures
from sandbox.demo.audit import findings
from sandbox.demo.scenarios import SCENARIOS
from sandbox.demo.stage import Pace, Stage
from sandbox.demo.stories.booking import silence
from sandbox.person import has_status
from tests.e2e.stacks import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FIELDS = {
    "": "id status status_reason service_id provider_id client_id session payment payout reported_outcome "
    "notes attention expires_at accepted_at workflow_id created_at checkout",
    "session": "id status starts_at ends_at capacity",
    "payment": "status plan amount currency amount_captured amount_refunded platform_fee provider_share "
    "payment_intent_id setup_intent_id checkout_session_id capture_before authorize_at fix_by",
    "payout": "status amount debt_netted transfer_amount due_at held_because transfer_id payout_id",
}
"""DESIGN section 7, and what came since."""


def soon(**ahead: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**ahead)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def shape(booking: Json) -> dict[str, set[str]]:
    return {part: set(booking[part] if part else booking) for part in FIELDS}


async def test_a_booking_is_paid_held_and_paid_out(stack: Stack) -> None:
    everybody, client = stack.outside, stack.outside.client
    booking = await client.book(stack.described.services["private_lesson"], soon())
    assert (booking["status"], booking["payment"]["status"]) == ("PENDING", "PENDING")
    assert booking["session"]["status"] == "DRAFT"
    share, fee = booking["payment"]["provider_share"], booking["payment"]["platform_fee"]
    assert share + fee == booking["payment"]["amount"]

    assert await client.pay(booking["id"])
    confirmed = await client.until(booking["id"], has_status("CONFIRMED"), "its confirmation")
    assert confirmed["payment"]["status"] == "AUTHORIZED"
    assert confirmed["session"]["status"] == "SCHEDULED"
    assert confirmed["accepted_at"] is not None
    assert confirmed["payout"] is None

    completed = await client.complete(booking["id"])
    assert (completed["status"], completed["payment"]["status"]) == ("COMPLETED", "CAPTURED")
    assert (completed["payout"]["status"], completed["payout"]["amount"]) == ("HELD", share)
    assert completed["payout"]["transfer_id"] is None
    assert moment(completed["accepted_at"]) < moment(completed["expires_at"])

    paid = await client.until(booking["id"], lambda it: it["payout"]["status"] == "PAID", "the payout")
    assert paid["status"] == "COMPLETED"
    assert shape(paid) == {part: set(names.split()) for part, names in FIELDS.items()}
    assert paid["workflow_id"] == f"booking-{booking['id']}"
    (found,) = await figures.gather(everybody, [paid])
    assert findings(found) == []
    assert list(found.stripe.moved["transfer"].values()) == [-share]
    assert len(found.stripe.intents) == 1
    customers = await everybody.stripe.v1.customers.list_async({"limit": 100})
    clients = [customer.to_dict()["metadata"].get("client_id") for customer in customers.data]
    assert clients.count(booking["client_id"]) == 1
    await the_workflow_has_told_its_story(stack, paid)


async def the_workflow_has_told_its_story(stack: Stack, booking: Json) -> None:
    """As the console sees it: closed, findable, within its budget, and without anybody's secrets."""
    execution = await stack.closed(booking["workflow_id"])
    assert execution["status"] == "WORKFLOW_EXECUTION_STATUS_COMPLETED"
    assert attributes_of(execution) == {
        "BookingStatus": "COMPLETED",
        "PaymentStatus": "CAPTURED",
        "PayoutStatus": "PAID",
        "NeedsAttention": False,
        "AttentionStep": "",
        "ProviderId": booking["provider_id"],
        "ServiceId": booking["service_id"],
        "SessionStartsAt": moment(booking["session"]["starts_at"]),
        "PayoutDueAt": moment(booking["payout"]["due_at"]),
    }
    assert int(execution["historyLength"]) <= 80
    found = await stack.temporal("workflow", "list", "--query", f"ProviderId='{booking['provider_id']}'")
    assert booking["workflow_id"] in {each["execution"]["workflowId"] for each in found}
    history = await stack.temporal("workflow", "show", "--workflow-id", booking["workflow_id"])
    told = "\n".join(payloads(history))
    assert booking["client_id"] in told
    for secret in ("_secret_", "Alice", "alice@", "Example"):
        assert secret not in told


def payloads(node: Any) -> Iterator[str]:
    """Everything that a history says besides its structure, encoded or not."""
    if isinstance(node, str):
        yield node
        with suppress(ValueError):
            yield base64.b64decode(node, validate=True).decode()
    elif isinstance(node, (dict, list)):
        for each in node.values() if isinstance(node, dict) else node:
            yield from payloads(each)


def attributes_of(execution: Json) -> Json:
    """The project's own search attributes, in plain values."""
    fields = execution["searchAttributes"]["indexedFields"]
    return {name: plain(field) for name, field in fields.items() if name != "BuildIds"}


def plain(field: Json) -> Any:
    value = json.loads(base64.b64decode(field["data"]))
    is_datetime = base64.b64decode(field["metadata"]["type"]) == b"Datetime"
    return moment(value) if is_datetime else value


async def test_a_slot_that_nobody_pays_for_is_free_again(stack: Stack) -> None:
    service, starts_at = stack.described.services["private_lesson"], soon(days=1)
    first = await stack.outside.client.book(service, starts_at)
    ended = await stack.outside.client.until(first["id"], has_status("CANCELLED"), "the payment window")
    assert (ended["status_reason"], ended["payment"]["status"]) == ("payment_timeout", "VOIDED")
    assert datetime.now(UTC) >= moment(first["expires_at"])
    second = await stack.outside.client2.book(service, starts_at)
    assert second["status"] == "PENDING"
    assert second["session"]["starts_at"] == first["session"]["starts_at"]


async def test_a_booking_ends_right_though_every_webhook_is_lost(stack: Stack) -> None:
    pace = Pace(
        payment_window=timedelta(seconds=3),
        completion_grace=timedelta(0),
        payout_hold=timedelta(seconds=1),
        silent_for=timedelta(seconds=5),
    )
    stage = Stage(stack.outside, stack.outside.client2, pace, lambda _: None)
    async with stage.control.webhooks_lost():
        ended = await silence(stage)
        assert "payment_intent.amount_capturable_updated" in await stage.control.lost()
    # Only Stripe, asked at the deadline, can have told it.
    assert moment(ended["accepted_at"]) >= moment(ended["expires_at"])
    assert (ended["status"], ended["payout"]["status"]) == ("COMPLETED", "PAID")
    assert [findings(found) for found in await figures.gather(stack.outside, [ended])] == [[]]


async def test_every_kind_of_booking_ends_as_the_demo_says(stack: Stack) -> None:
    """The scenarios are the demo's: each with its ending, and every cent of it, is checked by the demo itself."""
    status, said = await stack.demo()
    assert status == 0, said
    assert f"Playing through the running stack at {stack.described.api_url}." in said
    bookings = sum(len(scenario.endings) for scenario in SCENARIOS)
    captured, refunded, lost = (
        sum(getattr(ending, name) for scenario in SCENARIOS for ending in scenario.endings)
        for name in ("captured", "refunded", "lost")
    )
    assert f"captured {euros(captured)} = refunded {euros(refunded)} + disputed {euros(lost)} +" in said
    assert f"Ledger, Stripe and API agree on all {bookings} bookings" in said
    for scenario in SCENARIOS:
        row = rf"^ +{re.escape(scenario.name)} +{scenario.endings[0].status}"
        assert re.search(row, said, re.MULTILINE), said
    await nothing_is_found(stack)


async def nothing_is_found(stack: Stack) -> None:
    """Neither the reconciler nor the audit of the ledger has anything to say afterwards."""
    for look in ("reconcile", "audit"):
        found = await finished(stack, look)
        assert found["findings"] == 0, await stack.outside.ops.get("/api/ops/findings")


async def finished(stack: Stack, look: str) -> Json:
    """What a comparison found, once it has come to its end."""
    async with asyncio.timeout(60):
        while True:
            found = await stack.outside.ops.post(f"/api/ops/{look}")
            if found["finished"]:
                return found


def euros(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02} EUR"
