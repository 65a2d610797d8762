"""Control of payouts: what the account's bank does with them."""

from typing import Annotated, Literal

from pydantic import AfterValidator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.stripe import payouts
from sandbox.stripe.control.reading import Body, find, read, state_of
from sandbox.stripe.render import render


def _known(code: str) -> str:
    if code not in payouts.FAILURES:
        raise ValueError(f"must be one of {', '.join(payouts.FAILURES)}")
    return code


FailureCode = Annotated[str, AfterValidator(_known)]


class PayoutBody(Body):
    """What the bank says of a payout; `failure_code` only matters to one that fails."""

    status: Literal["in_transit", "paid", "failed"]
    failure_code: FailureCode | None = None


async def move(request: Request) -> JSONResponse:
    """Take a payout on; asking for the status that it has changes nothing."""
    body, state = await read(request, PayoutBody), state_of(request)
    with state.store.transaction():
        payout = find(state, "payout", request.path_params["id"])
        if body.status != payout["status"]:
            if body.status not in payouts.MOVES[payout["status"]]:
                raise HTTPException(409, f"{payout['id']} is {payout['status']}: not to be {body.status}")
            scope = state.scope().on(state.store.owner(payout["id"]))
            payouts.move(scope, payout, body.status, failure_code=body.failure_code)
    state.poke()
    return JSONResponse(render(state.store, payout))


ROUTES = [Route("/payouts/{id}", move, methods=["POST"])]
