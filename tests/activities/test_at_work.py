"""What an activity shows of itself: its run in the audit, its failure by name, its parking on the booking."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.errors import Failure, StripeFailure
from activities.interceptor import StepInterceptor
from models.records import AuditEvent
from tests.activities.desk import Desk, do, now
from workflows.contracts import AttentionNote


async def test_a_transition_names_the_temporal_run_behind_it(desk: Desk) -> None:
    booking_id = await desk.paid(await desk.shop())
    environment = ActivityEnvironment()
    await environment.run(desk.activities().payments.read_payment, do(booking_id))
    moved = select(AuditEvent.workflow_run_id).where(
        AuditEvent.booking_id == booking_id, AuditEvent.to_status == "AUTHORIZED"
    )
    run_id = await desk.database.run(lambda session: session.scalar(moved))
    assert run_id == environment.info.workflow_run_id


class Failing(ActivityInboundInterceptor):
    """A step that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        del input
        raise self._error


async def attempt(error: Exception) -> None:
    step = StepInterceptor().intercept_activity(Failing(error))
    inputs = ExecuteActivityInput(fn=attempt, args=[], executor=None, headers={})
    await ActivityEnvironment().run(step.execute_activity, inputs)


async def test_a_failed_step_reaches_temporal_by_its_name_without_the_stack_of_its_cause() -> None:
    with pytest.raises(ApplicationError) as told:
        await attempt(StripeFailure(Failure.CARD_DECLINED, "declined"))
    assert (told.value.type, told.value.non_retryable) == ("CardDeclined", True)
    assert told.value.__suppress_context__


async def test_a_bug_reaches_temporal_as_it_is() -> None:
    with pytest.raises(KeyError, match="ours"):
        await attempt(KeyError("ours"))


async def test_a_parked_step_is_shown_on_its_booking_since_it_first_parked(desk: Desk) -> None:
    shop = await desk.shop()
    booking_id, first = await desk.reserved(shop), now()
    record = desk.activities().bookings.record_attention
    await record(AttentionNote(booking_id=booking_id, at=first, step="settle", message="broke"))
    again = AttentionNote(
        booking_id=booking_id, at=first + timedelta(hours=1), step="settle", message="broke again"
    )
    await record(again)
    booking = await shop.booking(booking_id)
    shown = (booking.attention_step, booking.attention_message, booking.attention_since)
    assert shown == ("settle", "broke again", first)
    await record(AttentionNote(booking_id=booking_id, at=now()))
    booking = await shop.booking(booking_id)
    assert (booking.attention_step, booking.attention_message, booking.attention_since) == (None, None, None)
