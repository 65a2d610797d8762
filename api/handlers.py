"""Whatever a route raises becomes a problem; nobody is shown what the inside looks like."""

from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from activities.errors import StripeFailure
from api.errors import Code, FieldError, Problem
from api.methods import allowed
from models.database import sqlstate

log = structlog.get_logger()

BY_STATUS: Final = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 413: Code.BODY_TOO_LARGE}
SHOWN_ERRORS: Final = 20
LONGEST_FIELD: Final = 200

DATABASE_DOWN: Final = (DBAPIError, PoolTimeoutError, OSError)
"""How SQLAlchemy, its pool and the network say that Postgres does not answer."""


def add_handlers(app: FastAPI) -> None:
    """Teach `app` to answer every exception with a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(StripeFailure, _stripe)
    for error in DATABASE_DOWN:
        app.add_exception_handler(error, _database)


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - Starlette's handlers are typed for any exception
    return error.response()


async def _invalid(_request: Request, error: Exception) -> Response:
    """A body that is not JSON is a different mistake from one that does not fit."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return Problem(Code.INVALID_REQUEST, "The body is not valid JSON.").response()
    errors = [_field_error(each) for each in found[:SHOWN_ERRORS]]
    detail = f"{errors[0].field}: {errors[0].message}" if errors else None
    return Problem(Code.VALIDATION_FAILED, detail, errors=errors).response()


def _field_error(error: dict[str, Any]) -> FieldError:
    """Where and what, without quoting what was sent."""
    field = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return FieldError(field=field[:LONGEST_FIELD], message=message)


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    code = BY_STATUS.get(error.status_code, Code.INVALID_REQUEST)
    headers = dict(error.headers or {})
    if code is Code.METHOD_NOT_ALLOWED:
        headers["Allow"] = allowed(request.app.routes, request.url.path)
    return Problem(code, headers=headers).response()


async def _stripe(_request: Request, error: Exception) -> Response:
    log.warning("stripe did not answer", failure=getattr(error, "failure", None))
    return Problem(Code.STRIPE_UNAVAILABLE).response()


async def _database(_request: Request, error: Exception) -> Response:
    # The driver's own text may quote rows, and those hold people: only its kind is told.
    cause = getattr(error, "orig", None) or error
    state = sqlstate(error) if isinstance(error, DBAPIError) else None
    log.error("database did not answer", kind=type(cause).__name__, sqlstate=state)
    return Problem(Code.UNAVAILABLE).response()
