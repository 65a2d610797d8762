"""SetupIntents: https://docs.stripe.com/api/setup_intents."""

from sandbox.stripe import ids, intents, setups
from sandbox.stripe.errors import unexpected_state
from sandbox.stripe.events import emit
from sandbox.stripe.render import render
from sandbox.stripe.routing import Routes
from sandbox.stripe.scope import Call
from sandbox.stripe.store import Object

routes = Routes()
USAGES = ("off_session", "on_session")
CANCELLATION_REASONS = ("abandoned", "requested_by_customer", "duplicate")
ALWAYS_CHANGEABLE = {"metadata", "description", "expand"}


@routes.post("/v1/setup_intents", params="SetupIntentCreateParams")
def create(call: Call) -> Object:
    """Create an intent, and confirm it when `confirm=true`."""
    intent = _blank(call)
    _change(call, intent)
    call.add(intent)
    emit(call, "setup_intent.created", intent)
    if call.params.boolean("confirm"):
        given = intent["payment_method"]
        return _confirm(call, intent, given and call.get("payment_method", given))
    return intent


@routes.get("/v1/setup_intents/{id}", params="SetupIntentRetrieveParams", publishable=True)
def retrieve(call: Call) -> Object:
    """Retrieve; a browser shows the client secret."""
    return intents.trusted(call, "setup_intent")


@routes.post("/v1/setup_intents/{id}", params="SetupIntentUpdateParams")
def update(call: Call) -> Object:
    """Change what is given; once it has ended, metadata and description only."""
    intent = call.named("setup_intent")
    if set(call.params.values) - ALWAYS_CHANGEABLE:
        _require_open(call, intent, "update")
    _change(call, intent)
    return call.save(intent)


@routes.post("/v1/setup_intents/{id}/confirm", params="SetupIntentConfirmParams", publishable=True)
def confirm(call: Call) -> Object:
    """Confirm with a payment method, from the server or, as Stripe.js does, from a browser."""
    intent = intents.trusted(call, "setup_intent")
    _require_open(call, intent, "confirm")
    return _confirm(call, intent, intents.method_given(call, intent))


@routes.post("/v1/setup_intents/{id}/cancel", params="SetupIntentCancelParams")
def cancel(call: Call) -> Object:
    """Cancel an intent that has not ended."""
    intent = call.named("setup_intent")
    _require_open(call, intent, "cancel")
    reason = call.params.text("cancellation_reason")
    if reason is not None:
        call.params.choice("cancellation_reason", CANCELLATION_REASONS, reason)
    return setups.cancel(call, intent, reason)


def _require_open(call: Call, intent: Object, verb: str) -> None:
    if intent["status"] not in setups.OPEN:
        message = f"You cannot {verb} this SetupIntent because it has a status of {intent['status']}."
        raise unexpected_state(render(call.store, intent), message)


def _confirm(call: Call, intent: Object, method: Object | None) -> Object:
    intent["_return_url"] = call.params.text("return_url") or intent["_return_url"]
    if method is None:
        message = (
            "You cannot confirm this SetupIntent because it's missing a payment method. You can either update the "
            "SetupIntent with a payment method and then confirm it again, or confirm it again directly with a payment "
            "method."
        )
        raise unexpected_state(render(call.store, intent), message)
    intents.check_method(intent, method)
    error = setups.attempt(call, intent, method)
    if error is not None:
        raise error
    return intent


def _blank(call: Call) -> Object:
    intent = call.base("setup_intent")
    return intent | {
        "application": None,
        "automatic_payment_methods": intents.ALL_METHODS,
        "cancellation_reason": None,
        "client_secret": ids.client_secret(intent["id"]),
        "customer": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "mandate": None,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": call.params.choice("usage", USAGES, "off_session"),
        "_return_url": None,
    }


def _change(call: Call, intent: Object) -> None:
    params = call.params
    intent |= {name: params.text(name) for name in ("description", "on_behalf_of") if name in params}
    intent["metadata"] = params.merged_metadata(intent["metadata"])
    if customer := call.referenced("customer", "customer"):
        intent["customer"] = customer["id"]
    intents.choose_types(params, intent)
    if "payment_method" in params or "payment_method_data" in params:
        method = intents.method_given(call, intent)
        if method is not None:
            intents.check_method(intent, method)
            intent |= {"payment_method": method["id"], "status": "requires_confirmation"}


routes.list(
    "/v1/setup_intents",
    "setup_intent",
    params="SetupIntentListParams",
    filters=("customer", "payment_method"),
)
