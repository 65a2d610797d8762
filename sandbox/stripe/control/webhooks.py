"""Control of webhooks: endpoints with a chosen secret, disturbed deliveries, what became of them, sending again."""

from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.stripe import webhooks
from sandbox.stripe.control.reading import Body, read, state_of
from sandbox.stripe.render import render
from sandbox.stripe.resources.webhook_endpoints import build
from sandbox.stripe.webhooks import Mode


class EndpointBody(Body):
    """An endpoint, known by `url` and `connect`."""

    url: str
    secret: str
    connect: bool = False
    enabled_events: list[str] = Field(default_factory=lambda: ["*"])


class ModeBody(Body):
    """See `webhooks.Mode`."""

    mode: Literal["normal", "drop", "duplicate", "delay", "reorder"]
    times: int = -1
    factor: int = Field(2, ge=1)
    seconds: float = Field(1.0, ge=0)
    types: list[str] = Field(default_factory=lambda: ["*"])


class ResendBody(Body):
    """Ids of events to send again to every endpoint that wants them."""

    events: list[str]


async def upsert_endpoint(request: Request) -> JSONResponse:
    """Make the endpoint be as described, whether it existed or not."""
    body, state = await read(request, EndpointBody), state_of(request)
    with state.store.transaction():
        scope = state.scope()
        same = {"url": body.url, "_connect": body.connect}
        found = state.store.select("webhook_endpoint", account=scope.account, where=same, limit=1)
        endpoint = build(scope, body.url, body.enabled_events, connect=body.connect, secret=body.secret)
        if found:
            endpoint |= {"id": found[0]["id"], "created": found[0]["created"]}
            scope.save(endpoint)
        else:
            scope.add(endpoint)
    return JSONResponse(render(state.store, endpoint) | {"connect": body.connect})


async def set_mode(request: Request) -> JSONResponse:
    """Disturb coming deliveries, or stop doing so."""
    body, state = await read(request, ModeBody), state_of(request)
    with state.store.transaction():
        webhooks.set_mode(state.store, Mode(**body.model_dump()))
    state.poke()
    return JSONResponse(body.model_dump())


async def resend(request: Request) -> JSONResponse:
    """Send events again, undisturbed."""
    body, state = await read(request, ResendBody), state_of(request)
    queued = 0
    with state.store.transaction():
        for event in filter(None, map(state.store.find, body.events)):
            for endpoint in webhooks.endpoints(state.store, event):
                webhooks.add(state.store, event["id"], endpoint["id"])
                queued += 1
    state.poke()
    return JSONResponse({"queued": queued})


async def deliveries(request: Request) -> JSONResponse:
    """Every delivery, oldest first, with the type of its event; `?status=` and `?event=` narrow it."""
    state = state_of(request)
    rows = state.store.db.execute(
        "SELECT d.*, o.body ->> '$.type' AS type FROM deliveries d LEFT JOIN objects o ON o.id = d.event "
        "WHERE (?1 IS NULL OR d.status = ?1) AND (?2 IS NULL OR d.event = ?2) ORDER BY d.id",
        (request.query_params.get("status"), request.query_params.get("event")),
    ).fetchall()
    return JSONResponse({"data": [dict(row) for row in rows]})


ROUTES = [
    Route("/webhook_endpoints", upsert_endpoint, methods=["PUT"]),
    Route("/webhooks", set_mode, methods=["POST"]),
    Route("/webhooks/resend", resend, methods=["POST"]),
    Route("/deliveries", deliveries, methods=["GET"]),
]
