"""Stripe answers badly, late or not at all; the step ends the same (FAULTS S1 to S4)."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from activities.errors import RETRYABLE, Failure, StripeFailure, to_application_error
from activities.stripe_gateway import StripeGateway
from models.states import OperationState
from sandbox.stripe.server import Running
from tests.activities import money_steps
from tests.activities.desk import Desk, do
from tests.activities.later_steps import LATER_STEPS
from tests.activities.money_steps import MONEY_STEPS, PAY_OUT, MoneyStep
from tests.sandbox.stripe.conftest import until


class Fault(NamedTuple):
    """What the sandbox does with the write, what we make of it, and the ids that it counts for."""

    action: str
    settings: dict[str, Any]
    failure: Failure
    ids: tuple[str, ...]


NOT_ACTED = [
    Fault("fail_before", {}, Failure.STRIPE_INDETERMINATE, ("S1",)),
    Fault("fail_before", {"status": 503}, Failure.STRIPE_INDETERMINATE, ("S1",)),
    Fault("reset_before", {}, Failure.STRIPE_INDETERMINATE, ("S3",)),
    Fault("timeout_before", {"seconds": 0.01}, Failure.STRIPE_INDETERMINATE, ("S3",)),
    Fault("rate_limit", {"seconds": 7}, Failure.STRIPE_RATE_LIMITED, ("S3",)),
    Fault("conflict", {}, Failure.STRIPE_BUSY, ("S3",)),
]
# The key is forgotten too, so that only the look-up can tell.
ANSWER_LOST = [
    Fault("fail_after", {}, Failure.STRIPE_INDETERMINATE, ("S1", "S4")),
    Fault("reset_after", {}, Failure.STRIPE_INDETERMINATE, ("S2", "S4")),
    Fault("timeout_after", {"seconds": 0.01}, Failure.STRIPE_INDETERMINATE, ("S2", "S4")),
    Fault("malformed", {}, Failure.STRIPE_INDETERMINATE, ("S3", "S4")),
]


def each_fault(faults: list[Fault]) -> pytest.MarkDecorator:
    cases = [pytest.param(fault, id=fault.action, marks=pytest.mark.fault(*fault.ids)) for fault in faults]
    return pytest.mark.parametrize("fault", cases)


each_step = pytest.mark.parametrize("step", MONEY_STEPS + LATER_STEPS, ids=lambda step: step.name)


def on(step: MoneyStep, booking_id: UUID) -> dict[str, str]:
    """Match this booking's write of this kind and nothing else."""
    return {"key": f"booking:{booking_id}:{step.kind}:*"}


async def strike(desk: Desk, step: MoneyStep, booking_id: UUID, fault: Fault) -> None:
    """Let the step run into the fault."""
    await desk.control.fault(fault.action, step.path, match=on(step, booking_id), **fault.settings)
    with pytest.raises(StripeFailure) as struck:
        await step.act(desk.activities(), booking_id)
    assert (struck.value.failure, struck.value.definite) == (fault.failure, False)
    assert struck.value.failure in RETRYABLE
    (attempt,) = await desk.operations(booking_id, step.kind)
    assert attempt.state is OperationState.UNKNOWN


@each_step
@each_fault(NOT_ACTED)
async def test_a_write_that_stripe_did_not_execute_is_sent_again_under_its_key(
    desk: Desk, step: MoneyStep, fault: Fault
) -> None:
    booking_id = await step.prepare(desk)
    await strike(desk, step, booking_id, fault)
    await step.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == step.ends
    (attempt,) = await desk.operations(booking_id, step.kind)
    assert attempt.state is step.leaves


@each_step
@each_fault(ANSWER_LOST)
async def test_a_write_whose_answer_and_key_were_lost_is_found_and_not_done_again(
    desk: Desk, step: MoneyStep, fault: Fault
) -> None:
    booking_id = await step.prepare(desk)
    await strike(desk, step, booking_id, fault)
    await desk.control.ask("POST", "/idempotency/forget")
    await step.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == step.ends


@pytest.mark.fault("S3")
async def test_a_rate_limit_makes_temporal_wait_as_long_as_stripe_asks(desk: Desk) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault("rate_limit", PAY_OUT.path, match=on(PAY_OUT, booking_id), seconds=7)
    with pytest.raises(StripeFailure) as limited:
        await PAY_OUT.act(desk.activities(), booking_id)
    told = to_application_error(limited.value)
    assert told is not None
    assert (told.next_retry_delay, told.non_retryable) == (timedelta(seconds=7), False)


@pytest.mark.fault("S3")
async def test_a_write_that_stripe_executes_after_we_gave_up_waiting_is_done_once(
    desk: Desk, outside: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault("slow", PAY_OUT.path, match=on(PAY_OUT, booking_id), seconds=0.6)
    monkeypatch.setattr("activities.stripe_gateway.TIMEOUT_SECONDS", 0.2)
    impatient = StripeGateway.connect(outside.secret_key, outside.url)

    async def done() -> bool:
        try:
            await desk.activities(gateway=impatient).payouts.pay_out(do(booking_id))
        except StripeFailure as failure:
            seen.append(failure.failure)
            return False
        return True

    seen: list[Failure] = []
    await until(done)
    await impatient.close()
    assert set(seen) == {Failure.STRIPE_INDETERMINATE, Failure.STRIPE_BUSY}
    assert await desk.picture(booking_id) == PAY_OUT.ends


@pytest.mark.fault("S1", "S3")
@pytest.mark.parametrize("kind", ["fail_before", "reset_before", "malformed"])
async def test_a_look_up_that_fails_sends_nothing(desk: Desk, kind: str) -> None:
    booking_id = await PAY_OUT.prepare(desk)
    await desk.control.fault(kind, "/v1/transfers", match={"method": "GET"})
    with pytest.raises(StripeFailure) as silent:
        await PAY_OUT.act(desk.activities(), booking_id)
    assert silent.value.failure is Failure.STRIPE_UNAVAILABLE
    assert (await desk.picture(booking_id)).transfers == ()
    await PAY_OUT.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == PAY_OUT.ends


@pytest.mark.fault("S5")
async def test_a_wrong_secret_key_is_for_a_person_and_the_operation_keeps_its_key(
    desk: Desk, outside: Running
) -> None:
    booking_id = await money_steps.CAPTURE.prepare(desk)
    stranger = StripeGateway.connect("sk_test_wrong", outside.url)
    with pytest.raises(StripeFailure) as refused:
        await money_steps.CAPTURE.act(desk.activities(gateway=stranger), booking_id)
    await stranger.close()
    assert refused.value.failure is Failure.STRIPE_AUTHENTICATION
    assert refused.value.failure not in RETRYABLE
    await money_steps.CAPTURE.act(desk.activities(), booking_id)
    assert await desk.picture(booking_id) == money_steps.CAPTURE.ends
