"""Words to workflows, by name: activities know their ids and messages, not their code.

Every call may find Temporal away and raises `RPCError`; whoever calls tries again later.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from models.keys import aftercare_id_for, class_workflow_id_for, settlement_id_for, workflow_id_for
from workflows.contracts import (
    BOOKINGS_QUEUE,
    RELAY_WORKFLOW_ID,
    AccountFact,
    Message,
    MoneyFact,
    StartBooking,
)
from workflows.followups import ClassOrder, StartAftercare, Stray

RPC_TIMEOUT: Final = timedelta(seconds=5)

BOOKING: Final = "Booking"
AFTERCARE: Final = "Aftercare"
SETTLEMENT: Final = "Settlement"
CLASS: Final = "Class"
RELAY: Final = "Relay"


class Telling:
    """Signals and starts."""

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal

    async def tell(self, booking_id: UUID, signal: str, fact: Message) -> bool:
        """Signal the booking's workflow; False when it is over, or never was."""
        handle = self._temporal.get_workflow_handle(workflow_id_for(booking_id))
        try:
            await handle.signal(signal, fact, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True

    async def tell_aftercare(self, booking_id: UUID, fact: MoneyFact | AccountFact) -> None:
        """Signal the workflow that comes after the booking's own; it is started if it has to be."""
        signal = "money_changed" if isinstance(fact, MoneyFact) else "account_changed"
        await self._temporal.start_workflow(
            AFTERCARE,
            StartAftercare(booking_id=booking_id),
            id=aftercare_id_for(booking_id),
            task_queue=BOOKINGS_QUEUE,
            start_signal=signal,
            start_signal_args=[fact],
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=f"What came after booking {booking_id}",
            rpc_timeout=RPC_TIMEOUT,
        )

    async def start_aftercare(self, booking_id: UUID) -> None:
        """Have the booking's books looked at, though nothing was heard."""
        await self._start(AFTERCARE, StartAftercare(booking_id=booking_id), aftercare_id_for(booking_id))

    async def settle(self, stray: Stray) -> None:
        """Find out what a payment that no live booking knows is good for."""
        await self._start(SETTLEMENT, stray, settlement_id_for(stray.payment_intent_id))

    async def restart(self, request: StartBooking) -> None:
        """Run a booking again that lost its run; it carries on from where Postgres has it."""
        await self._start(BOOKING, request, workflow_id_for(request.booking_id))

    async def keep_relay(self) -> None:
        """Start the relay, which is one for all, unless it is running."""
        await self._temporal.start_workflow(
            RELAY,
            id=RELAY_WORKFLOW_ID,
            task_queue=BOOKINGS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary="Stripe's events, on their way to the bookings",
            rpc_timeout=RPC_TIMEOUT,
        )

    async def close_class(self, order: ClassOrder) -> None:
        """Have a class's bookings told what became of it; a run that does so already is left to it."""
        await self._start(CLASS, order, class_workflow_id_for(order.session_id))

    async def is_open(self, workflow_id: str) -> bool:
        """Whether the workflow's latest run is running."""
        try:
            found = await self._temporal.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return found.status is WorkflowExecutionStatus.RUNNING

    async def open_ids(self) -> set[str]:
        """Bookings' and aftercare's running workflows, as visibility has them: late by a moment."""
        query = f"WorkflowType IN ('{BOOKING}', '{AFTERCARE}') AND ExecutionStatus = 'Running'"
        return {found.id async for found in self._temporal.list_workflows(query)}

    async def _start(self, name: str, message: Message, workflow_id: str) -> None:
        await self._temporal.start_workflow(
            name,
            message,
            id=workflow_id,
            task_queue=BOOKINGS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=f"{name} {workflow_id.partition('-')[2]}",
            rpc_timeout=RPC_TIMEOUT,
        )
