"""Everything that can go wrong, as data: RFC 9457 problems with a closed set of codes (DESIGN section 7).

A code carries its status and a sentence fit to show a person. Nothing that a caller sends produces
a 500: what nobody foresaw is logged and answered as `unavailable`, which invites another try.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

PROBLEM_JSON: Final = "application/problem+json"
RETRY_SOON: Final = {"Retry-After": "1"}
RETRY_LATER: Final = {"Retry-After": "5"}


class Code(StrEnum):
    """What a client's program can tell apart."""

    INVALID_REQUEST = "invalid_request"
    INVALID_SIGNATURE = "invalid_signature"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    BOOKING_NOT_READY = "booking_not_ready"
    CLASS_NOT_FOUND = "class_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    SLOT_TAKEN = "slot_taken"
    CAPACITY_FULL = "capacity_full"
    ALREADY_BOOKED = "already_booked"
    INVALID_STATE = "invalid_state"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    AMOUNT_MISMATCH = "amount_mismatch"
    PAYMENT_NOT_SUCCEEDED = "payment_not_succeeded"
    PAYMENT_METADATA_MISMATCH = "payment_metadata_mismatch"
    DISPUTE_OPEN = "dispute_open"
    TOO_LATE = "too_late"
    BODY_TOO_LARGE = "body_too_large"
    VALIDATION_FAILED = "validation_failed"
    OUTSIDE_OPENING_HOURS = "outside_opening_hours"
    POLICY_INVALID = "policy_invalid"
    PROVIDER_NOT_READY = "provider_not_ready"
    RATE_LIMITED = "rate_limited"
    STRIPE_UNAVAILABLE = "stripe_unavailable"
    UNAVAILABLE = "unavailable"
    BOOKING_CONFIRM_FAILED = "booking_confirm_failed"


@dataclass(frozen=True)
class Kind:
    """What every problem with the same code has in common."""

    status: int
    title: str
    sentence: str


KINDS: Final[Mapping[Code, Kind]] = {
    Code.INVALID_REQUEST: Kind(400, "Invalid request", "The request could not be read."),
    Code.INVALID_SIGNATURE: Kind(400, "Invalid signature", "The signature does not fit the body."),
    Code.UNAUTHENTICATED: Kind(401, "Not signed in", "A valid bearer token is needed."),
    Code.FORBIDDEN: Kind(403, "Forbidden", "This is not yours to do."),
    Code.NOT_FOUND: Kind(404, "Not found", "There is nothing here, or it is not yours to see."),
    Code.BOOKING_NOT_READY: Kind(404, "Booking not ready", "The booking is still being made; ask again."),
    Code.CLASS_NOT_FOUND: Kind(404, "Class not found", "There is no such class to book."),
    Code.METHOD_NOT_ALLOWED: Kind(405, "Method not allowed", "This address does not know that method."),
    Code.SLOT_TAKEN: Kind(409, "Slot taken", "Somebody else has this time; choose another."),
    Code.CAPACITY_FULL: Kind(409, "Fully booked", "No seat is left in this class."),
    Code.ALREADY_BOOKED: Kind(409, "Already booked", "You already have a seat in this session."),
    Code.INVALID_STATE: Kind(409, "Not possible now", "The booking's state does not allow this."),
    Code.IDEMPOTENCY_KEY_REUSED: Kind(
        409, "Idempotency key reused", "This key was used for a different request; choose a new one."
    ),
    Code.AMOUNT_MISMATCH: Kind(409, "Amount differs", "The price is not what the request says it is."),
    Code.PAYMENT_NOT_SUCCEEDED: Kind(409, "Not paid", "The payment has not succeeded yet."),
    Code.PAYMENT_METADATA_MISMATCH: Kind(
        409, "Payment does not match", "The payment does not fit the booking; we are looking into it."
    ),
    Code.DISPUTE_OPEN: Kind(409, "Dispute open", "The payment is disputed; wait until that is decided."),
    Code.TOO_LATE: Kind(409, "Too late", "It is too late for this."),
    Code.BODY_TOO_LARGE: Kind(413, "Body too large", "The request's body is larger than 1 MiB."),
    Code.VALIDATION_FAILED: Kind(422, "Validation failed", "Something in the request is not valid."),
    Code.OUTSIDE_OPENING_HOURS: Kind(
        422, "Outside opening hours", "The provider is not open for the whole session."
    ),
    Code.POLICY_INVALID: Kind(422, "Policy invalid", "The service's rules are not valid."),
    Code.PROVIDER_NOT_READY: Kind(422, "Provider not ready", "The provider cannot be booked yet."),
    Code.RATE_LIMITED: Kind(429, "Too many requests", "Slow down, then try again."),
    Code.STRIPE_UNAVAILABLE: Kind(502, "Payment service unavailable", "The payment service did not answer."),
    Code.UNAVAILABLE: Kind(503, "Unavailable", "The service cannot answer right now; try again."),
    Code.BOOKING_CONFIRM_FAILED: Kind(
        503, "Confirmation failed", "The booking could not be confirmed in time; try again."
    ),
}

