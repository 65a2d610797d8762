"""What strikes, and how; everything is lifted again when the fault time ends."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import asyncpg
import httpx
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from sandbox.asking import Json
from sandbox.control import Control
from tests.chaos.crowd import Crowd
from tests.chaos.plan import WEBHOOKS, Disaster, Kind, Plan
from tests.e2e.processes import Proc, descendants
from tests.e2e.stacks import Stack

TRY_FOR: Final = 30.0
"""Seconds: what needs a part that is down, or somebody to strike, is tried again for that long, also when the
fault time is over meanwhile."""

LOOK_EVERY: Final = 0.5

MISSED: Final = (
    OSError,
    TimeoutError,
    RPCError,
    httpx.HTTPError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # A connection that is cut in the middle of being closed.
    asyncpg.InternalClientError,
)
"""How a disaster finds that another one was there before."""

VICTIMS: Final = {
    Kind.WORKER_KILLED: ("worker", signal.SIGKILL),
    Kind.API_KILLED: ("api.app", signal.SIGKILL),
    Kind.TEMPORAL_KILLED: ("temporal server", signal.SIGKILL),
    Kind.POSTGRES_KILLED: ("postgres -D", signal.SIGKILL),
    # What `pg_ctl stop -m immediate` sends.
    Kind.POSTGRES_SHUT: ("postgres -D", signal.SIGQUIT),
}

CUT: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

SLOWNESS: Final = 11.0
"""Seconds that Stripe hangs or dawdles: longer than anybody waits for its answer."""

RESENT: Final = 60
"""Webhooks that are sent again at once, at most."""


class Lever(Control):
    """What can also be undone."""

    async def clear(self, path: str) -> None:
        """End what was asked for."""
        (await self._http.delete(f"{self._url}{path}")).raise_for_status()


class Disasters:
    """Makes a plan's disasters happen, and remembers which did."""

    def __init__(
        self, stack: Stack, lever: Lever, temporal: Client, crowd: Crowd, say: Callable[[str], None]
    ) -> None:
        self._stack = stack
        self._lever = lever
        self._temporal = temporal
        self._crowd = crowd
        self._say = say
        self.injected: Counter[Kind] = Counter()
        """What really happened, not what was planned."""
        self.struck = 0
        """How many of them found bookings under way."""

    async def strike(self, plan: Plan, began: float) -> None:
        """Let everything happen in its moment, and leave nothing of it behind."""
        try:
            async with asyncio.TaskGroup() as group:
                for disaster in plan.disasters:
                    group.create_task(self._happen(disaster, began))
                await asyncio.sleep(began + plan.seconds - time.monotonic())
        finally:
            await self._lift()

    async def _happen(self, disaster: Disaster, began: float) -> None:
        await asyncio.sleep(began + disaster.at - time.monotonic())
        deadline = time.monotonic() + TRY_FOR
        while True:
            under_way = len(self._crowd.under_way)
            with suppress(*MISSED):
                if hits := await self._way(disaster)(disaster):
                    self.injected[disaster.kind] += 1
                    self.struck += under_way > 0
                    self._say(f"{disaster.kind} ({hits}) with {under_way} under way")
                    return
            if time.monotonic() > deadline:
                self._say(f"{disaster.kind} found nothing to strike")
                return
            await asyncio.sleep(LOOK_EVERY)

    def _way(self, disaster: Disaster) -> Callable[[Disaster], Awaitable[int]]:
        if disaster.kind in VICTIMS:
            return self._kill
        if disaster.kind in WEBHOOKS:
            return self._disturb_webhooks
        others: dict[Kind, Callable[[Disaster], Awaitable[int]]] = {
            Kind.SESSIONS_CUT: self._cut,
            Kind.WORKER_STOPPED: self._stop,
            Kind.KEYS_FORGOTTEN: self._forget,
            Kind.INBOX_REPLAYED: self._resend,
            Kind.WORKFLOW_RESET: self._reset,
            Kind.WORKFLOW_TERMINATED: self._terminate,
            Kind.PRESSED_TWICE: self._press_twice,
        }
        return others.get(disaster.kind) or self._break_stripe

    async def _lift(self) -> None:
        """End whatever lasts; a worker that is still stopped goes on."""
        self._crowd.phones.twice = False
        for process in self._parts("worker"):
            _send(process, signal.SIGCONT)
        await self._lever.clear("/faults")
        await self._lever.post("/webhooks", mode="normal")

    # --- processes ----------------------------------------------------------------------------

    def _parts(self, words: str) -> list[Proc]:
        children = [each for each in descendants(self._stack.pid) if each.parent == self._stack.pid]
        return [each for each in children if words in each.command]

    def _victim(self, words: str, pick: float) -> Proc:
        found = self._parts(words)
        if not found:
            raise ProcessLookupError(words)
        return found[int(pick * len(found))]

    async def _kill(self, disaster: Disaster) -> int:
        words, how = VICTIMS[disaster.kind]
        os.kill(self._victim(words, disaster.pick).pid, how)
        return 1

    async def _stop(self, disaster: Disaster) -> int:
        victim = self._victim("worker", disaster.pick)
        os.kill(victim.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(disaster.lasts)
        finally:
            _send(victim, signal.SIGCONT)
        return 1

    async def _cut(self, _: Disaster) -> int:
        url = self._stack.described.database_url.replace("+asyncpg", "")
        database = await asyncpg.connect(url, timeout=2)
        try:
            return int(await database.fetchval(CUT))
        finally:
            await database.close()

    # --- Stripe -------------------------------------------------------------------------------

    async def _break_stripe(self, disaster: Disaster) -> int:
        """A fault that nobody met in its time did not happen."""
        method, path, key = disaster.target
        asked: Json = {"action": disaster.kind.word, "acted": disaster.acted}
        if disaster.kind is Kind.REFUSED:
            asked |= {"action": "fail_before", "status": 400}
        elif disaster.kind is not Kind.RATE_LIMIT:
            asked["seconds"] = SLOWNESS
        asked |= {"match": {"method": method, "path": path, "key": key}, "times": disaster.times}
        fault = await self._lever.post("/faults", **asked)
        until = time.monotonic() + disaster.lasts
        while time.monotonic() < until:
            await asyncio.sleep(LOOK_EVERY)
            hits = await self._hits(fault)
            if hits == disaster.times:
                return hits
        hits = await self._hits(fault)
        await self._lever.clear(f"/faults/{fault['id']}")
        return hits

    async def _hits(self, fault: Json) -> int:
        active = {each["id"]: each for each in await self._lever.list("/faults")}
        return int(active.get(fault["id"], {"hits": fault["times"]})["hits"])

    async def _forget(self, _: Disaster) -> int:
        return int((await self._lever.post("/idempotency/forget"))["forgotten"])

    # --- webhooks -----------------------------------------------------------------------------

    async def _disturb_webhooks(self, disaster: Disaster) -> int:
        before = len(await self._lever.list("/deliveries"))
        factor = 2 + int(disaster.pick * 6)
        await self._lever.post(
            "/webhooks", mode=disaster.kind.word, factor=factor, seconds=disaster.lasts / 2
        )
        try:
            await asyncio.sleep(disaster.lasts)
            return len(await self._lever.list("/deliveries")) - before
        finally:
            await self._lever.post("/webhooks", mode="normal")

    async def _resend(self, disaster: Disaster) -> int:
        delivered = [each["event"] for each in await self._lever.list("/deliveries", status="delivered")]
        again = random.Random(disaster.pick).sample(delivered, min(RESENT, len(delivered)))  # noqa: S311 - chaos
        return int((await self._lever.post("/webhooks/resend", events=again))["queued"])

    # --- workflows ----------------------------------------------------------------------------

    async def _anyone(self, pick: float) -> WorkflowExecution | None:
        query = "WorkflowType = 'Booking' AND ExecutionStatus = 'Running'"
        found = [(one.start_time, one.id, one.run_id) async for one in self._temporal.list_workflows(query)]
        if not found:
            return None
        _, workflow_id, run_id = sorted(found)[int(pick * len(found))]
        return WorkflowExecution(workflow_id=workflow_id, run_id=run_id)

    async def _terminate(self, disaster: Disaster) -> int:
        if (booking := await self._anyone(disaster.pick)) is None:
            return 0
        await self._temporal.get_workflow_handle(booking.workflow_id).terminate("chaos")
        return 1

    async def _reset(self, disaster: Disaster) -> int:
        """To any point of its story: the first task as well as the last."""
        if (booking := await self._anyone(disaster.pick)) is None:
            return 0
        handle = self._temporal.get_workflow_handle(booking.workflow_id, run_id=booking.run_id)
        history = await handle.fetch_history()
        done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        points = [event.event_id for event in history.events if event.event_type == done]
        if not points:
            return 0
        request = ResetWorkflowExecutionRequest(
            namespace=self._temporal.namespace,
            workflow_execution=booking,
            reason="chaos",
            workflow_task_finish_event_id=points[int(disaster.pick * disaster.times * 7) % len(points)],
            request_id=f"{booking.workflow_id}-{disaster.at}",
        )
        await self._temporal.workflow_service.reset_workflow_execution(request)
        return 1

    # --- people -------------------------------------------------------------------------------

    async def _press_twice(self, disaster: Disaster) -> int:
        before = self._crowd.phones.pressed_twice
        self._crowd.phones.twice = True
        try:
            await asyncio.sleep(disaster.lasts)
        finally:
            self._crowd.phones.twice = False
        return self._crowd.phones.pressed_twice - before


def _send(process: Proc, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, what)
