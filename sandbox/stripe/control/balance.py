"""Control of balances: money that comes and goes without a payment."""

from pydantic import Field, field_validator
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.stripe import due, ids, ledger
from sandbox.stripe.control.reading import Body, find, read, state_of
from sandbox.stripe.resources import balance
from sandbox.stripe.scope import PLATFORM


class FundsBody(Body):
    """`amount` in minor units, negative to take away; the platform's balance, unless it says whose."""

    amount: int
    currency: str = Field("usd", pattern="^[a-z]{3}$")
    account: str = PLATFORM

    @field_validator("amount")
    @classmethod
    def _moves_something(cls, amount: int) -> int:
        if amount == 0:
            raise ValueError("must not be 0")
        return amount


async def add_funds(request: Request) -> JSONResponse:
    """Add available funds, or take some away; refunds that waited for them are sent."""
    body, state = await read(request, FundsBody), state_of(request)
    with state.store.transaction():
        if body.account != PLATFORM:
            find(state, "account", body.account)
        scope = state.scope().on(body.account)
        kind = "topup" if body.amount > 0 else "topup_reversal"
        source = {"id": ids.new("topup"), "currency": body.currency, "description": "Funds set by control"}
        ledger.post(scope, kind, body.amount, source)
        due.run(state.scope())
        after = balance.shown(scope)
    state.poke()
    return JSONResponse(after)


ROUTES = [Route("/balance", add_funds, methods=["POST"])]