PATIENCE: Final[Mapping[Code, Mapping[str, str]]] = {
    Code.BOOKING_NOT_READY: RETRY_SOON,
    Code.STRIPE_UNAVAILABLE: RETRY_LATER,
    Code.UNAVAILABLE: RETRY_LATER,
    Code.BOOKING_CONFIRM_FAILED: RETRY_LATER,
}
"""Codes that go away by themselves say when to try again."""


class FieldError(BaseModel):
    """One field that is not valid; `field` is a path such as `body.starts_at`."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class ProblemDetails(BaseModel):
    """The body of every answer that is not a success (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(
        description="A name for `code` that is unique in the world", examples=["urn:problem-type:slot_taken"]
    )
    title: str
    status: int
    detail: str = Field(description="A sentence fit to show a person")
    code: Code
    booking_id: UUID | None = None
    errors: list[FieldError] | None = None


class Problem(Exception):
    """Raised anywhere in the API; answered as problem+json."""

    def __init__(
        self,
        code: Code,
        detail: str | None = None,
        *,
        booking_id: UUID | None = None,
        headers: Mapping[str, str] | None = None,
        errors: list[FieldError] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail or KINDS[code].sentence
        self.booking_id = booking_id
        self.headers = {**PATIENCE.get(code, {}), **(headers or {})}
        self.errors = errors

    def response(self) -> Response:
        """The answer; ASCII only, so that no caller's odd character can break its encoding."""
        kind = KINDS[self.code]
        details = ProblemDetails(
            type=f"urn:problem-type:{self.code}",
            title=kind.title,
            status=kind.status,
            detail=self.detail,
            code=self.code,
            booking_id=self.booking_id,
            errors=self.errors,
        )
        body = json.dumps({key: value for key, value in _plain(details).items() if value is not None})
        return Response(body, status_code=kind.status, headers=self.headers, media_type=PROBLEM_JSON)


def _plain(details: ProblemDetails) -> dict[str, Any]:
    plain = details.model_dump(exclude={"booking_id"})
    return plain | {"booking_id": str(details.booking_id) if details.booking_id else None}


def documented(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for what a route may refuse with, besides what any request may meet."""
    by_status: dict[int, list[Code]] = {}
    for code in (*codes, Code.BODY_TOO_LARGE, Code.UNAVAILABLE):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {status: _documentation(same) for status, same in by_status.items()}


def _documentation(codes: list[Code]) -> dict[str, Any]:
    examples = {
        code: {
            "value": {
                "type": f"urn:problem-type:{code}",
                "title": KINDS[code].title,
                "status": KINDS[code].status,
                "detail": KINDS[code].sentence,
                "code": code,
            }
        }
        for code in codes
    }
    return {
        "description": " · ".join(f"`{code}`" for code in codes),
        "headers": _headers(codes),
        "content": {
            PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "examples": examples}
        },
    }


def _headers(codes: list[Code]) -> dict[str, Any]:
    """What an answer with any of `codes` carries besides its body."""
    headers = {}
    if all(code in PATIENCE for code in codes):
        headers["Retry-After"] = _header("integer", "When to try again, in seconds")
    if Code.UNAUTHENTICATED in codes:
        headers["WWW-Authenticate"] = _header("string", "How to sign in")
    return headers


def _header(kind: str, description: str) -> dict[str, Any]:
    return {"required": True, "description": description, "schema": {"type": kind}}
