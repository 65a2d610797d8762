"""Every fault: what the caller sees, whether it was executed, and what a retry with the same key finds."""

import asyncio
from typing import Any, NamedTuple

import httpx
import pytest
import stripe

from sandbox.stripe.server import Running
from tests.sandbox.stripe.conftest import Control, client_of, until

KEY: Any = {"idempotency_key": "k"}
CUSTOMER: Any = {"email": "a@example.com"}
BROKEN = stripe.APIError
LOST = stripe.APIConnectionError


class Case(NamedTuple):
    action: str
    settings: dict[str, Any]
    raises: type[stripe.StripeError]
    objects: int


CASES = [
    Case("fail_before", {}, BROKEN, 0),
    Case("fail_before", {"status": 402, "code": "card_declined"}, stripe.CardError, 0),
    Case("reset_before", {}, LOST, 0),
    Case("timeout_before", {"seconds": 0.05}, LOST, 0),
    Case("rate_limit", {"seconds": 3}, stripe.RateLimitError, 0),
    Case("conflict", {}, BROKEN, 0),
    Case("fail_after", {}, BROKEN, 1),
    Case("fail_after", {"status": 503}, BROKEN, 1),
    Case("timeout_after", {"seconds": 0.05}, LOST, 1),
    Case("reset_after", {}, LOST, 1),
    Case("malformed", {}, BROKEN, 1),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.action)
async def test_a_fault_strikes_once_and_a_retry_ends_with_one_object(
    api: stripe.StripeClient, control: Control, case: Case
) -> None:
    await control.fault(case.action, "/v1/customers", **case.settings)
    with pytest.raises(case.raises):
        await api.v1.customers.create_async(CUSTOMER, KEY)
    assert len(await control.objects("customer")) == case.objects
    created = await api.v1.customers.create_async(CUSTOMER, KEY)
    assert [customer["id"] for customer in await control.objects("customer")] == [created.id]


async def test_slow_answers_come_in_the_end(
    sandbox: Running, api: stripe.StripeClient, control: Control
) -> None:
    await control.fault("slow", seconds=60)
    impatient = stripe.HTTPXClient(timeout=0.05)
    with pytest.raises(LOST):
        await client_of(sandbox.url, sandbox.secret_key, impatient).v1.customers.create_async(CUSTOMER, KEY)
    await impatient.close_async()  # type: ignore[no-untyped-call]
    with pytest.raises(BROKEN, match="in-progress"):
        await api.v1.customers.create_async(CUSTOMER, KEY)
    await control.ask("DELETE", "/faults")
    made = await until(lambda: control.objects("customer"))
    assert (await api.v1.customers.create_async(CUSTOMER, KEY)).id == made[0]["id"]


async def test_a_slow_request_holds_up_nobody_else(api: stripe.StripeClient, control: Control) -> None:
    await control.fault("slow", "/v1/products", seconds=60)
    slow = asyncio.create_task(api.v1.products.create_async({"name": "x"}))
    customers = await asyncio.gather(*(api.v1.customers.create_async({}) for _ in range(10)))
    assert len(customers) == 10
    assert not slow.done()
    await control.ask("DELETE", "/faults")
    assert (await slow).name == "x"


@pytest.mark.parametrize(("acted", "objects"), [(False, 0), (True, 1)])
async def test_a_stored_500_is_repeated_until_the_key_is_forgotten(
    api: stripe.StripeClient, control: Control, *, acted: bool, objects: int
) -> None:
    await control.fault("cached_500", acted=acted)
    await control.ask("POST", "/clock", advance_seconds=0)
    for _ in range(3):
        with pytest.raises(BROKEN) as broken:
            await api.v1.customers.create_async(CUSTOMER, KEY)
        assert broken.value.http_status == 500
        await control.ask("POST", "/clock", advance_seconds=2 * 86400)
    assert broken.value.headers is not None
    assert broken.value.headers["idempotent-replayed"] == "true"
    assert len(await control.objects("customer")) == objects
    await control.ask("POST", "/idempotency/forget")
    assert (await api.v1.customers.create_async(CUSTOMER, KEY)).email == "a@example.com"


async def test_a_rate_limit_says_when_to_come_back(raw: httpx.AsyncClient, control: Control) -> None:
    await control.fault("rate_limit", seconds=7, match={"method": "GET"})
    limited = await raw.get("/v1/customers")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert limited.json()["error"]["code"] == "rate_limit"


async def test_a_held_connection_is_let_go_when_the_client_leaves(
    sandbox: Running, api: stripe.StripeClient, control: Control
) -> None:
    await control.fault("timeout_after", "/v1/customers")
    impatient = stripe.HTTPXClient(timeout=0.1)
    with pytest.raises(LOST):
        await client_of(sandbox.url, sandbox.secret_key, impatient).v1.customers.create_async(CUSTOMER, KEY)
    await impatient.close_async()  # type: ignore[no-untyped-call]
    again = await api.v1.customers.create_async(CUSTOMER, KEY)
    assert [customer["id"] for customer in await control.objects("customer")] == [again.id]


async def test_a_fault_strikes_only_what_it_is_meant_for(api: stripe.StripeClient, control: Control) -> None:
    await control.fault("fail_before", "/v1/payment_intents/*/capture")
    await control.fault("fail_before", match={"method": "DELETE"})
    await control.fault("fail_before", match={"key": "booking:*:refund:*"})
    await api.v1.customers.create_async(CUSTOMER, {"idempotency_key": "booking:1:create:1"})
    with pytest.raises(BROKEN):
        await api.v1.customers.create_async(CUSTOMER, {"idempotency_key": "booking:1:refund:1"})
    with pytest.raises(BROKEN):
        await api.v1.payment_intents.capture_async("pi_x")
    with pytest.raises(BROKEN):
        await api.v1.customers.delete_async("cus_x")


async def test_a_fault_can_wait_for_the_nth_request_and_strike_often(
    api: stripe.StripeClient, control: Control
) -> None:
    await control.fault("fail_before", times=2, match={"nth": 2})
    seen = []
    for _ in range(5):
        try:
            await api.v1.customers.create_async(CUSTOMER)
        except stripe.APIError:
            seen.append("failed")
        else:
            seen.append("ok")
    assert seen == ["ok", "failed", "failed", "ok", "ok"]


async def test_faults_are_listed_and_removed(api: stripe.StripeClient, control: Control) -> None:
    await control.fault("fail_before", times=-1)
    await control.fault("reset_before", times=-1)
    first, second = (await control.ask("GET", "/faults"))["data"]
    assert (first["action"], second["action"]) == ("fail_before", "reset_before")
    assert await control.ask("DELETE", f"/faults/{first['id']}") == {"deleted": 1}
    for _ in range(3):
        with pytest.raises(LOST):
            await api.v1.customers.create_async(CUSTOMER)
    assert await control.ask("DELETE", "/faults") == {"deleted": 1}
    await api.v1.customers.create_async(CUSTOMER)


@pytest.mark.parametrize("body", ["{", '{"action": "explode"}', '{"action": "slow", "sconds": 1}'])
async def test_a_fault_that_makes_no_sense_is_refused(control: Control, body: str) -> None:
    assert (await control.post("/_control/faults", content=body)).status_code == 400
