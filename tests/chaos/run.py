"""One run from its first booking to the last one's end."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from tests.chaos.crowd import Crowd, phones
from tests.chaos.disasters import Disasters, Lever
from tests.chaos.on_call import OnCall
from tests.chaos.plan import Plan
from tests.chaos.verdict import Evidence, judge
from tests.chaos.witness import Witness, witness
from tests.e2e.stacks import running

SLA: Final = 180.0
"""Seconds from the moment in which everything is lifted until every booking is over."""

PEOPLE_STAY: Final = 60.0
"""Seconds of them in which people may still say what they have to say."""

RECONCILES_EVERY: Final = 15.0
TIDIES_EVERY: Final = 8.0
AWAY: Final = (OSError, RPCError, SQLAlchemyError, TimeoutError)
"""What a look meets when a part is not back yet."""

Say = Callable[[str], None]
Afterwards = Callable[[Witness], Awaitable[None]]


async def _nothing(_: Witness) -> None:
    pass


@dataclass(frozen=True)
class Outcome:
    """What a run has shown."""

    plan: Plan
    evidence: Evidence
    on_call: Counter[str]

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be; empty when the run has proved something."""
        return judge(self.plan, self.evidence)


async def play(
    plan: Plan,
    run_dir: Path,
    say: Say,
    *,
    then: Afterwards = _nothing,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Play a plan on a stack of its own in `run_dir`, and `then` something while the stack is still there."""
    told = {"WORKERS": str(plan.workers), **(environment or {})}
    async with running(run_dir, **told) as stack, phones(stack.outside) as lines:
        temporal = await Client.connect(stack.described.temporal_address)
        crowd = Crowd(stack.outside, lines, say)
        lever = Lever(lines.http, str(stack.described.stripe_control_url))
        on_call = OnCall(crowd.ops, temporal, lever, say)
        async with witness(stack.outside, temporal) as saw:
            disasters = Disasters(stack, lever, temporal, crowd, say)
            outcome = await _Run(plan, crowd, on_call, saw, disasters).play()
            await then(saw)
            return outcome


@dataclass(frozen=True)
class _Run:
    plan: Plan
    crowd: Crowd
    on_call: OnCall
    saw: Witness
    disasters: Disasters

    async def play(self) -> Outcome:
        began = time.monotonic()
        watching = asyncio.create_task(self.on_call.watch())
        playing = asyncio.create_task(self.crowd.play(self.plan, began))
        try:
            await self.disasters.strike(self.plan, began)
            seconds = await self._settle(playing)
        finally:
            broken = [await _over(task) for task in (watching, playing)]
        for error in filter(None, broken):
            raise error
        return Outcome(self.plan, await self._evidence(seconds), self.on_call.done)

    async def _settle(self, playing: asyncio.Task[None]) -> float:
        """Until everything is over, or ought to be; answers how long that took."""
        lifted = time.monotonic()
        reconciled = tidied = 0.0
        while (seconds := time.monotonic() - lifted) < SLA:
            if seconds > PEOPLE_STAY:
                playing.cancel()
            with suppress(*AWAY):
                if playing.done() and await self._is_over():
                    break
                if time.monotonic() - reconciled > RECONCILES_EVERY:
                    reconciled = time.monotonic()
                    await self.on_call.reconcile()
                if playing.done() and time.monotonic() - tidied > TIDIES_EVERY:
                    tidied = time.monotonic()
                    left = [row.id for row in await self.saw.rows() if not row.is_over]
                    await self.on_call.wind_up(left)
            await asyncio.sleep(0.5)
        return seconds

    async def _is_over(self) -> bool:
        if any(not row.is_over for row in await self.saw.rows()):
            return False
        return not await self.saw.open_workflows() and not await self.saw.due()

    async def _evidence(self, seconds: float) -> Evidence:
        return Evidence(
            rows=await self.saw.rows(),
            promised=frozenset(self.crowd.phones.made),
            refused=await self.saw.refused(),
            open_workflows=await self.saw.open_workflows(),
            failed_workflows=await self.saw.failed_workflows(),
            violations=await self.saw.violations(),
            injected=dict(self.disasters.injected),
            struck=self.disasters.struck,
            stories=len(self.plan.arrivals),
            untold=len(self.plan.arrivals) - sum(told.trouble is None for told in self.crowd.told),
            seconds_to_settle=seconds,
        )


async def _over(task: asyncio.Task[None]) -> BaseException | None:
    """End a task; what broke it, if anything did: nobody else would notice."""
    task.cancel()
    (error,) = await asyncio.gather(task, return_exceptions=True)
    return None if isinstance(error, asyncio.CancelledError) else error
