"""Stripe's events as the inbox keeps them, and bookings that can hear of them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import WorkflowHandle

from activities.inbox import InboundEvent, Inbox
from models.database import Database
from models.keys import workflow_id_for
from models.records import StripeEvent
from tests.activities.desk import Desk

NOBODY = "a task queue without a worker"


def letter(
    kind: str,
    *,
    intent: str | None = None,
    about: str | None = None,
    account: str | None = None,
    charge: str | None = None,
) -> InboundEvent:
    return InboundEvent(
        id=f"evt_{uuid4().hex}",
        type=kind,
        account=account,
        livemode=False,
        object_id=about or intent,
        payment_intent_id=intent,
        charge_id=charge,
    )


async def stored(inbox: Inbox, event: InboundEvent) -> InboundEvent:
    assert await inbox.store(event)
    return event


async def row(database: Database, event: InboundEvent) -> StripeEvent:
    return await database.run(lambda session: session.get_one(StripeEvent, event.id))


async def is_handled(database: Database, event: InboundEvent) -> bool:
    return (await row(database, event)).handled_at is not None


async def let_pass(database: Database, event: InboundEvent, duration: timedelta = timedelta(0)) -> None:
    """Make the event due, and as old as if `duration` had passed."""
    aged = update(StripeEvent).where(StripeEvent.id == event.id)

    async def work(session: AsyncSession) -> None:
        due = {"next_attempt_at": func.now(), "received_at": StripeEvent.received_at - duration}
        await session.execute(aged.values(due))

    await database.run(work)


async def listening(desk: Desk, booking_id: UUID) -> WorkflowHandle[Any, Any]:
    """The booking's workflow: it runs nowhere, and keeps every signal that it is sent."""
    return await desk.temporal.start_workflow(
        "Booking", id=workflow_id_for(booking_id), task_queue=NOBODY, execution_timeout=timedelta(minutes=1)
    )


async def signals(workflow: WorkflowHandle[Any, Any]) -> list[str]:
    history = await workflow.fetch_history()
    heard = (event.workflow_execution_signaled_event_attributes for event in history.events)
    return [signal.signal_name for signal in heard if signal.signal_name]
