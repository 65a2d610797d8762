"""Control of payments under way: how a cardholder answers 3D Secure, how a payment or a refund ends."""

from typing import Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.stripe import payments, refunding, setups
from sandbox.stripe.control.reading import Body, find, read, state_of
from sandbox.stripe.render import render
from sandbox.stripe.scope import Scope
from sandbox.stripe.state import State
from sandbox.stripe.store import Object

AUTHENTICATORS = {"payment_intent": payments.authenticate, "setup_intent": setups.authenticate}


class OutcomeBody(Body):
    """How the cardholder answers, or the bank."""

    outcome: Literal["success", "fail"]


class RefundBody(Body):
    """How a refund ended."""

    status: Literal["succeeded", "failed"]


async def authenticate_payment(request: Request) -> JSONResponse:
    """Finish a PaymentIntent's 3D Secure step."""
    return await _authenticate(request, "payment_intent")


async def authenticate_setup(request: Request) -> JSONResponse:
    """Finish a SetupIntent's 3D Secure step."""
    return await _authenticate(request, "setup_intent")


async def _authenticate(request: Request, kind: str) -> JSONResponse:
    body, state = await read(request, OutcomeBody), state_of(request)
    intent = finish_authentication(state, kind, request.path_params["id"], success=body.outcome == "success")
    return JSONResponse(render(state.store, intent))


async def settle_payment(request: Request) -> JSONResponse:
    """End a payment that is `processing`."""
    body, state = await read(request, OutcomeBody), state_of(request)
    with state.store.transaction():
        intent, scope = _waiting(state, "payment_intent", request.path_params["id"], "processing")
        payments.settle(scope, intent, success=body.outcome == "success")
    state.poke()
    return JSONResponse(render(state.store, intent))


async def settle_refund(request: Request) -> JSONResponse:
    """End a refund, or let one fail late."""
    body, state = await read(request, RefundBody), state_of(request)
    with state.store.transaction():
        refund = find(state, "refund", request.path_params["id"])
        refunding.settle(state.scope().on(state.store.owner(refund["id"])), refund, body.status)
    state.poke()
    return JSONResponse(render(state.store, refund))


def finish_authentication(state: State, kind: str, intent_id: str, *, success: bool) -> Object:
    """Let the cardholder approve or refuse; the payment or setup intent must be waiting for it."""
    with state.store.transaction():
        intent, scope = _waiting(state, kind, intent_id, "requires_action")
        AUTHENTICATORS[kind](scope, intent, success=success)
    state.poke()
    return intent


def _waiting(state: State, kind: str, intent_id: str, status: str) -> tuple[Object, Scope]:
    intent = find(state, kind, intent_id)
    if intent["status"] != status:
        raise HTTPException(409, f"{intent_id} is {intent['status']}, not {status}")
    return intent, state.scope().on(state.store.owner(intent_id))


ROUTES = [
    Route("/payment_intents/{id}/authenticate", authenticate_payment, methods=["POST"]),
    Route("/setup_intents/{id}/authenticate", authenticate_setup, methods=["POST"]),
    Route("/payment_intents/{id}/settle", settle_payment, methods=["POST"]),
    Route("/refunds/{id}", settle_refund, methods=["POST"]),
]
