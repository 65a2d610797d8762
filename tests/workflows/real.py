"""One booking with the real activities: rows in Postgres, money at the sandbox's Stripe."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import stripe
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from stripe import StripeClient
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.testing import WorkflowEnvironment

import worker
from activities.wiring import Activities
from models.keys import APP, aftercare_id_for, transfer_group_for, workflow_id_for
from models.payments import Refund
from models.states import BookingStatus, Role
from sandbox.stripe.server import Running as StripeSandbox
from tests.support.shop import Shop
from tests.workflows.saga import Saga, start
from tests.workflows.stage import SOON_SECONDS
from tests.workflows.talk import Talk, actor
from workflows.aftercare import AftercareWorkflow
from workflows.booking import BookingWorkflow
from workflows.contracts import BOOKINGS_QUEUE, Answer, Ended, MoneyFact, Opened, StartBooking
from workflows.followups import Aftermath, StartAftercare
from workflows.orders import RefundOrder

T = TypeVar("T")

SUMMARY = "Booking of 120.00 EUR"


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """Look again and again until there is something to see."""
    async with asyncio.timeout(SOON_SECONDS):
        while not (seen := await look()):  # noqa: ASYNC110 - what is looked at is behind a socket
            await asyncio.sleep(0.02)
    return seen


async def reset(client: Client, handle: WorkflowHandle[Any, Any]) -> str:
    """Reset a run to its first task; answers with the new run."""
    history = await handle.fetch_history()
    first = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    task = next(event.event_id for event in history.events if event.event_type == first)
    run_id = (await handle.describe()).run_id
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=run_id),
            reason="an operator resets",
            workflow_task_finish_event_id=task,
            request_id=str(uuid4()),
        )
    )
    return answer.run_id


@dataclass(frozen=True)
class Money:
    """What Stripe itself says, in minor units; transfers one by one."""

    status: str
    captured: int
    refunded: int
    transfers: tuple[int, ...]
    reversed: int = 0


@dataclass
class RealSaga(Saga):
    """A saga whose client pays at Stripe."""

    shop: Shop
    sdk: StripeClient
    booking_id: UUID

    async def intent_id(self) -> str:
        """Once it is on our books, which is before the client hears of it."""
        intent_id = (await self.shop.payment(self.booking_id)).payment_intent_id
        assert intent_id is not None
        return intent_id

    async def pays(self, card: str = "pm_card_visa") -> stripe.PaymentIntent | stripe.SetupIntent:
        """As Stripe.js would, or leaves a card where one is kept; nobody tells the workflow."""
        payment = await self.shop.payment(self.booking_id)
        params: Any = {"payment_method": card, "return_url": "https://client.test/"}
        if payment.payment_intent_id is not None:
            return await self.sdk.v1.payment_intents.confirm_async(payment.payment_intent_id, params)
        assert payment.setup_intent_id is not None
        return await self.sdk.v1.setup_intents.confirm_async(payment.setup_intent_id, params)

    async def pays_all_the_same(self) -> str:
        """A second intent for the booking, of the kind that a crash leaves behind: no row knows it."""
        first = await self.sdk.v1.payment_intents.retrieve_async(await self.intent_id())
        params: Any = {
            "amount": first.amount,
            "currency": first.currency,
            "customer": str(first.customer),
            "capture_method": "manual",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "metadata": {"app": APP, "booking_id": str(self.booking_id)},
        }
        return (await self.sdk.v1.payment_intents.create_async(params)).id

    async def disputed(self, control: "Control") -> str:
        """The client's bank contests the charge; answers with the dispute's id."""
        charge = (await self.shop.payment(self.booking_id)).charge_id
        return str((await control.ask("POST", f"/charges/{charge}/dispute"))["id"])

    async def latest_refund(self) -> Refund:
        found = select(Refund).where(Refund.booking_id == self.booking_id).order_by(Refund.number.desc())

        async def work(session: AsyncSession) -> Refund:
            return (await session.scalars(found.limit(1))).one()

        return await self.shop.database.run(work)

    async def confirmed(self, card: str = "pm_card_visa") -> None:
        """Opened, paid, told, confirmed."""
        await self.opened()
        await self.pays(card)
        await self.stripe_says()
        assert (await self.confirm()).status is BookingStatus.CONFIRMED

    async def held(self, card: str = "pm_card_visa") -> None:
        """Completed; the payout waits."""
        await self.confirmed(card)
        await self.passes_until((await self.shop.session_of(self.booking_id)).starts_at)
        assert (await self.complete()).status is BookingStatus.COMPLETED

    async def money(self) -> Money:
        """The truth at Stripe."""
        params: Any = {"expand": ["latest_charge"]}
        intent = await self.sdk.v1.payment_intents.retrieve_async(await self.intent_id(), params)
        group = transfer_group_for(self.booking_id)
        transfers = await self.sdk.v1.transfers.list_async({"transfer_group": group, "limit": 100})
        charge = intent.latest_charge
        assert not isinstance(charge, str)
        return Money(
            status=intent.status,
            captured=intent.amount_received,
            refunded=charge.amount_refunded if charge else 0,
            transfers=tuple(transfer.amount for transfer in transfers.data),
            reversed=sum(transfer.amount_reversed for transfer in transfers.data),
        )

    async def reset(self) -> "RealSaga":
        """To the first task, as an operator does in the UI: every activity runs again."""
        run_id = await reset(self.env.client, self.handle)
        handle = self.env.client.get_workflow_handle(self.handle.id, run_id=run_id, result_type=Ended)
        return RealSaga(self.env, handle, self.shop, self.sdk, self.booking_id)

    # --- after its end ------------------------------------------------------------------------

    async def refunded_afterwards(self, amount: int) -> "RealCare":
        """A refund is ordered of whoever sees to the money now; as the API does, in one round trip."""
        order = RefundOrder(actor=actor(Role.PROVIDER), request_id=str(uuid4()), amount=amount)
        start = WithStartWorkflowOperation(
            AftercareWorkflow.run,
            StartAftercare(booking_id=self.booking_id),
            id=aftercare_id_for(self.booking_id),
            task_queue=BOOKINGS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        await self.env.client.execute_update_with_start_workflow(
            "refund", order, start_workflow_operation=start, result_type=Answer
        )
        return RealCare(self.env, await start.workflow_handle())

    async def money_moves_afterwards(self, event_id: str) -> "RealCare":
        """Stripe says so to whoever sees to the money now, starting it; as the relay does."""
        handle = await self.env.client.start_workflow(
            AftercareWorkflow.run,
            StartAftercare(booking_id=self.booking_id),
            id=aftercare_id_for(self.booking_id),
            task_queue=BOOKINGS_QUEUE,
            start_signal="money_changed",
            start_signal_args=[MoneyFact(event_id=event_id)],
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        return RealCare(self.env, handle)

    async def balanced(self) -> None:
        """Nothing is held, and nobody has still to pay or get anything."""
        books = await self.shop.ledger(self.booking_id)
        assert (books.get("held", 0), books.get("provider_payable", 0)) == (0, 0), books

    async def settled(self, *, captured: int, refunded: int = 0, transfers: tuple[int, ...] = ()) -> None:
        """Nothing is held any more, and our books say what Stripe says."""
        money = await self.money()
        assert (money.captured, money.refunded, money.transfers) == (captured, refunded, transfers)
        books = await self.shop.ledger(self.booking_id)
        assert (books.get("held", 0), books.get("provider_payable", 0)) == (0, 0)
        assert -books.get("platform_revenue", 0) == captured - refunded - sum(transfers)


@dataclass
class RealCare(Talk):
    """What becomes of a real booking's money after its end."""

    handle: WorkflowHandle[Any, Aftermath]

    async def reset(self) -> "RealCare":
        """To the first task, as an operator does in the UI."""
        run_id = await reset(self.env.client, self.handle)
        client = self.env.client
        return RealCare(
            self.env, client.get_workflow_handle(self.handle.id, run_id=run_id, result_type=Aftermath)
        )

    async def ends(self) -> Aftermath:
        async with asyncio.timeout(SOON_SECONDS):
            return await self.handle.result()


