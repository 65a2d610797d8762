"""Webhook endpoints. A Connect endpoint gets the events of connected accounts, the others those of the platform."""

from sandbox.stripe import ids
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call, Scope
from sandbox.stripe.store import Object

routes = Routes()


def build(scope: Scope, url: str, enabled_events: list[str], *, connect: bool, secret: str) -> Object:
    """An endpoint's fields; the secret is private and shown once, at creation."""
    return scope.base("webhook_endpoint") | {
        "api_version": None,
        "application": None,
        "description": None,
        "enabled_events": enabled_events,
        "status": "enabled",
        "url": url,
        "_connect": connect,
        "_secret": secret,
    }


@routes.post("/v1/webhook_endpoints", params="WebhookEndpointCreateParams")
def create(call: Call) -> Object:
    """Register an endpoint; the answer carries its secret."""
    params = call.params
    connect = params.boolean("connect") or False
    secret = ids.webhook_secret()
    endpoint = build(
        call, params.required("url"), params.texts("enabled_events"), connect=connect, secret=secret
    )
    endpoint |= {name: params.text(name) for name in ("api_version", "description")}
    endpoint["metadata"] = params.merged_metadata({})
    return call.add(endpoint) | {"secret": secret}


@routes.post("/v1/webhook_endpoints/{id}", params="WebhookEndpointUpdateParams")
def update(call: Call) -> Object:
    """Change what is given."""
    endpoint, params = call.named("webhook_endpoint"), call.params
    endpoint |= {name: params.text(name) for name in ("url", "description") if name in params}
    if "enabled_events" in params:
        endpoint["enabled_events"] = params.texts("enabled_events")
    if "disabled" in params:
        endpoint["status"] = "disabled" if params.boolean("disabled") else "enabled"
    endpoint["metadata"] = params.merged_metadata(endpoint["metadata"])
    return call.save(endpoint)


@routes.delete("/v1/webhook_endpoints/{id}", params="WebhookEndpointDeleteParams")
def delete(call: Call) -> Object:
    """Remove an endpoint; what was queued for it is not sent."""
    endpoint = call.named("webhook_endpoint")
    call.store.delete(endpoint["id"])
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


routes.retrieve("/v1/webhook_endpoints/{id}", "webhook_endpoint", params="WebhookEndpointRetrieveParams")
routes.list("/v1/webhook_endpoints", "webhook_endpoint", params="WebhookEndpointListParams")
