"""The whole product in one process: real workflows, an inbox behind the real API, and a Stripe that a test may break."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import httpx
from sqlalchemy import func, select, update
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from activities import invariants
from activities.findings import Observation
from activities.inbox import Inbox
from api.app import build_app
from api.auth import Authenticator
from api.dependencies import Dependencies
from models.database import Database
from models.keys import aftercare_id_for, workflow_id_for
from models.records import StripeEvent
from settings import PolicyDefaults
from tests.activities.desk import Desk, Picture, number
from tests.api.calls import CONNECT_SECRETS, WEBHOOK_SECRETS, calling, settings, signed
from tests.support.dev_server import dev_server
from tests.support.scratch import scratch_database
from tests.support.shop import Shop
from tests.workflows.real import Market, RealSaga, working

NOW: Final = timedelta(seconds=-1)
PLATFORM: Final = "/api/webhooks/stripe"
CONNECT: Final = "/api/webhooks/stripe/connect"
QUICK: Final = {"payout_hold": "PT0S"}
"""Nobody waits for the end of a hold."""


@dataclass(frozen=True)
class Stall:
    """A product of one's own: its database and its Temporal are nobody else's."""

    desk: Desk
    market: Market
    api: httpx.AsyncClient

    @property
    def database(self) -> Database:
        return self.desk.database

    async def shop(self, **policy: Any) -> Shop:
        return await self.desk.shop(policy=QUICK | policy)

    async def opened(self, shop: Shop) -> RealSaga:
        """A booking of now, waiting for its payment."""
        saga = await self.market.start(shop, NOW)
        await saga.opened()
        return saga

    async def picture(self, saga: RealSaga) -> Picture:
        return await self.desk.picture(saga.booking_id)

    async def violations(self, booking_id: UUID) -> list[Observation]:
        """What the audit says of a booking that has ended."""
        seen = await self.database.run(invariants.violations)
        return [one for one in seen if one.booking_id in (booking_id, None)]

    # --- webhooks ---------------------------------------------------------------------------------

    async def events(self) -> list[dict[str, Any]]:
        """Everything that Stripe has to tell, the first first."""
        return await self.desk.control.objects("event")

    async def deliver(self, event: dict[str, Any]) -> None:
        """As Stripe sends it now, however old it is: signed at this moment."""
        connect = event.get("account") is not None
        body, header = signed(event, (CONNECT_SECRETS if connect else WEBHOOK_SECRETS)[0])
        path = CONNECT if connect else PLATFORM
        answer = await self.api.post(path, content=body, headers={"Stripe-Signature": header})
        assert answer.status_code == 200, answer.text

    async def rests(self, booking_id: UUID) -> bool:
        """Let the relay deliver what is left; whether nothing is, and no workflow is at work on the booking."""
        due = update(StripeEvent).where(StripeEvent.handled_at.is_(None)).values(next_attempt_at=func.now())
        await self.database.run(lambda session: session.execute(due))
        await self.desk.activities().relay.deliver_due()
        left = await number(self.database, select(func.count()).where(StripeEvent.handled_at.is_(None)))
        ids = (workflow_id_for(booking_id), aftercare_id_for(booking_id))
        return not left and not [one for one in ids if await self._runs(one)]

    async def _runs(self, workflow_id: str) -> bool:
        try:
            described = await self.desk.temporal.get_workflow_handle(workflow_id).describe()
        except RPCError:
            return False
        return described.status is WorkflowExecutionStatus.RUNNING


@asynccontextmanager
async def open_stall(desk: Desk, database_url: str) -> AsyncIterator[Stall]:
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(scratch_database(database_url))
        server = await opened.enter_async_context(dev_server())
        own = replace(desk, database=database, temporal=server.client)
        await opened.enter_async_context(working(server.client, own.activities()))
        api = await opened.enter_async_context(calling(build_app(_dependencies(own))))
        yield Stall(own, Market(server, desk.sdk), api)


def _dependencies(desk: Desk) -> Dependencies:
    return Dependencies(
        database=desk.database,
        temporal=desk.temporal,
        gateway=desk.gateway,
        inbox=Inbox(desk.database, desk.temporal),
        authenticator=Authenticator.from_settings(settings()),
        defaults=PolicyDefaults(),
        webhook_secrets=WEBHOOK_SECRETS,
        connect_webhook_secrets=CONNECT_SECRETS,
        publishable_key="pk_test_nobody",
        public_url="http://bookings.test",
    )
