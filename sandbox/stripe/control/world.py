"""Control of the sandbox itself: health, clock, windows, keys, objects, reset."""

from datetime import timedelta

from pydantic import model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.stripe.control.reading import Body, read, state_of
from sandbox.stripe.render import render


class ClockBody(Body):
    """Either a step or a Unix time, in seconds."""

    advance_seconds: int | None = None
    set: int | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "ClockBody":
        if (self.advance_seconds is None) == (self.set is None):
            raise ValueError("give either advance_seconds or set")
        return self


class SettingsBody(Body):
    """For what happens from now on; windows are ISO 8601 durations. See `refunding` for what the flags change."""

    authorization_window: timedelta | None = None
    settlement_delay: timedelta | None = None
    payout_delay: timedelta | None = None
    reinstatement_delay: timedelta | None = None
    release_as_refund: bool | None = None
    refunds_need_funds: bool | None = None


class KeysBody(Body):
    """Idempotency keys; all when absent."""

    keys: list[str] | None = None


class ResetBody(Body):
    """Webhook endpoints stay unless asked otherwise, so that a running stack hears of what comes next."""

    webhook_endpoints: bool = False


async def health(request: Request) -> JSONResponse:
    """Alive, and what time it is here."""
    return JSONResponse({"status": "ok", "now": state_of(request).clock.now()})


async def clock(request: Request) -> JSONResponse:
    """The sandbox's time."""
    return JSONResponse({"now": state_of(request).clock.now()})


async def move_clock(request: Request) -> JSONResponse:
    """Move the clock; what becomes due has happened when this answers."""
    body, state = await read(request, ClockBody), state_of(request)
    if body.set is not None:
        state.clock.set(body.set)
    else:
        state.clock.advance(body.advance_seconds or 0)
    state.run_due()
    state.poke()
    return JSONResponse({"now": state.clock.now()})


async def change_settings(request: Request) -> JSONResponse:
    """Change settings, for authorizations and captures to come."""
    body, state = await read(request, SettingsBody), state_of(request)
    chosen = {name: _plain(value) for name, value in body if value is not None}
    with state.store.transaction():
        for name, value in chosen.items():
            state.store.remember(name, str(value))
    return JSONResponse(chosen)


async def forget_keys(request: Request) -> JSONResponse:
    """Forget idempotency keys, as Stripe may after 24 hours."""
    body, state = await read(request, KeysBody), state_of(request)
    return JSONResponse({"forgotten": state.keys.forget(body.keys)})


async def objects(request: Request) -> JSONResponse:
    """Objects of a `type` and `account` (both optional), whose `metadata.op` is `metadata_op`; oldest first."""
    state, query = state_of(request), request.query_params
    kinds = [query["type"]] if "type" in query else state.store.kinds()
    where = {"metadata.op": query.get("metadata_op")}
    found = [
        render(state.store, body)
        for kind in kinds
        for body in reversed(state.store.select(kind, account=query.get("account"), where=where))
    ]
    return JSONResponse({"data": found})


async def reset(request: Request) -> JSONResponse:
    """Forget everything."""
    body = await read(request, ResetBody)
    state_of(request).reset(webhook_endpoints=body.webhook_endpoints)
    return JSONResponse({"status": "ok"})


def _plain(value: timedelta | bool) -> int | bool:  # noqa: FBT001 - a setting's value
    return value if isinstance(value, bool) else int(value.total_seconds())


ROUTES = [
    Route("/health", health, methods=["GET"]),
    Route("/clock", clock, methods=["GET"]),
    Route("/clock", move_clock, methods=["POST"]),
    Route("/settings", change_settings, methods=["POST"]),
    Route("/idempotency/forget", forget_keys, methods=["POST"]),
    Route("/objects", objects, methods=["GET"]),
    Route("/reset", reset, methods=["POST"]),
]
