"""Events: what happened, with a snapshot of the object, written in the same transaction as the change itself."""

import stripe

from sandbox.stripe import ids, webhooks
from sandbox.stripe.render import render
from sandbox.stripe.scope import PLATFORM, Scope
from sandbox.stripe.store import Object


def emit(scope: Scope, kind: str, body: Object, *, previous: Object | None = None) -> None:
    """Record that `kind` happened to `body` and queue it for the webhook endpoints that want it.

    `previous` are the values that changed. An event of a connected account names it in `account` and goes to Connect
    endpoints only.
    """
    data: Object = {"object": render(scope.store, body)}
    if previous is not None:
        data["previous_attributes"] = previous
    event: Object = {
        "id": ids.new("event"),
        "object": "event",
        "api_version": stripe.api_version,
        "created": scope.now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": scope.request_id, "idempotency_key": scope.idempotency_key},
        "type": kind,
    }
    if scope.account != PLATFORM:
        event["account"] = scope.account
    event["pending_webhooks"] = webhooks.count(scope.store, event)
    scope.add(event)
    webhooks.enqueue(scope.store, event)
