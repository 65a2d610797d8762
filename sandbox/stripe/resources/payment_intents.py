"""PaymentIntents: https://docs.stripe.com/api/payment_intents."""

from sandbox.stripe import ids, intents, payments
from sandbox.stripe.errors import ApiError, refused, unexpected_state
from sandbox.stripe.events import emit
from sandbox.stripe.params import Params
from sandbox.stripe.render import render
from sandbox.stripe.resources.payment_methods import card_of
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
MAX_AMOUNT = 99_999_999
# docs.stripe.com/currencies#minimum-and-maximum-charge-amounts; others have no entry and no minimum here.
MINIMUM_AMOUNTS = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "chf": 50, "cad": 50, "aud": 50, "sgd": 50}
CAPTURE_METHODS = ("automatic", "automatic_async", "manual")
CANCELLATION_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
FUTURE_USAGES = ("off_session", "on_session")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CHANGEABLE = (*CONFIRMABLE,)
TEXTS = (
    "description",
    "on_behalf_of",
    "receipt_email",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


@routes.post("/v1/payment_intents", params="PaymentIntentCreateParams")
def create(call: Call) -> Object:
    """Create an intent, and confirm it when `confirm=true`."""
    intent = _blank(call)
    _change(call, intent)
    call.add(intent)
    emit(call, "payment_intent.created", intent)
    if call.params.boolean("confirm"):
        given = intent["payment_method"]
        return _confirm(call, intent, given and call.get("payment_method", given))
    return intent


@routes.get("/v1/payment_intents/{id}", params="PaymentIntentRetrieveParams", publishable=True)
def retrieve(call: Call) -> Object:
    """Retrieve; a browser shows the client secret."""
    return intents.trusted(call, "payment_intent")


@routes.post("/v1/payment_intents/{id}", params="PaymentIntentUpdateParams")
def update(call: Call) -> Object:
    """Change what is given; the amount only while nothing is authorized."""
    intent = call.named("payment_intent")
    if intent["status"] not in CHANGEABLE and set(call.params.values) - {"metadata", "description", "expand"}:
        message = f"This PaymentIntent could not be updated because it has a status of {intent['status']}."
        raise unexpected_state(render(call.store, intent), message)
    _change(call, intent)
    return call.save(intent)


@routes.post("/v1/payment_intents/{id}/confirm", params="PaymentIntentConfirmParams", publishable=True)
def confirm(call: Call) -> Object:
    """Confirm with a payment method, from the server or, as Stripe.js does, from a browser."""
    intent = intents.trusted(call, "payment_intent")
    if intent["status"] not in CONFIRMABLE:
        message = (
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}. "
            "Only a PaymentIntent with one of the following statuses may be confirmed: "
            f"{', '.join(CONFIRMABLE)}."
        )
        raise unexpected_state(render(call.store, intent), message)
    return _confirm(call, intent, intents.method_given(call, intent))


@routes.post("/v1/payment_intents/{id}/capture", params="PaymentIntentCaptureParams")
def capture(call: Call) -> Object:
    """Take the authorized amount, or `amount_to_capture` of it."""
    intent = call.named("payment_intent")
    if intent["status"] != "requires_capture":
        raise unexpected_state(render(call.store, intent), _not_capturable(intent))
    amount = call.params.amount("amount_to_capture", intent["currency"]) or intent["amount_capturable"]
    if amount > intent["amount_capturable"]:
        message = (
            f"The requested capture amount ({amount}) is greater than the amount that can be captured "
            f"({intent['amount_capturable']})."
        )
        raise refused(message, code="amount_too_large", param="amount_to_capture")
    intent["metadata"] = call.params.merged_metadata(intent["metadata"])
    return payments.capture(call, intent, amount)


@routes.post("/v1/payment_intents/{id}/cancel", params="PaymentIntentCancelParams")
def cancel(call: Call) -> Object:
    """Cancel; an authorization is released."""
    intent = call.named("payment_intent")
    if intent["status"] not in payments.OPEN:
        message = f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        raise unexpected_state(render(call.store, intent), message)
    reason = call.params.text("cancellation_reason")
    if reason is not None:
        call.params.choice("cancellation_reason", CANCELLATION_REASONS, reason)
    return payments.cancel(call, intent, reason)


