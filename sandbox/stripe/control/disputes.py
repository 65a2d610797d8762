"""Control of disputes: the cardholder's bank opens them and says how they end."""

from typing import Literal

from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.stripe import disputing
from sandbox.stripe.control.reading import Body, find, read, state_of
from sandbox.stripe.render import render
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object


class OpeningBody(Body):
    """What the cardholder says; `amount` is in minor units, all that was captured when absent."""

    amount: int | None = Field(None, gt=0)
    reason: Literal[
        "bank_cannot_process",
        "check_returned",
        "credit_not_processed",
        "customer_initiated",
        "debit_not_authorized",
        "duplicate",
        "fraudulent",
        "general",
        "incorrect_account_details",
        "insufficient_funds",
        "noncompliant",
        "product_not_received",
        "product_unacceptable",
        "subscription_canceled",
        "unrecognized",
    ] = "fraudulent"
    inquiry: bool = False


class MoveBody(Body):
    """What the bank decided; `needs_response` escalates an inquiry."""

    status: Literal["needs_response", "under_review", "won", "lost", "warning_under_review", "warning_closed"]


async def open_dispute(request: Request) -> JSONResponse:
    """Dispute a captured charge."""
    body, state = await read(request, OpeningBody), state_of(request)
    with state.store.transaction():
        charge = find(state, "charge", request.path_params["id"])
        scope = state.scope().on(state.store.owner(charge["id"]))
        amount = body.amount or charge["amount_captured"]
        _check(scope, charge, amount)
        dispute = disputing.open_dispute(
            scope, charge, amount=amount, reason=body.reason, inquiry=body.inquiry
        )
    state.poke()
    return JSONResponse(render(state.store, dispute))


async def move(request: Request) -> JSONResponse:
    """Take a dispute on; asking for the status that it has changes nothing."""
    body, state = await read(request, MoveBody), state_of(request)
    with state.store.transaction():
        dispute = find(state, "dispute", request.path_params["id"])
        if body.status != dispute["status"]:
            if body.status not in disputing.MOVES[dispute["status"]]:
                raise HTTPException(409, f"{dispute['id']} is {dispute['status']}: not to be {body.status}")
            disputing.move(state.scope().on(state.store.owner(dispute["id"])), dispute, body.status)
    state.poke()
    return JSONResponse(render(state.store, dispute))


def _check(scope: Scope, charge: Object, amount: int) -> None:
    if not charge["captured"] or charge["payment_intent"] is None:
        raise HTTPException(409, f"{charge['id']} is no captured payment of a cardholder")
    if amount > charge["amount_captured"]:
        raise HTTPException(400, f"only {charge['amount_captured']} of {charge['id']} was captured")
    if any(found["status"] not in disputing.CLOSED for found in disputing.of_charge(scope, charge)):
        raise HTTPException(409, f"{charge['id']} has a dispute already")


ROUTES = [
    Route("/charges/{id}/dispute", open_dispute, methods=["POST"]),
    Route("/disputes/{id}", move, methods=["POST"]),
]