@dataclass
class Market:
    """Where real bookings are made: a Temporal server with the product's own workers, and Stripe."""

    env: WorkflowEnvironment
    sdk: StripeClient
    control: "Control | None" = None
    """Where time is skipped: keeps Stripe's clock, by which authorizations end, with the server's."""
    ahead: timedelta = timedelta(0)

    async def request(self, shop: Shop, starts_in: timedelta = timedelta(hours=48)) -> StartBooking:
        """Of the server's time, which may be years ahead."""
        ahead = await self.env.get_current_time() - datetime.now(UTC)
        if self.control is not None:
            more = int((ahead - self.ahead).total_seconds())
            await self.control.ask("POST", "/clock", advance_seconds=more)
            self.ahead += timedelta(seconds=more)
        return await shop.asked(shop.request(starts_in + ahead))

    def saga(self, shop: Shop, booking_id: UUID) -> RealSaga:
        """A booking that somebody else has started."""
        handle = self.env.client.get_workflow_handle(workflow_id_for(booking_id), result_type=Ended)
        return RealSaga(self.env, handle, shop, self.sdk, booking_id)

    async def begin(self, shop: Shop, request: StartBooking) -> RealSaga:
        handle = await start(self.env.client, request)
        return RealSaga(self.env, handle, shop, self.sdk, request.booking_id)

    async def start(self, shop: Shop, starts_in: timedelta = timedelta(hours=48)) -> RealSaga:
        return await self.begin(shop, await self.request(shop, starts_in))

    async def open_at_once(self, shop: Shop, request: StartBooking) -> tuple[RealSaga, Opened]:
        """Start and wait for the checkout in one round trip, as the API does."""
        client, workflow_id = self.env.client, workflow_id_for(request.booking_id)
        start = WithStartWorkflowOperation(
            BookingWorkflow.run,
            request,
            id=workflow_id,
            task_queue=BOOKINGS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=SUMMARY,
        )
        opened: Opened = await client.execute_update_with_start_workflow(
            "opened", start_workflow_operation=start, id=str(uuid4()), result_type=Opened
        )
        handle = client.get_workflow_handle(workflow_id, result_type=Ended)
        return RealSaga(self.env, handle, shop, self.sdk, request.booking_id), opened


@asynccontextmanager
async def working(client: Client, activities: Activities) -> AsyncIterator[None]:
    """The product's own workers."""
    async with AsyncExitStack() as running:
        for one in worker.workers(client, activities, requests_per_second=1000):
            await running.enter_async_context(one)
        yield


@dataclass
class Control:
    """The sandbox's control API."""

    sandbox: StripeSandbox

    async def ask(self, method: str, path: str, **body: Any) -> Any:
        async with httpx.AsyncClient(base_url=self.sandbox.url, timeout=10, trust_env=False) as http:
            answer = await http.request(method, f"/_control{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def refuses(self, path: str, *, times: int = 1) -> None:
        """Stripe says a definite no to the next write to `path`."""
        match = {"method": "POST", "path": path}
        await self.ask("POST", "/faults", action="fail_before", status=400, match=match, times=times)
