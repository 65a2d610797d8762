"""For ops over HTTP: what is wrong, look now, and the business in numbers."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response, status
from sqlalchemy import select
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from api import sagas
from api.dependencies import AsOps, Dependencies, Deps
from api.errors import RETRY_SOON, Code, FieldError, Problem, documented
from api.ops_schemas import FindingPage, FindingResource, Look, Summary
from api.schemas import Utc
from api.summary import summary
from models.availability import Span
from models.records import Finding
from workflows.contracts import AUDIT_ID, BOOKINGS_QUEUE, RECONCILIATION_ID
from workflows.followups import Found

router = APIRouter(prefix="/api", tags=["operation"])

FOR_OPS: Final = (Code.UNAUTHENTICATED, Code.FORBIDDEN)
LOOKING: Final = {
    status.HTTP_202_ACCEPTED: {"model": Look, "description": "Under way; ask again"},
    **documented(*FOR_OPS),
}
LONGEST_RANGE: Final = timedelta(days=3660)
DEFAULT_RANGE: Final = timedelta(days=30)


@router.get(
    "/ops/findings",
    summary="See what is wrong",
    responses=documented(*FOR_OPS, Code.VALIDATION_FAILED),
)
async def list_findings(
    caller: AsOps,
    deps: Deps,
    *,
    booking_id: Annotated[UUID | None, Query()] = None,
    resolved: Annotated[bool, Query(description="Also what a later look did not find any more")] = False,
    cursor: Annotated[
        int | None, Query(ge=0, le=2**62, description="`next_cursor` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> FindingPage:
    """What audits and the reconciler saw and do not repair by themselves, the newest first."""
    del caller
    query = select(Finding).order_by(Finding.id.desc()).limit(limit + 1)
    if not resolved:
        query = query.where(Finding.resolved_at.is_(None))
    if booking_id is not None:
        query = query.where(Finding.booking_id == booking_id)
    if cursor is not None:
        query = query.where(Finding.id < cursor)
    async with deps.database.transaction() as session:
        found = (await session.scalars(query)).all()
    shown = found[:limit]
    more = str(shown[-1].id) if len(found) > limit else None
    return FindingPage(items=[_finding(each) for each in shown], next_cursor=more)


@router.post("/ops/reconcile", summary="Compare with Stripe and Temporal now", responses=LOOKING)
async def reconcile(caller: AsOps, deps: Deps, response: Response) -> Look:
    """What a lost webhook or a lost run left behind is made good; the rest becomes findings."""
    del caller
    return await _look(deps, "Reconciliation", f"{RECONCILIATION_ID}-now", response)


@router.post("/ops/audit", summary="Audit the ledger now", responses=LOOKING)
async def audit(caller: AsOps, deps: Deps, response: Response) -> Look:
    """Every invariant of the ledger and the states; what does not hold becomes a finding."""
    del caller
    return await _look(deps, "LedgerAudit", f"{AUDIT_ID}-now", response)


@router.get(
    "/metrics/summary",
    summary="See the business in numbers",
    responses=documented(*FOR_OPS, Code.VALIDATION_FAILED),
)
async def get_summary(
    caller: AsOps,
    deps: Deps,
    starts_from: Annotated[
        Utc | None, Query(alias="from", description="Default: 30 days before `to`")
    ] = None,
    until: Annotated[Utc | None, Query(alias="to", description="Default: now")] = None,
) -> Summary:
    """Conversion, completion, refund rate, platform revenue and money held, per currency."""
    del caller
    span = _range(starts_from, until, deps.now())
    async with deps.database.transaction() as session:
        currencies = await summary(session, span)
    return Summary(starts_at=span.start, ends_at=span.end, currencies=currencies)


def _range(starts_from: datetime | None, until: datetime | None, now: datetime) -> Span:
    end = until or now
    try:
        start = starts_from or end - DEFAULT_RANGE
    except OverflowError:
        start = end
    if end < start or end - start > LONGEST_RANGE:
        error = FieldError(field="query.to", message="ends before `from`, or more than ten years after it")
        raise Problem(Code.VALIDATION_FAILED, errors=[error])
    return Span(start, end)


async def _look(deps: Dependencies, workflow: str, workflow_id: str, response: Response) -> Look:
    """Start a comparison, or join the one that runs, and wait for it as long as for any answer."""
    try:
        handle = await _started(deps.temporal, workflow, workflow_id)
        async with asyncio.timeout(sagas.ANSWER_WITHIN.total_seconds()):
            found = await handle.result()
    except TimeoutError:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers.update(RETRY_SOON)
        return Look(workflow_id=workflow_id, finished=False, repaired={}, findings=None)
    except WorkflowFailureError:
        raise Problem(Code.UNAVAILABLE, "It could not be finished; look at it in Temporal.") from None
    except (RPCError, RuntimeError):
        raise Problem(Code.UNAVAILABLE) from None
    return Look(workflow_id=workflow_id, finished=True, repaired=found.repaired, findings=found.findings)


async def _started(temporal: Client, workflow: str, workflow_id: str) -> WorkflowHandle[object, Found]:
    try:
        async with asyncio.timeout(sagas.PROBE_WITHIN.total_seconds()):
            return await temporal.start_workflow(
                workflow,
                id=workflow_id,
                task_queue=BOOKINGS_QUEUE,
                result_type=Found,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            )
    except TimeoutError:
        # Not even taken: nothing is under way.
        raise Problem(Code.UNAVAILABLE) from None


def _finding(found: Finding) -> FindingResource:
    return FindingResource(
        id=found.id,
        rule=found.rule,
        subject=found.subject,
        booking_id=found.booking_id,
        detail=found.detail,
        first_seen_at=found.first_seen_at,
        last_seen_at=found.last_seen_at,
        resolved_at=found.resolved_at,
    )
