"""The description of the API: FastAPI's own, with the problem that every route may answer."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.errors import ProblemDetails
from api.links import add_links

TITLE: Final = "Durable bookings"
DESCRIPTION: Final = """
Book a provider's time, pay for it, and have the provider paid after a hold.

Every answer that is not a success is `application/problem+json` with a `code` of a closed set.
Requests that make or decide something about a booking or a class take an `Idempotency-Key`; repeating
one is always safe.
"""
TAGS: Final = [
    {"name": "services", "description": "What can be booked, for how much, and when."},
    {"name": "classes", "description": "Sessions with more than one seat: put up, called off, held."},
    {
        "name": "bookings",
        "description": "Booking, paying, moving, cancelling, completing, contesting, refunding.",
    },
    {"name": "providers", "description": "Registering as a provider and getting ready to be paid."},
    {"name": "webhooks", "description": "For Stripe; authenticated by signature alone."},
    {"name": "operation", "description": "For whoever runs this."},
]


def describe(app: FastAPI) -> None:
    """Let `app` describe itself, once, when it is first asked."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way


def _schema(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    components.update(problem.pop("$defs", {}))
    components["ProblemDetails"] = problem
    add_links(schema)
    return schema
