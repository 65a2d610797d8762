"""What PaymentIntents and SetupIntents have in common: whom they trust, what they ask, which methods they take."""

from sandbox.stripe.errors import invalid_request, refused
from sandbox.stripe.events import emit
from sandbox.stripe.params import Params
from sandbox.stripe.resources.payment_methods import USED_UP, from_data, resolve
from sandbox.stripe.scope import Call, Scope
from sandbox.stripe.store import Object

NOUNS = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}
ALL_METHODS: Object = {"allow_redirects": "always", "enabled": True}


def trusted(call: Call, kind: str) -> Object:
    """The intent that the path names; a browser has to show its client secret."""
    intent = call.named(kind)
    secret = call.params.text("client_secret")
    if (call.publishable or secret is not None) and secret != intent["client_secret"]:
        noun = NOUNS[kind]
        message = f"The client_secret provided does not match the client_secret associated with the {noun}."
        raise invalid_request(message, code=f"{kind}_invalid_parameter", param="client_secret")
    return intent


def ask_cardholder(scope: Scope, intent: Object) -> None:
    """Send the cardholder to the bank's page; the intent waits until somebody answers."""
    page = f"{scope.base_url}/_sandbox/authenticate/{intent['id']}?secret={intent['client_secret']}"
    intent["next_action"] = {
        "redirect_to_url": {"return_url": intent["_return_url"], "url": page},
        "type": "redirect_to_url",
    }
    intent["status"] = "requires_action"
    emit(scope, f"{intent['object']}.requires_action", scope.save(intent))


def method_given(call: Call, intent: Object) -> Object | None:
    """The payment method that the request names or describes, or that the intent has from before."""
    data = call.params.sub("payment_method_data")
    if data.values:
        return from_data(call, data)
    reference = call.params.text("payment_method") or intent["payment_method"]
    return None if reference is None else resolve(call, reference)


def check_method(intent: Object, method: Object) -> None:
    """Refuse a method that was used up, or that another customer keeps."""
    if method["_used_up"]:
        raise refused(USED_UP)
    if method["customer"] is not None and method["customer"] != intent["customer"]:
        message = (
            "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must attach it to a Customer "
            f"first: it belongs to {method['customer']}, please include that customer in the `customer` parameter."
        )
        raise invalid_request(message, param="payment_method")


def choose_types(params: Params, intent: Object) -> None:
    """Which types of methods the intent takes: those that are listed, or whatever fits."""
    if "allowed_payment_method_types" in params:
        types = params.texts("allowed_payment_method_types")
        intent |= {"automatic_payment_methods": None, "payment_method_types": types}
    elif "automatic_payment_methods" in params:
        redirects = params.sub("automatic_payment_methods").text("allow_redirects") or "always"
        intent["automatic_payment_methods"] = {"allow_redirects": redirects, "enabled": True}
