"""Stripe's error bodies and codes, in one place.

    ApiError                       an answer with an `error` body
      validation=True              refused before anything was executed: never stored under an idempotency key
      keeps_effects=True           what was written stands (a declined card leaves a failed charge behind)

Codes: https://docs.stripe.com/error-codes. Messages are Stripe's where they are known, because people search for them.
"""

from typing import Any

DOCUMENTATION = "https://stripe.com/docs/error-codes/"
UNSPACED = {
    "payment_intent": "payment_intent",
    "payment_method": "PaymentMethod",
    "setup_intent": "setupintent",
}
REQUEST_LOGS = "https://dashboard.stripe.com/test/logs/"


class ApiError(Exception):
    """A refusal that becomes Stripe's `{"error": {…}}` with its HTTP status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        validation: bool = False,
        keeps_effects: bool = False,
        headers: dict[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.validation = validation
        self.keeps_effects = keeps_effects
        self.headers = headers or {}
        fields = {"code": code, "message": message, "param": param, "type": kind, **details}
        self.error = {name: value for name, value in fields.items() if value is not None}
        if code is not None:
            self.error["doc_url"] = DOCUMENTATION + code.replace("_", "-")

    def body(self, request_id: str) -> dict[str, Any]:
        """The answer's JSON; every error names its request, as Stripe's do."""
        return {"error": {**self.error, "request_log_url": REQUEST_LOGS + request_id}}


def invalid_request(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    """Parameters that cannot be understood: nothing was executed."""
    return ApiError(400, message, code=code, param=param, validation=True)


def refused(message: str, *, code: str | None = None, param: str | None = None, **details: Any) -> ApiError:
    """A well-formed request that the state of things forbids; it was executed, so its answer is stored."""
    return ApiError(400, message, code=code, param=param, **details)


def missing_parameter(name: str) -> ApiError:
    """A required parameter is absent."""
    return invalid_request(f"Missing required param: {name}.", code="parameter_missing", param=name)


def unknown_parameter(name: str) -> ApiError:
    """A parameter that the endpoint does not have."""
    return invalid_request(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def missing_object(kind: str, object_id: str, *, param: str = "id") -> ApiError:
    """No such object: 404 when it was named by the path, 400 when by a parameter."""
    noun = UNSPACED.get(kind) or kind.replace("_", " ")
    message = f"No such {noun}: '{object_id}'"
    return ApiError(404 if param == "id" else 400, message, code="resource_missing", param=param)


def unrecognized_url(method: str, path: str) -> ApiError:
    """Stripe's answer to a path that it does not have."""
    message = (
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/."
    )
    return ApiError(404, message, validation=True)


def unauthorized(message: str, *, code: str | None = None) -> ApiError:
    """No key, or a wrong one."""
    challenge = {"WWW-Authenticate": 'Bearer realm="Stripe"'}
    return ApiError(401, message, code=code, validation=True, headers=challenge)


def account_invalid(account: str) -> ApiError:
    """The Stripe-Account header names an account that is not (or no longer) connected."""
    message = (
        f"The provided key does not have access to account '{account}' (or that account does not exist). "
        "Application access may have been revoked."
    )
    return ApiError(403, message, code="account_invalid", validation=True)


def unexpected_state(intent: dict[str, Any], message: str) -> ApiError:
    """The status of a PaymentIntent or a SetupIntent does not allow this."""
    kind = intent["object"]
    error = refused(message, code=f"{kind}_unexpected_state")
    error.error[kind] = intent
    return error


def card_error(code: str, message: str, *, decline_code: str | None = None, **details: Any) -> ApiError:
    """The card said no. What the attempt left behind (a failed charge, events) stands."""
    return ApiError(
        402, message, kind="card_error", code=code, decline_code=decline_code, keeps_effects=True, **details
    )


def key_reused(key: str) -> ApiError:
    """An idempotency key came back with other parameters or on another path."""
    message = (
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return ApiError(400, message, kind="idempotency_error", validation=True)


def key_in_use(key: str) -> ApiError:
    """Another request with this idempotency key is still under way."""
    message = (
        f"There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later."
    )
    return ApiError(409, message, kind="idempotency_error", code="idempotency_key_in_use", validation=True)


def rate_limited(retry_after: int) -> ApiError:
    """Too many requests; `retry_after` is in seconds."""
    message = (
        "Request rate limit exceeded. Learn more about rate limits: https://stripe.com/docs/rate-limits."
    )
    return ApiError(
        429, message, code="rate_limit", validation=True, headers={"Retry-After": str(retry_after)}
    )


def internal() -> ApiError:
    """Something broke on Stripe's side."""
    return ApiError(
        500, "An unknown error occurred. Please contact support@stripe.com for details.", kind="api_error"
    )
