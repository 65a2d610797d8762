"""Is the process alive, can it work, and what does it count?"""

import asyncio
import math
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from api import queries, sagas
from api.dependencies import Dependencies, Deps
from api.errors import Code, Problem, documented
from api.handlers import DATABASE_DOWN
from api.metrics import INBOX_PENDING

router = APIRouter(tags=["operation"])


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Everything that bookings need can be reached."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ready"] = "ready"
    database: Literal["ok"] = "ok"
    temporal: Literal["ok"] = "ok"


@router.get("/healthz", summary="Alive?", responses=documented())
async def get_health() -> Alive:
    """Answers whenever the process does."""
    return Alive()


@router.get("/readyz", summary="Ready?", responses=documented())
async def get_readiness(deps: Deps) -> Ready:
    """Whether Postgres and Temporal can be reached. Webhooks are taken while only Postgres can."""
    missing = [name for name, reached in await _reached(deps) if not reached]
    if missing:
        raise Problem(Code.UNAVAILABLE, f"Cannot be reached: {', '.join(missing)}.")
    return Ready()


@router.get("/metrics", summary="For Prometheus", response_class=Response, responses=documented())
async def get_metrics(deps: Deps) -> Response:
    """Request counts and latencies, and how many Stripe events wait."""
    try:
        async with deps.database.transaction() as session:
            INBOX_PENDING.set(await queries.inbox_pending(session))
    except DATABASE_DOWN:
        # The other numbers are wanted most when something is down.
        INBOX_PENDING.set(math.nan)
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _reached(deps: Dependencies) -> list[tuple[str, bool]]:
    return [("database", await _database(deps)), ("temporal", await _temporal(deps))]


async def _database(deps: Dependencies) -> bool:
    try:
        async with (
            asyncio.timeout(sagas.PROBE_WITHIN.total_seconds()),
            deps.database.transaction() as session,
        ):
            await session.execute(text("SELECT 1"))
    except (*DATABASE_DOWN, TimeoutError):
        return False
    return True


async def _temporal(deps: Dependencies) -> bool:
    try:
        await sagas.probe(deps.temporal)
    except sagas.Unreachable:
        return False
    return True
