"""Whoever is on call: does what docs/operating.md says, and afterwards sees to what people left lying."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
from temporalio.client import Client
from temporalio.service import RPCError

from sandbox.asking import NotInTime, Refused
from sandbox.person import Person
from tests.chaos.disasters import Lever
from workflows.parking import Step
from workflows.search_attributes import ATTENTION_STEP

LOOKS_EVERY: Final = 3.0
"""Seconds between two looks at what needs a person."""

ANSWERS_AFTER: Final = 6.0
"""Seconds that something has to stand before it is seen to, and before it is tried again."""

JUDGES_AFTER: Final = 45.0
"""Seconds before a question is decided that the people of its story have not decided themselves."""

QUESTIONS: Final = frozenset({Step.REPORTS.value, Step.OBJECTION.value})
NEEDED: Final = "NeedsAttention = true AND ExecutionStatus = 'Running'"
TROUBLE: Final = (Refused, NotInTime, RPCError, httpx.HTTPError, TimeoutError)


class OnCall:
    """Answers what needs a person; counts what was done, by what it was."""

    def __init__(self, ops: Person, temporal: Client, lever: Lever, say: Callable[[str], None]) -> None:
        self._ops = ops
        self._temporal = temporal
        self._lever = lever
        self._say = say
        self._seen: dict[tuple[str, str], float] = {}
        self.done: Counter[str] = Counter()

    async def watch(self) -> None:
        """Look for parked steps and questions, for as long as nobody says stop."""
        while True:
            with suppress(*TROUBLE):
                await self._look()
            await asyncio.sleep(LOOKS_EVERY)

    async def _look(self) -> None:
        now = time.monotonic()
        standing = {
            (found.id, str(found.typed_search_attributes.get(ATTENTION_STEP) or ""))
            async for found in self._temporal.list_workflows(NEEDED)
        }
        self._seen = {one: self._seen.get(one, now) for one in standing}
        for one, since in list(self._seen.items()):
            workflow_id, step = one
            if now - since >= (JUDGES_AFTER if step in QUESTIONS else ANSWERS_AFTER):
                self._seen[one] = now
                with suppress(*TROUBLE):
                    await self._answer(workflow_id, step)

    async def _answer(self, workflow_id: str, step: str) -> None:
        if step in QUESTIONS:
            booking_id = workflow_id.partition("-")[2]
            await self._ops.resolve(booking_id, step, "release", "nobody says anything else")
            self._did(f"{step} released", workflow_id)
        else:
            await self._temporal.get_workflow_handle(workflow_id).signal("retry")
            self._did(f"{step} retried", workflow_id)

    def _did(self, what: str, about: str) -> None:
        self.done[what] += 1
        self._say(f"on call: {what} ({about})")

    # --- when everybody has gone ----------------------------------------------------------------

    async def reconcile(self) -> None:
        """`POST /api/ops/reconcile`, as the schedule does every five minutes."""
        with suppress(*TROUBLE):
            await self._ops.post("/api/ops/reconcile")
            self._did("reconciled", "all")

    async def wind_up(self, booking_ids: list[str]) -> None:
        """See to bookings whose people gave up: nobody else would, for days."""
        with suppress(*TROUBLE):
            await self._hear_banks()
        await asyncio.gather(*(self._see_to(booking_id) for booking_id in booking_ids))

    async def _hear_banks(self) -> None:
        """Every dispute is decided sooner or later."""
        for dispute in await self._lever.list("/objects", type="dispute"):
            if dispute["status"] in ("needs_response", "under_review"):
                await self._lever.decide(dispute["id"], "lost")
                self._did("dispute decided by the bank", dispute["id"])

    async def _see_to(self, booking_id: str) -> None:
        with suppress(*TROUBLE):
            booking = await self._ops.see(booking_id)
            starts_at = datetime.fromisoformat(booking["session"]["starts_at"])
            payout, status = booking["payout"], booking["status"]
            if status == "AWAITING_APPROVAL" or (status == "CONFIRMED" and starts_at > _soon()):
                await self._ops.cancel(booking_id)
                self._did("cancelled for somebody", booking_id)
            elif status == "CONFIRMED" and starts_at < datetime.now(UTC):
                await self._ops.complete(booking_id)
                self._did("completed for somebody", booking_id)
            elif payout and payout["status"] in ("BLOCKED", "PROCESSING"):
                await self._put_in_order(booking["provider_id"])
            elif payout and payout["due_at"] and datetime.fromisoformat(payout["due_at"]) > _soon():
                await self._ops.hold(booking_id, "release", "nobody says anything else")
                self._did("hold released for somebody", booking_id)

    async def _put_in_order(self, provider_id: str) -> None:
        """Its story left before the provider had seen to its account and its bank."""
        account = (await self._ops.get(f"/api/providers/{provider_id}"))["stripe_account_id"]
        in_order = {"transfers": "active", "payouts_fail": None, "details_submitted": True}
        await self._lever.account(account, **in_order)
        self._did("account put in order", account)


def _soon() -> datetime:
    """What happens by itself until then is not seen to."""
    return datetime.now(UTC) + timedelta(seconds=20)
