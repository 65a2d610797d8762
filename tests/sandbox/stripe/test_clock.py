"""What happens by time alone."""

import time

import pytest
import stripe

from sandbox.stripe.server import running
from sandbox.stripe.settings import Settings, duration
from tests.sandbox.stripe.conftest import Control, Receiver, client_of, until
from tests.sandbox.stripe.scenes import authorized, types_of_events

A_WEEK = 7 * 86400


async def _capture_before(intent: stripe.PaymentIntent) -> int:
    return int(intent.to_dict()["latest_charge"]["payment_method_details"]["card"]["capture_before"])


async def test_an_authorization_says_when_it_ends_and_ends_then(
    api: stripe.StripeClient, control: Control, receiver: Receiver
) -> None:
    await control.endpoint(receiver.url)
    held = await authorized(api, expand=["latest_charge"])
    capture_before = await _capture_before(held)
    assert capture_before == held.to_dict()["latest_charge"]["created"] + A_WEEK
    await control.ask("POST", "/clock", set=capture_before - 30)
    assert (await api.v1.payment_intents.retrieve_async(held.id)).status == "requires_capture"
    await control.ask("POST", "/clock", advance_seconds=31)
    expired = await api.v1.payment_intents.retrieve_async(held.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")
    assert (await types_of_events(api))[-2:] == ["payment_intent.canceled", "charge.expired"]
    await receiver.wait("payment_intent.canceled", "charge.expired")
    assert receiver.events[-1]["request"] == {"id": None, "idempotency_key": None}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_intents.capture_async(held.id)
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_what_was_captured_does_not_expire(api: stripe.StripeClient, control: Control) -> None:
    held = await authorized(api)
    taken = await api.v1.payment_intents.capture_async(held.id, {"expand": ["latest_charge"]})
    assert "capture_before" not in taken.to_dict()["latest_charge"]["payment_method_details"]["card"]
    await control.ask("POST", "/clock", advance_seconds=2 * A_WEEK)
    assert (await api.v1.payment_intents.retrieve_async(held.id)).status == "succeeded"
    assert "charge.expired" not in await types_of_events(api)


async def test_the_window_can_be_another(api: stripe.StripeClient, control: Control) -> None:
    assert await control.ask("POST", "/settings", authorization_window="PT1H") == {
        "authorization_window": 3600
    }
    held = await authorized(api, expand=["latest_charge"])
    assert await _capture_before(held) == held.to_dict()["latest_charge"]["created"] + 3600


async def test_an_authorization_expires_while_nobody_asks(http: stripe.HTTPXClient) -> None:
    async with running(Settings(authorization_window=duration("PT1S"))) as sandbox:
        api = client_of(sandbox.url, sandbox.secret_key, http)
        await authorized(api)
        async with Control(base_url=sandbox.url) as control:

            async def expired() -> bool:
                return "charge.expired" in [event["type"] for event in await control.objects("event")]

            assert await until(expired)


async def test_the_clock_is_read_and_moved(control: Control) -> None:
    before = (await control.ask("GET", "/clock"))["now"]
    assert abs(before - time.time()) < 60
    moved = (await control.ask("POST", "/clock", set=before + 10_000))["now"]
    assert moved >= before + 10_000
    assert (await control.ask("GET", "/health"))["status"] == "ok"
    assert (await control.post("/_control/clock", json={})).status_code == 400
    await control.ask("POST", "/reset")
    assert (await control.ask("GET", "/clock"))["now"] < before + 10_000


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT20S", 20), ("P7D", 604800), ("P1DT2H3M", 93780), ("P2W", 1209600)]
)
def test_durations_are_iso_8601(text: str, seconds: int) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "20", "7D", "P1Y", "PT1.5H"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        duration(text)
