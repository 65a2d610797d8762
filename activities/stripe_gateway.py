"""The one door to Stripe: typed, pinned, and no write without an idempotency key.

The SDK's defaults do not suit activities (TEMPORAL decision 7): here a call gives up after 10 s and
is never retried by the SDK, because Temporal retries and the key's attempt is ours to count.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, TypeVar

import stripe

from activities.errors import Failure, StripeFailure
from activities.stripe_objects import (
    Account,
    CancelIntent,
    CaptureIntent,
    CreateCustomer,
    CreateIntent,
    CreateRefund,
    CreateTransfer,
    Customer,
    Intent,
    Price,
    Raw,
    RefundObject,
    StripeObject,
    Transfer,
)

API_VERSION: Final = "2026-10-28.endive"
TIMEOUT_SECONDS: Final = 10
PAGE: Final = 100
WITH_CHARGE: Final = ["latest_charge.balance_transaction"]

O = TypeVar("O", bound=StripeObject)  # noqa: E741 - an object

CODES: Final[dict[str, Failure]] = {
    "payment_intent_unexpected_state": Failure.UNEXPECTED_STATE,
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


class StripeGateway:
    """Reads and writes at Stripe. Every failure leaves as a `StripeFailure`."""

    def __init__(self, client: stripe.StripeClient, http: stripe.HTTPXClient, *, livemode: bool) -> None:
        self._v1 = client.v1
        self._http = http
        self.livemode = livemode

    @classmethod
    def connect(cls, secret_key: str, api_base: str | None = None) -> Self:
        """Reach Stripe, or what stands in for it at `api_base`."""
        http = stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)
        client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base} if api_base else {},
            max_network_retries=0,
            http_client=http,
        )
        return cls(client, http, livemode=secret_key.startswith(("sk_live_", "rk_live_")))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    # --- reading ----------------------------------------------------------------------------

    async def retrieve_price(self, price_id: str) -> Price:
        """The price as Stripe has it now."""
        return Price.read(await _read(self._v1.prices.retrieve_async(price_id)))

    async def retrieve_account(self, account_id: str) -> Account:
        """A provider's account as Stripe has it now."""
        return Account.read(await _read(self._v1.accounts.retrieve_async(account_id)))

    async def retrieve_intent(self, intent_id: str) -> Intent:
        """The intent with its latest charge."""
        params: Any = {"expand": WITH_CHARGE}
        return Intent.read(await _read(self._v1.payment_intents.retrieve_async(intent_id, params)))

    async def refunded(self, intent_id: str) -> int:
        """What went back, or is on its way back, to the client; in minor units, whoever asked for it.

        Letting go of an authorization may show as a refund too, but moves no balance: it is left out.
        """
        params: Any = {"payment_intent": intent_id, "limit": PAGE}
        page = await _read(self._v1.refunds.list_async(params))
        return sum(
            refund["amount"]
            for refund in page["data"]
            if refund["status"] in ("pending", "requires_action")
            or (refund["status"] == "succeeded" and refund["balance_transaction"])
        )

    async def retrieve_transfer(self, transfer_id: str) -> Transfer:
        """A transfer."""
        return Transfer.read(await _read(self._v1.transfers.retrieve_async(transfer_id)))

    # --- looking up: by list, which is consistent; never by search ----------------------------

    async def find_customer(self, request: CreateCustomer, key: str, since: datetime) -> Customer | None:
        """The customer that the operation `key` made, created after `since`."""
        params = {"created": {"gte": int(since.timestamp())}} | _given(email=request.email)
        return await _find(self._v1.customers.list_async, params, key, Customer.read)

    async def find_intent(self, request: CreateIntent, key: str, since: datetime) -> Intent | None:
        """The intent that the operation `key` made."""
        params = {
            "customer": request.customer,
            "created": {"gte": int(since.timestamp())},
            "expand": ["data.latest_charge.balance_transaction"],
        }
        return await _find(self._v1.payment_intents.list_async, params, key, Intent.read)

    async def find_refund(self, request: CreateRefund, key: str) -> RefundObject | None:
        """The refund that the operation `key` made."""
        params = {"payment_intent": request.payment_intent}
        return await _find(self._v1.refunds.list_async, params, key, RefundObject.read)

    async def find_transfer(self, request: CreateTransfer, key: str) -> Transfer | None:
        """The transfer that the operation `key` made."""
        params = {"transfer_group": request.transfer_group}
        return await _find(self._v1.transfers.list_async, params, key, Transfer.read)

    # --- writing ----------------------------------------------------------------------------

    async def create_customer(self, request: CreateCustomer, *, key: str) -> Customer:
        """Make a customer."""
        params: Any = {"metadata": request.tagged(key)} | _given(name=request.name, email=request.email)
        return Customer.read(await _write(self._v1.customers.create_async(params, _once(key))))

    async def create_intent(self, request: CreateIntent, *, key: str) -> Intent:
        """Make a PaymentIntent for cards, to be confirmed by the client."""
        params: Any = {
            **request.model_dump(exclude={"metadata"}),
            "allowed_payment_method_types": ["card"],
            "metadata": request.tagged(key),
            "expand": WITH_CHARGE,
        }
        return Intent.read(await _write(self._v1.payment_intents.create_async(params, _once(key))))

    async def capture_intent(self, request: CaptureIntent, *, key: str) -> Intent:
        """Capture; the amount may be less than what was authorized, and is final."""
        params: Any = {"amount_to_capture": request.amount, "expand": WITH_CHARGE}
        capture = self._v1.payment_intents.capture_async(request.payment_intent, params, _once(key))
        return Intent.read(await _write(capture))

    async def cancel_intent(self, request: CancelIntent, *, key: str) -> Intent:
        """Cancel; Stripe refuses when the money was taken already."""
        params: Any = {"expand": WITH_CHARGE}
        cancel = self._v1.payment_intents.cancel_async(request.payment_intent, params, _once(key))
        return Intent.read(await _write(cancel))

    async def create_refund(self, request: CreateRefund, *, key: str) -> RefundObject:
        """Give captured money back."""
        params: Any = {**request.model_dump(exclude={"metadata"}), "metadata": request.tagged(key)}
        return RefundObject.read(await _write(self._v1.refunds.create_async(params, _once(key))))

    async def create_transfer(self, request: CreateTransfer, *, key: str) -> Transfer:
        """Move money to a provider's account; `source_transaction` lets it wait for the funds."""
        params: Any = {**request.model_dump(exclude={"metadata"}), "metadata": request.tagged(key)}
        return Transfer.read(await _write(self._v1.transfers.create_async(params, _once(key))))

    # --- the catalogue: not money, but made once all the same ----------------------------------

    async def create_product(self, *, name: str, description: str | None, key: str) -> str:
        """Make a product and answer its id."""
        params: Any = {"name": name} | _given(description=description)
        return str((await _write(self._v1.products.create_async(params, _once(key))))["id"])

    async def create_price(self, *, product_id: str, amount: int, currency: str, key: str) -> Price:
        """Make a price of `amount` minor units."""
        params: Any = {"product": product_id, "unit_amount": amount, "currency": currency.lower()}
        return Price.read(await _write(self._v1.prices.create_async(params, _once(key))))

    async def create_account(
        self, *, provider_id: str, email: str, country: str, manual_payouts: bool = False, key: str
    ) -> Account:
        """Make a connected account that can receive transfers."""
        schedule = {"interval": "manual"} if manual_payouts else {"interval": "daily"}
        params: Any = {
            "type": "express",
            "email": email,
            "country": country,
            "capabilities": {"transfers": {"requested": True}},
            "settings": {"payouts": {"schedule": schedule}},
            "metadata": {"provider_id": provider_id, "op": key},
        }
        return Account.read(await _write(self._v1.accounts.create_async(params, _once(key))))

    async def create_account_link(
        self, *, account_id: str, refresh_url: str, return_url: str, key: str
    ) -> str:
        """A URL where the provider finishes onboarding; it works once and for minutes."""
        params: Any = {
            "account": account_id,
            "refresh_url": refresh_url,
            "return_url": return_url,
            "type": "account_onboarding",
        }
        return str((await _write(self._v1.account_links.create_async(params, _once(key))))["url"])


def _once(key: str) -> Any:
    return {"idempotency_key": key}


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


async def _find(
    list_page: Callable[..., Awaitable[Any]], params: dict[str, Any], key: str, read: Callable[[Raw], O]
) -> O | None:
    page = await _read(list_page({**params, "limit": PAGE}))
    while True:
        for raw in page["data"]:
            if (raw["metadata"] or {}).get("op") == key:
                return read(raw)
        if not page["has_more"]:
            return None
        page = await _read(list_page({**params, "limit": PAGE, "starting_after": page["data"][-1]["id"]}))


async def _read(call: Awaitable[stripe.StripeObject]) -> Raw:
    try:
        return (await call).to_dict()
    except stripe.StripeError as error:
        raise _failure(error, silence=Failure.STRIPE_UNAVAILABLE) from None


async def _write(call: Awaitable[stripe.StripeObject]) -> Raw:
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


def utc_now() -> datetime:
    """Stripe's clock is wall time."""
    return datetime.now(UTC)
