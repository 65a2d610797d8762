"""The one door to Stripe: typed, pinned, and no write without an idempotency key.

The SDK's defaults do not suit activities (TEMPORAL decision 7): here a call gives up after 10 s and
is never retried by the SDK, because Temporal retries and the key's attempt is ours to count.
"""

from datetime import UTC, datetime
from typing import Any, Final, Self

import stripe

from activities import stripe_calls as calls
from activities.stripe_connect import StripeConnect
from activities.stripe_lists import StripeLists
from activities.stripe_movements import DisputeObject, RefundObject
from activities.stripe_objects import Customer, Intent, Price, Setup
from activities.stripe_requests import (
    CancelIntent,
    CancelSetup,
    CaptureIntent,
    ConfirmIntent,
    CreateCustomer,
    CreateIntent,
    CreateRefund,
    CreateSetup,
)

API_VERSION: Final = "2026-10-28.endive"
TIMEOUT_SECONDS: Final = 10
WITH_CHARGE: Final = ["latest_charge.balance_transaction"]


class StripeGateway(StripeConnect):
    """Reads and writes at Stripe. Every failure leaves as a `StripeFailure`."""

    def __init__(self, client: stripe.StripeClient, http: stripe.HTTPXClient, *, livemode: bool) -> None:
        self._v1 = client.v1
        self._http = http
        self.livemode = livemode
        self.lists = StripeLists(client.v1, calls.read)

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
        return Price.read(await calls.read(self._v1.prices.retrieve_async(price_id)))

    async def retrieve_intent(self, intent_id: str) -> Intent:
        """The intent with its latest charge."""
        params: Any = {"expand": WITH_CHARGE}
        return Intent.read(await calls.read(self._v1.payment_intents.retrieve_async(intent_id, params)))

    async def retrieve_setup(self, setup_id: str) -> Setup:
        """A SetupIntent as it is now."""
        return Setup.read(await calls.read(self._v1.setup_intents.retrieve_async(setup_id)))

    async def refunds_of(self, intent_id: str) -> list[RefundObject]:
        """Every refund of an intent that moves money, whoever asked for it, oldest first."""
        pages = calls.everything(self._v1.refunds.list_async, {"payment_intent": intent_id})
        found = [RefundObject.read(raw) async for raw in pages]
        return [refund for refund in reversed(found) if refund.moves_money]

    async def disputes_of(self, intent_id: str) -> list[DisputeObject]:
        """Every dispute of an intent, oldest first."""
        pages = calls.everything(self._v1.disputes.list_async, {"payment_intent": intent_id})
        found = [DisputeObject.read(raw) async for raw in pages]
        return list(reversed(found))

    # --- looking up: by list, which is consistent; never by search ----------------------------

    async def find_customer(self, request: CreateCustomer, key: str, since: datetime) -> Customer | None:
        """The customer that the operation `key` made, created after `since`."""
        params = {"created": {"gte": int(since.timestamp())}} | calls.given(email=request.email)
        return await calls.find(self._v1.customers.list_async, params, key, Customer.read)

    async def find_intent(self, request: CreateIntent, key: str, since: datetime) -> Intent | None:
        """The intent that the operation `key` made."""
        params = {
            "customer": request.customer,
            "created": {"gte": int(since.timestamp())},
            "expand": ["data.latest_charge.balance_transaction"],
        }
        return await calls.find(self._v1.payment_intents.list_async, params, key, Intent.read)

    async def find_setup(self, request: CreateSetup, key: str, since: datetime) -> Setup | None:
        """The SetupIntent that the operation `key` made."""
        params = {"customer": request.customer, "created": {"gte": int(since.timestamp())}}
        return await calls.find(self._v1.setup_intents.list_async, params, key, Setup.read)

    async def find_refund(self, request: CreateRefund, key: str) -> RefundObject | None:
        """The refund that the operation `key` made."""
        params = {"payment_intent": request.payment_intent}
        return await calls.find(self._v1.refunds.list_async, params, key, RefundObject.read)

    # --- writing ----------------------------------------------------------------------------

    async def create_customer(self, request: CreateCustomer, *, key: str) -> Customer:
        """Make a customer."""
        params: Any = {"metadata": request.tagged(key)} | calls.given(name=request.name, email=request.email)
        return Customer.read(await calls.write(self._v1.customers.create_async(params, calls.once(key))))

    async def create_intent(self, request: CreateIntent, *, key: str) -> Intent:
        """Make a PaymentIntent for cards, to be confirmed by the client."""
        params: Any = {
            **request.model_dump(exclude={"metadata"}, exclude_none=True),
            "allowed_payment_method_types": ["card"],
            "metadata": request.tagged(key),
            "expand": WITH_CHARGE,
        }
        return Intent.read(await calls.write(self._v1.payment_intents.create_async(params, calls.once(key))))

    async def confirm_intent(self, request: ConfirmIntent, *, key: str) -> Intent:
        """Charge a kept card with nobody there; a card that wants to see its owner is refused."""
        params: Any = {
            "payment_method": request.payment_method,
            "off_session": True,
            "expand": WITH_CHARGE,
        }
        confirm = self._v1.payment_intents.confirm_async(request.payment_intent, params, calls.once(key))
        return Intent.read(await calls.write(confirm))

    async def create_setup(self, request: CreateSetup, *, key: str) -> Setup:
        """Make a SetupIntent for cards, to be confirmed by the client."""
        params: Any = {
            "customer": request.customer,
            "usage": "off_session",
            "allowed_payment_method_types": ["card"],
            "metadata": request.tagged(key),
        }
        return Setup.read(await calls.write(self._v1.setup_intents.create_async(params, calls.once(key))))

    async def cancel_setup(self, request: CancelSetup, *, key: str) -> Setup:
        """Cancel; Stripe refuses when the card is kept already."""
        cancel = self._v1.setup_intents.cancel_async(request.setup_intent, {}, calls.once(key))
        return Setup.read(await calls.write(cancel))

    async def capture_intent(self, request: CaptureIntent, *, key: str) -> Intent:
        """Capture; the amount may be less than what was authorized, and is final."""
        params: Any = {"amount_to_capture": request.amount, "expand": WITH_CHARGE}
        capture = self._v1.payment_intents.capture_async(request.payment_intent, params, calls.once(key))
        return Intent.read(await calls.write(capture))

    async def cancel_intent(self, request: CancelIntent, *, key: str) -> Intent:
        """Cancel; Stripe refuses when the money was taken already."""
        params: Any = {"expand": WITH_CHARGE}
        cancel = self._v1.payment_intents.cancel_async(request.payment_intent, params, calls.once(key))
        return Intent.read(await calls.write(cancel))

    async def create_refund(self, request: CreateRefund, *, key: str) -> RefundObject:
        """Give captured money back."""
        params: Any = {**request.model_dump(exclude={"metadata"}), "metadata": request.tagged(key)}
        return RefundObject.read(await calls.write(self._v1.refunds.create_async(params, calls.once(key))))

    # --- the catalogue: not money, but made once all the same ----------------------------------

    async def create_product(self, *, name: str, description: str | None, key: str) -> str:
        """Make a product and answer its id."""
        params: Any = {"name": name} | calls.given(description=description)
        return str((await calls.write(self._v1.products.create_async(params, calls.once(key))))["id"])

    async def create_price(self, *, product_id: str, amount: int, currency: str, key: str) -> Price:
        """Make a price of `amount` minor units."""
        params: Any = {"product": product_id, "unit_amount": amount, "currency": currency.lower()}
        return Price.read(await calls.write(self._v1.prices.create_async(params, calls.once(key))))


def utc_now() -> datetime:
    """Stripe's clock is wall time."""
    return datetime.now(UTC)
