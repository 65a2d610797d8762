"""The application: the API, the control API and the pages over one state."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from sandbox.stripe import ids, pages
from sandbox.stripe.control import accounts, balance, disputes, faults, payouts, subjects, webhooks, world
from sandbox.stripe.endpoints import ROUTES
from sandbox.stripe.errors import internal
from sandbox.stripe.faults import refusal
from sandbox.stripe.gateway import Gateway
from sandbox.stripe.settings import Settings
from sandbox.stripe.state import State

CONTROL = [
    *faults.ROUTES,
    *webhooks.ROUTES,
    *world.ROUTES,
    *subjects.ROUTES,
    *accounts.ROUTES,
    *balance.ROUTES,
    *disputes.ROUTES,
    *payouts.ROUTES,
]
METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]


def create_app(settings: Settings, database: Path | None = None) -> Starlette:
    """Build a sandbox over a database file, or in memory without one."""
    state = State(settings, database)
    # Stripe.js calls from any page, so a browser must be allowed to.
    cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    app = Starlette(
        routes=[
            Mount("/_control", routes=CONTROL),
            Mount("/_sandbox", routes=pages.ROUTES),
            Route("/{path:path}", Gateway(state, ROUTES).handle, methods=METHODS),
        ],
        middleware=[cors],
        exception_handlers={HTTPException: _refuse, Exception: _break},
        lifespan=_lifespan,
    )
    app.state.sandbox = state
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    state: State = app.state.sandbox
    work = asyncio.create_task(state.run())
    try:
        yield
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        state.store.close()


async def _refuse(request: Request, error: Exception) -> Response:
    del request
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return JSONResponse({"error": detail}, status)


async def _break(request: Request, error: Exception) -> Response:
    """A bug of the sandbox looks like Stripe's own 500; the server logs what it was."""
    del request, error
    return refusal(internal(), ids.new("request"))
