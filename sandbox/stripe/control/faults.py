"""Control of faults; what each action does is the table in `sandbox.stripe.faults`."""

from dataclasses import asdict

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.stripe.control.reading import Body, read, state_of
from sandbox.stripe.faults import Action, Fault


class Match(Body):
    """Which requests: method and shell patterns of path and idempotency key; `nth` lets the first ones pass."""

    method: str = "*"
    path: str = "*"
    key: str = "*"
    nth: int = Field(1, ge=1)


class FaultBody(Body):
    """A fault."""

    match: Match = Match()
    times: int = 1
    action: Action
    status: int = Field(500, ge=400, le=599)
    code: str | None = None
    seconds: float | None = Field(None, ge=0)
    acted: bool = False


async def create(request: Request) -> JSONResponse:
    """Put a fault in force."""
    body = await read(request, FaultBody)
    fault = Fault(**body.match.model_dump(), **body.model_dump(exclude={"match"}))
    return JSONResponse(asdict(state_of(request).faults.add(fault)))


async def index(request: Request) -> JSONResponse:
    """The faults in force."""
    return JSONResponse({"data": [asdict(fault) for fault in state_of(request).faults.active.values()]})


async def delete(request: Request) -> JSONResponse:
    """End one fault."""
    removed = state_of(request).faults.active.pop(request.path_params["id"], None)
    return JSONResponse({"deleted": int(removed is not None)})


async def clear(request: Request) -> JSONResponse:
    """End all faults; whoever is being slowed down goes on."""
    return JSONResponse({"deleted": state_of(request).faults.clear()})


ROUTES = [
    Route("/faults", create, methods=["POST"]),
    Route("/faults", index, methods=["GET"]),
    Route("/faults", clear, methods=["DELETE"]),
    Route("/faults/{id:int}", delete, methods=["DELETE"]),
]
