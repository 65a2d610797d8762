"""Classes over HTTP: put up, looked at, called off, held."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response, status

from api import classes
from api.closing import close_class
from api.dependencies import AsProvider, Dependencies, Deps, IdempotencyKey
from api.errors import RETRY_SOON, Code, Problem, documented
from api.scheduling import put_up
from api.session_schemas import NewSession, SessionResource, describe_class
from models.states import ReportedOutcome

router = APIRouter(prefix="/api/sessions", tags=["classes"])

CLOSING: Final = {
    status.HTTP_202_ACCEPTED: {
        "model": SessionResource,
        "description": "Accepted, and not in effect yet; look again at `Location`",
    },
    **documented(
        Code.UNAUTHENTICATED,
        Code.FORBIDDEN,
        Code.CLASS_NOT_FOUND,
        Code.INVALID_STATE,
        Code.VALIDATION_FAILED,
    ),
}


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Put up a class",
    responses={
        status.HTTP_200_OK: {"model": SessionResource, "description": "This request put it up before"},
        **documented(
            Code.INVALID_REQUEST,
            Code.UNAUTHENTICATED,
            Code.FORBIDDEN,
            Code.NOT_FOUND,
            Code.SLOT_TAKEN,
            Code.IDEMPOTENCY_KEY_REUSED,
            Code.VALIDATION_FAILED,
            Code.OUTSIDE_OPENING_HOURS,
        ),
    },
)
async def create_session(
    new: NewSession, caller: AsProvider, deps: Deps, response: Response, key: IdempotencyKey = None
) -> SessionResource:
    """Of a service with more than one seat, at a time when the provider is free."""
    session_id, created = await put_up(deps, caller, new, key)
    response.status_code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
    response.headers["Location"] = f"/api/sessions/{session_id}"
    return await _read(deps, session_id)


@router.get(
    "/{session_id}",
    summary="Look at a class",
    responses=documented(Code.CLASS_NOT_FOUND, Code.VALIDATION_FAILED),
)
async def get_session(session_id: UUID, deps: Deps) -> SessionResource:
    """When it is, and how many seats are left."""
    return await _read(deps, session_id)


@router.post("/{session_id}/cancel", summary="Call a class off", responses=CLOSING)
async def cancel_session(
    session_id: UUID, caller: AsProvider, deps: Deps, response: Response
) -> SessionResource:
    """Every booking in it is cancelled by its provider: everything goes back."""
    closed = await close_class(deps, caller, session_id, ReportedOutcome.CANCELLED)
    return await _closed(deps, session_id, response, closed=closed)


@router.post("/{session_id}/complete", summary="Say that a class was held", responses=CLOSING)
async def complete_session(
    session_id: UUID, caller: AsProvider, deps: Deps, response: Response
) -> SessionResource:
    """From its start on: every booking in it that nobody reported otherwise is completed."""
    closed = await close_class(deps, caller, session_id, ReportedOutcome.COMPLETED)
    return await _closed(deps, session_id, response, closed=closed)


async def _closed(
    deps: Dependencies, session_id: UUID, response: Response, *, closed: bool
) -> SessionResource:
    if not closed:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Location"] = f"/api/sessions/{session_id}"
        response.headers.update(RETRY_SOON)
    return await _read(deps, session_id)


async def _read(deps: Dependencies, session_id: UUID) -> SessionResource:
    async with deps.database.transaction() as session:
        found = await classes.find_class(session, session_id)
    if found is None:
        raise Problem(Code.CLASS_NOT_FOUND)
    return describe_class(found)
