"""How a SetupIntent makes a card ready for charges to come.

    requires_payment_method ─► [requires_confirmation ─►] [requires_action ─►] succeeded
             ▲                                                    │
             └──────────────── declined, not authenticated ───────┴─► canceled

Shared by the API's endpoints, the 3D Secure page and the control API.
"""

from sandbox.stripe import ids, intents
from sandbox.stripe.cards import Decline
from sandbox.stripe.errors import ApiError
from sandbox.stripe.events import emit
from sandbox.stripe.render import render
from sandbox.stripe.resources.payment_methods import attach, card_of
from sandbox.stripe.scope import Scope
from sandbox.stripe.store import Object

AUTHENTICATION_FAILED = Decline(
    "setup_intent_authentication_failure",
    "The latest attempt to set up the payment method has failed because authentication failed.",
)
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def attempt(scope: Scope, intent: Object, method: Object) -> ApiError | None:
    """Try to set a method up; the refusal, if it is one, has been recorded on the intent."""
    intent |= {
        "last_setup_error": None,
        "latest_attempt": ids.new("setup_attempt"),
        "next_action": None,
        "payment_method": method["id"],
    }
    if card_of(method).must_authenticate(off_session=False, set_up=method["_set_up"]):
        intents.ask_cardholder(scope, intent)
        return None
    return _verify(scope, intent, method)


def authenticate(scope: Scope, intent: Object, *, success: bool) -> ApiError | None:
    """End a 3D Secure step the way the cardholder chose."""
    method = scope.get("payment_method", intent["payment_method"])
    if success:
        return _verify(scope, intent, method)
    return _fail(scope, intent, method, AUTHENTICATION_FAILED, kind="invalid_request_error")


def cancel(scope: Scope, intent: Object, reason: str | None) -> Object:
    """End an intent; its method stays as it was."""
    intent |= {"cancellation_reason": reason, "next_action": None, "status": "canceled"}
    emit(scope, "setup_intent.canceled", scope.save(intent))
    return intent


def _verify(scope: Scope, intent: Object, method: Object) -> ApiError | None:
    card = card_of(method)
    if card.decline is not None and not card.attaches:
        return _fail(scope, intent, method, card.decline)
    method["_set_up"] = method["_set_up"] or intent["usage"] == "off_session"
    scope.save(method)
    if intent["customer"] is not None and method["customer"] is None:
        attach(scope, method, scope.get("customer", intent["customer"]))
    intent |= {"next_action": None, "status": "succeeded"}
    emit(scope, "setup_intent.succeeded", scope.save(intent))
    return None


def _fail(
    scope: Scope, intent: Object, method: Object, decline: Decline, *, kind: str = "card_error"
) -> ApiError:
    error = decline.error()
    error.error |= {"type": kind, "payment_method": render(scope.store, method)}
    intent |= {
        "last_setup_error": dict(error.error),
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    emit(scope, "setup_intent.setup_failed", scope.save(intent))
    error.error["setup_intent"] = render(scope.store, intent)
    return error