def _not_capturable(intent: Object) -> str:
    if intent["status"] == "succeeded":
        return "This PaymentIntent could not be captured because it has already been captured."
    return (
        f"This PaymentIntent could not be captured because it has a status of {intent['status']}. "
        "Only a PaymentIntent with one of the following statuses may be captured: requires_capture."
    )


def _confirm(call: Call, intent: Object, method: Object | None) -> Object:
    params = call.params
    intent["_return_url"] = params.text("return_url") or intent["_return_url"]
    intent["receipt_email"] = params.text("receipt_email") or intent["receipt_email"]
    if "setup_future_usage" in params:
        intent["setup_future_usage"] = params.choice("setup_future_usage", FUTURE_USAGES, "off_session")
    if "capture_method" in params:
        intent["capture_method"] = params.choice("capture_method", CAPTURE_METHODS, "automatic")
    if method is None:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment "
            "method or ConfirmationToken."
        )
        raise unexpected_state(render(call.store, intent), message)
    _check_method(intent, method)
    off_session = params.text("off_session") not in (None, "false")
    error = payments.attempt(call, intent, method, off_session=off_session)
    if error is not None:
        raise error
    if intent["status"] == "requires_action" and params.boolean("error_on_requires_action"):
        raise _action_refused(call, intent)
    return intent


def _action_refused(call: Call, intent: Object) -> ApiError:
    intent |= {"status": "requires_payment_method", "next_action": None}
    call.save(intent)
    message = (
        "This payment required an authentication action to complete, but `error_on_requires_action` was set."
    )
    error = unexpected_state(render(call.store, intent), message)
    error.status, error.keeps_effects = 402, True
    error.error |= {"type": "card_error", "code": "authentication_required"}
    return error


def _check_method(intent: Object, method: Object) -> None:
    intents.check_method(intent, method)
    if card_of(method).settles_later and intent["capture_method"] == "manual":
        message = f"The payment method type {method['type']} does not support capture_method manual."
        raise refused(message, param="capture_method")


def _blank(call: Call) -> Object:
    intent = call.base("payment_intent")
    return intent | {
        "amount": 0,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": intents.ALL_METHODS,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": ids.client_secret(intent["id"]),
        "confirmation_method": "automatic",
        "currency": call.params.required("currency").lower(),
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "managed_payments": {"enabled": False},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        "_return_url": None,
    }


def _change(call: Call, intent: Object) -> None:
    params = call.params
    intent |= {name: params.text(name) for name in TEXTS if name in params}
    intent["amount"] = _amount(params, intent["currency"]) or intent["amount"]
    intent["metadata"] = params.merged_metadata(intent["metadata"])
    intent["shipping"] = params.sub("shipping").values or intent["shipping"]
    if customer := call.referenced("customer", "customer"):
        intent["customer"] = customer["id"]
    if "capture_method" in params:
        intent["capture_method"] = params.choice("capture_method", CAPTURE_METHODS, "automatic")
    if "setup_future_usage" in params:
        intent["setup_future_usage"] = params.choice("setup_future_usage", FUTURE_USAGES, "off_session")
    _change_methods(call, intent)


def _change_methods(call: Call, intent: Object) -> None:
    params = call.params
    intents.choose_types(params, intent)
    if "payment_method" in params or "payment_method_data" in params:
        method = intents.method_given(call, intent)
        if method is not None:
            _check_method(intent, method)
            intent |= {"payment_method": method["id"], "status": "requires_confirmation"}


def _amount(params: Params, currency: str) -> int | None:
    amount = params.amount("amount", currency)
    if amount is None:
        return None
    if amount > MAX_AMOUNT:
        message = f"Amount must be no more than {MAX_AMOUNT} minor units."
        raise refused(message, code="amount_too_large", param="amount")
    if amount < MINIMUM_AMOUNTS.get(currency, 1):
        minimum = MINIMUM_AMOUNTS[currency]
        message = f"Amount must be at least {minimum} minor units of {currency}."
        raise refused(message, code="amount_too_small", param="amount")
    return amount


routes.list("/v1/payment_intents", "payment_intent", params="PaymentIntentListParams", filters=("customer",))
