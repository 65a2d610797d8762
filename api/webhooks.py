"""Stripe's webhooks: verify, store, tell the booking, and only then say 200 (DESIGN section 9)."""

from collections.abc import Sequence
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from activities.stripe_webhooks import InvalidPayload, InvalidSignature, verify
from api.dependencies import Dependencies, Deps
from api.errors import Code, Problem, documented

router = APIRouter(prefix="/api", tags=["webhooks"])

log = structlog.get_logger()

SIGNATURE: Final = "Stripe-Signature"

DESCRIBED: Final[dict[str, Any]] = {
    "responses": documented(Code.INVALID_SIGNATURE, Code.INVALID_REQUEST),
    "openapi_extra": {
        "parameters": [
            {
                "name": SIGNATURE,
                "in": "header",
                "required": True,
                "description": "Over the raw body, by one of our secrets",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {
            "description": "An event, as Stripe sends it",
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    },
}


class Received(BaseModel):
    """The event is ours now: Stripe need not send it again."""

    model_config = ConfigDict(frozen=True)

    received: bool = True


@router.post("/webhooks/stripe", summary="Events of the platform's account", **DESCRIBED)
@router.post("/payments/webhook", summary="The same, under its older name", **DESCRIBED)
async def receive_platform_event(request: Request, deps: Deps) -> Received:
    """What happens to payments."""
    return await _receive(request, deps, deps.webhook_secrets)


@router.post("/webhooks/stripe/connect", summary="Events of providers' accounts", **DESCRIBED)
async def receive_connect_event(request: Request, deps: Deps) -> Received:
    """What happens to providers' accounts."""
    return await _receive(request, deps, deps.connect_webhook_secrets)


async def _receive(request: Request, deps: Dependencies, secrets: Sequence[str]) -> Received:
    try:
        event = verify(await request.body(), request.headers.get(SIGNATURE), secrets, deps.now())
    except InvalidSignature:
        raise Problem(Code.INVALID_SIGNATURE) from None
    except InvalidPayload:
        raise Problem(Code.INVALID_REQUEST, "The body is not an event.") from None
    structlog.contextvars.bind_contextvars(event_id=event.id, event_type=event.type)
    if await deps.inbox.store(event):
        await _deliver(deps, event.id)
    return Received()


async def _deliver(deps: Dependencies, event_id: str) -> None:
    try:
        await deps.inbox.deliver(event_id)
    except RuntimeError:
        # A client that was never connected says so like this. The event is stored: the relay goes on.
        log.warning("booking could not be told yet")
