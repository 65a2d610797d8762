"""How Stripe is called: every answer is read here, and every failure becomes a `StripeFailure`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import stripe

from activities.errors import Failure, StripeFailure
from activities.stripe_objects import Raw, StripeObject

PAGE: Final = 100

O = TypeVar("O", bound=StripeObject)  # noqa: E741 - an object

CODES: Final[dict[str, Failure]] = {
    "payment_intent_unexpected_state": Failure.UNEXPECTED_STATE,
    "setup_intent_unexpected_state": Failure.UNEXPECTED_STATE,
    "charge_expired_for_capture": Failure.AUTHORIZATION_EXPIRED,
    "balance_insufficient": Failure.INSUFFICIENT_BALANCE,
    "insufficient_capabilities_for_transfer": Failure.PROVIDER_NOT_PAYABLE,
    "account_invalid": Failure.PROVIDER_NOT_PAYABLE,
    "transfers_not_allowed": Failure.PROVIDER_NOT_PAYABLE,
}

STATUSES: Final[dict[int, Failure]] = {
    401: Failure.STRIPE_AUTHENTICATION,
    402: Failure.CARD_DECLINED,
    403: Failure.STRIPE_AUTHENTICATION,
    409: Failure.STRIPE_BUSY,
    429: Failure.STRIPE_RATE_LIMITED,
}


def once(key: str) -> Any:
    """The options of a write: without a key there is none."""
    return {"idempotency_key": key}


def on_account(account: str, key: str | None = None) -> Any:
    """The options of a call on a connected account; a write there has a key too."""
    return {"stripe_account": account} | ({"idempotency_key": key} if key else {})


def given(**values: Any) -> dict[str, Any]:
    """Only the parameters that have a value."""
    return {name: value for name, value in values.items() if value is not None}


async def everything(list_page: Callable[..., Awaitable[Any]], params: dict[str, Any]) -> AsyncIterator[Raw]:
    """Every object of a list, page by page."""
    page = await read(list_page({**params, "limit": PAGE}))
    while True:
        for raw in page["data"]:
            yield raw
        if not page["has_more"]:
            return
        page = await read(list_page({**params, "limit": PAGE, "starting_after": page["data"][-1]["id"]}))


async def find(
    list_page: Callable[..., Awaitable[Any]], params: dict[str, Any], key: str, parse: Callable[[Raw], O]
) -> O | None:
    """The object of a list that the operation `key` made."""
    async for raw in everything(list_page, params):
        if (raw["metadata"] or {}).get("op") == key:
            return parse(raw)
    return None


async def read(call: Awaitable[stripe.StripeObject]) -> Raw:
    """What Stripe has; no answer leaves nothing in doubt."""
    try:
        return (await call).to_dict()
    except stripe.StripeError as error:
        raise _failure(error, silence=Failure.STRIPE_UNAVAILABLE) from None


async def write(call: Awaitable[stripe.StripeObject]) -> Raw:
    """What Stripe did; without an answer, it may have."""
    try:
        return (await call).to_dict()
    except stripe.StripeError as error:
        raise _failure(error, silence=Failure.STRIPE_INDETERMINATE) from None


def _failure(error: stripe.StripeError, silence: Failure) -> StripeFailure:
    """Stripe's answer in our words; `silence` is what no answer, or a 5xx, means here."""
    headers = error.headers or {}
    wait = headers.get("retry-after", "")
    # Stripe's own sentence may quote what the client gave: its code, parameter and request tell enough.
    clues = {"code": _code(error), "parameter": _parameter(error), "request": error.request_id}
    found = ", ".join(f"{name} {value}" for name, value in clues.items() if value)
    return StripeFailure(
        _classify(error, silence),
        f"Stripe answered {error.http_status or 'nothing'} ({found or type(error).__name__})",
        code=_code(error),
        retry_after=timedelta(seconds=int(wait)) if wait.isdigit() else None,
        replayed=headers.get("idempotent-replayed") == "true",
    )


def _code(error: stripe.StripeError) -> str | None:
    """Stripe's code; the SDK itself leaves it out for some statuses."""
    return error.code or (error.error.code if error.error else None)


def _parameter(error: stripe.StripeError) -> str | None:
    return error.error.param if error.error else None


def _classify(error: stripe.StripeError, silence: Failure) -> Failure:
    status, code = error.http_status, _code(error)
    if status is None or status >= 500 or status < 400:  # noqa: PLR2004 - HTTP
        return silence
    if code in CODES:
        return CODES[code]
    if _parameter(error) == "destination":
        return Failure.PROVIDER_NOT_PAYABLE
    if isinstance(error, stripe.IdempotencyError) and status != 409:  # noqa: PLR2004 - HTTP
        return Failure.STRIPE_KEY_CONFLICT
    return STATUSES.get(status, Failure.STRIPE_REJECTED)
