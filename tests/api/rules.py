"""Who may do what: one rule for each route, and what it says to each kind of caller."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

Route = tuple[str, str]


class Who(StrEnum):
    """Who asks; the booking, the class, the service and the provider asked for belong to the first of each."""

    NOBODY = "nobody"
    CLIENT = "its client"
    OTHER_CLIENT = "another client"
    PROVIDER = "its provider"
    OTHER_PROVIDER = "another provider"
    OPS = "ops"


IN: Final = "in"
"""Past the door: whatever is answered then, it is not about who asks."""

TOKENS: Final = "GENERATED_TOKENS"
"""A JSON object in the environment of whoever calls by these rules: who, and their token."""

ANYONE = "in in in in in in"
CLIENTS_OWN = "401 in 404 403 403 403"
PROVIDERS_OWN = "401 403 403 in 403 403"
ITS_PROVIDER = "401 403 403 in 404 403"
ITS_SIDES = "401 in 404 in 404 in"
SELLERS = "401 403 403 in 404 in"
OPS_ALONE = "401 403 403 403 403 in"

_RULES: Final[dict[Route, str]] = {
    ("get", "/docs"): ANYONE,
    ("get", "/docs/oauth2-redirect"): ANYONE,
    ("get", "/healthz"): ANYONE,
    ("get", "/metrics"): ANYONE,
    ("get", "/openapi.json"): ANYONE,
    ("get", "/readyz"): ANYONE,
    ("get", "/redoc"): ANYONE,
    ("get", "/api/services"): ANYONE,
    ("get", "/api/services/{service_id}"): ANYONE,
    ("get", "/api/services/{service_id}/availability"): ANYONE,
    ("get", "/api/sessions/{session_id}"): ANYONE,
    ("post", "/api/payments/webhook"): ANYONE,
    ("post", "/api/webhooks/stripe"): ANYONE,
    ("post", "/api/webhooks/stripe/connect"): ANYONE,
    # What belongs to nobody yet: whoever may make it makes their own.
    ("post", "/api/bookings"): "401 in in 403 403 403",
    ("get", "/api/bookings"): "401 in in in in in",
    ("post", "/api/providers"): "401 403 403 in in in",
    ("post", "/api/services"): "401 403 403 in 403 in",
    ("patch", "/api/services/{service_id}"): "401 403 403 in 403 in",
    ("get", "/api/providers/{provider_id}"): SELLERS,
    ("post", "/api/providers/{provider_id}/onboarding"): SELLERS,
    ("post", "/api/sessions"): PROVIDERS_OWN,
    ("post", "/api/sessions/{session_id}/cancel"): PROVIDERS_OWN,
    ("post", "/api/sessions/{session_id}/complete"): PROVIDERS_OWN,
    ("get", "/api/bookings/{booking_id}"): ITS_SIDES,
    ("get", "/api/bookings/{booking_id}/cancellation-quote"): ITS_SIDES,
    ("get", "/api/bookings/{booking_id}/timeline"): ITS_SIDES,
    ("post", "/api/bookings/{booking_id}/cancel"): ITS_SIDES,
    ("post", "/api/bookings/{booking_id}/complete"): ITS_SIDES,
    ("post", "/api/bookings/{booking_id}/no-show"): ITS_SIDES,
    ("post", "/api/bookings/{booking_id}/reschedule"): ITS_SIDES,
    ("get", "/api/bookings/{booking_id}/checkout"): CLIENTS_OWN,
    ("post", "/api/bookings/{booking_id}/object"): CLIENTS_OWN,
    ("post", "/api/bookings/confirm"): CLIENTS_OWN,
    ("post", "/api/bookings/{booking_id}/approve"): ITS_PROVIDER,
    ("post", "/api/bookings/{booking_id}/reject"): ITS_PROVIDER,
    ("post", "/api/bookings/{booking_id}/refund"): SELLERS,
    ("post", "/api/bookings/{booking_id}/hold"): OPS_ALONE,
    ("post", "/api/bookings/{booking_id}/resolve"): OPS_ALONE,
    ("get", "/api/ops/findings"): OPS_ALONE,
    ("post", "/api/ops/reconcile"): OPS_ALONE,
    ("post", "/api/ops/audit"): OPS_ALONE,
    ("get", "/api/metrics/summary"): OPS_ALONE,
}

RULES: Final = {route: dict(zip(Who, rule.split(), strict=True)) for route, rule in _RULES.items()}
PUBLIC: Final = {route for route, rule in RULES.items() if rule[Who.NOBODY] == IN}
GUARDED: Final = sorted(set(RULES) - PUBLIC)


def routes_of(served: Iterable[BaseRoute]) -> set[Route]:
    """Every route that answers, whether or not the description tells of it."""
    return {
        (method.lower(), found.path or "?")
        for found in iter_route_contexts(list(served))
        for method in (found.methods or {"any"}) - {"HEAD"}
    }
