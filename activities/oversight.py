"""Comparing what we believe with what is: Stripe, Postgres and Temporal (DESIGN sections 8 and 9)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from temporalio import activity

from activities import audit_queries, comparing, invariants
from activities.comparing import Comparison
from activities.findings import Findings
from activities.lost_runs import LostRuns
from activities.sweeping import Sweep
from activities.telling import Telling
from models.database import Database
from workflows.followups import Found
from workflows.steps import OversightSteps

BEAT_SECONDS: Final = 5


@dataclass(frozen=True)
class Watch:
    """Everybody who looks after something."""

    sweep: Sweep
    lost_runs: LostRuns
    comparison: Comparison
    findings: Findings


class OversightActivities(OversightSteps):
    """Implements `OversightSteps`."""

    def __init__(
        self, database: Database, telling: Telling, watch: Watch, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._telling = telling
        self._watch = watch
        self._now = now

    @activity.defn
    async def reconcile(self) -> Found:
        """Restart lost runs, sweep up lost events, then report what is money and therefore people's.

        Temporal and Postgres come first: a Stripe that is away keeps nobody from carrying on.
        """
        async with alive():
            return await self._reconcile()

    @activity.defn
    async def audit(self) -> Found:
        """Check every invariant; what workflows are at work on is not asked to be finished."""
        async with alive():
            return await self._audit()

    async def _reconcile(self) -> Found:
        await self._telling.keep_relay()
        restarted = await self._watch.lost_runs.make_good()
        events = await self._watch.sweep.run()
        await self._watch.findings.report(comparing.RULES, await self._watch.comparison.look())
        repaired = {
            "runs": restarted.runs,
            "aftercare": restarted.aftercare,
            "requests": restarted.requests,
            "events": events,
        }
        return await self._found(repaired)

    async def _audit(self) -> Found:
        open_ids = await self._telling.open_ids()
        busy = {booking_id for one in open_ids if (booking_id := _booking_of(one)) is not None}
        seen = await self._database.run(lambda session: invariants.violations(session, busy))
        seen += await self._database.run(lambda session: invariants.stuck(session, open_ids, self._now()))
        await self._watch.findings.report(audit_queries.RULES, seen)
        return await self._found({})

    async def _found(self, repaired: dict[str, int]) -> Found:
        standing = await self._watch.findings.open_ones()
        if activity.in_activity():
            gauge = activity.metric_meter().create_gauge("open_findings", "What needs a person's look")
            gauge.set(len(standing))
        return Found(repaired=repaired, findings=len(standing))


@asynccontextmanager
async def alive() -> AsyncIterator[None]:
    """Say so while the block runs, however long one call of it takes; its timeout bounds it all the same."""
    beating = asyncio.create_task(_beat()) if activity.in_activity() else None
    try:
        yield
    finally:
        if beating:
            beating.cancel()


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(BEAT_SECONDS)


def _booking_of(workflow_id: str) -> UUID | None:
    """The booking that a workflow is at work on."""
    _, _, booking_id = workflow_id.partition("-")
    try:
        return UUID(booking_id)
    except ValueError:
        return None
